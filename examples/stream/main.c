/*
 * stream: perplexity and text without end from a model file, with sinkattn as the KV cache.
 *
 * SPDX-License-Identifier: MIT
 */
#include "compare.h"
#include "figures.h"
#include "generate.h"
#include "input.h"
#include "logits.h"
#include "measure.h"
#include "quant.h"
#include "streameval.h"
#include "sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int complain(const failure *why, int status) {
    fflush(stdout);
    fprintf(stderr, "stream: %s\n", why->text);
    return status;
}

static void print_model(const model *m) {
    printf("%s: %d layers, width %d, %d heads on %d kv heads of %d, ffn %d, vocabulary %d", m->family, (int)m->n_layers,
           (int)m->dim, (int)m->n_heads, (int)m->n_kv_heads, (int)m->head_dim, (int)m->hidden, (int)m->n_vocab);
    if (m->trained_context > 0) {
        printf(", trained on %d tokens", (int)m->trained_context);
    }
    printf(", %.1f MiB\n", (double)m->n_bytes / 1048576.0);
}

/* A mode's work: all that the command line gave goes in, the program's exit status comes out. */
typedef struct job {
    const options *o;
    const model *m;
    tokenizer *t; /* NULL: the file has none */
    id_list ids;  /* the text, for modes that need one */
    failure *why;
} job;

static int info(job *j) {
    print_model(j->m);
    printf("weights: %s in the layers, %s embedding, %s output\n", quant_name(j->m->layers[0].q.type),
           quant_name(j->m->embedding.type), quant_name(j->m->output.type));
    if (j->t != NULL) {
        tokenizer_facts facts = tokenizer_about(j->t);
        printf("tokenizer: %s, %d tokens, bos %d%s, eos %d\n", facts.kind, (int)facts.n_tokens, (int)facts.bos,
               facts.add_bos ? " (begins every text)" : "", (int)facts.eos);
    } else {
        printf("tokenizer: none in the file\n");
    }
    return EXIT_SUCCESS;
}

static int run_perplexity(job *j) {
    measurement found;
    print_model(j->m);
    int result = measure_text(j->o, j->m, &j->ids, &found, j->why);
    return result == MEASURE_OK ? EXIT_SUCCESS : complain(j->why, result);
}

static int finish(const job *j, bool ok) { return ok ? EXIT_SUCCESS : complain(j->why, EXIT_FAILURE); }

static int run_compare(job *j) {
    print_model(j->m);
    return finish(j, compare(j->o, j->m, j->t, &j->ids, j->why));
}

static int run_figures(job *j) {
    print_model(j->m);
    return finish(j, figures(j->o, j->m, j->t, &j->ids, j->why));
}

static int run_sweep(job *j) {
    print_model(j->m);
    return finish(j, sweep_perplexity(j->o, j->m, &j->ids, j->why));
}

static int run_speed(job *j) {
    print_model(j->m);
    return finish(j, sweep_speed(j->o, j->m, &j->ids, NULL, NULL, j->why));
}

static int run_streameval(job *j) { return finish(j, streameval(j->o, j->m, j->t, j->why)); }
static int run_logits(job *j) { return finish(j, write_logits(j->o, j->m, &j->ids, j->why)); }
static int run_generate(job *j) { return finish(j, generate(j->o, j->m, j->t, &j->ids, j->why)); }

static const struct mode {
    const char *name;
    bool reads_text;
    int (*run)(job *j);
} modes[] = {
    {"perplexity", true, run_perplexity},
    {"generate", true, run_generate},
    {"compare", true, run_compare},
    {"figures", true, run_figures},
    {"sweep", true, run_sweep},
    {"speed", true, run_speed},
    {"logits", true, run_logits},
    {"streameval", false, run_streameval},
    {"info", false, info},
};

/* NULL, with the reason, if there is no such mode or it does not go with the other options. */
static const struct mode *find_mode(const options *o, failure *why) {
    size_t i = 0, n = sizeof modes / sizeof modes[0];
    while (i < n && strcmp(o->mode, modes[i].name) != 0) {
        i++;
    }
    if (i == n) {
        fail(why, "there is no mode '%.60s'; --help lists them", o->mode);
        return NULL;
    }
    if (o->stream.policy == POLICY_RECOMPUTE && modes[i].run != run_perplexity) {
        fail(why, "--policy recompute is for perplexity");
        return NULL;
    }
    return &modes[i];
}

static int run_mode(const struct mode *mode, const options *o, const model *m, failure *why) {
    job j = {.o = o, .m = m, .why = why};
    j.t = m->file.n_values == 0 ? NULL : tokenizer_open(&m->file, why);
    bool ready = m->file.n_values == 0 || j.t != NULL;
    ready = ready && (!mode->reads_text || input_read(o, m, j.t, &j.ids, why));
    int status = ready ? mode->run(&j) : complain(why, EXIT_FAILURE);
    free(j.ids.ids);
    tokenizer_close(j.t);
    return status;
}

int main(int argc, char **argv) {
    failure why;
    options o;
    model m;
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        options_help();
        return argc < 2 ? 2 : EXIT_SUCCESS;
    }
    if (!options_read(&o, argc, argv, &why)) {
        return complain(&why, 2);
    }
    const struct mode *mode = find_mode(&o, &why);
    if (mode == NULL) {
        return complain(&why, 2);
    }
    if (!model_open(&m, o.model_path, &why)) {
        return complain(&why, EXIT_FAILURE);
    }
    int status = run_mode(mode, &o, &m, &why);
    model_close(&m);
    return status;
}
