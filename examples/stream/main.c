/*
 * stream: runs a model file over texts of any length, with sinkattn as the KV cache.
 *
 * SPDX-License-Identifier: MIT
 */
#include "chat.h"
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

/* Layers with a sliding window are never given more than they were trained with, whatever --policy says. */
static void print_local_layers(const model *m) {
    int32_t local = model_local_layers(m);
    if (local > 0) {
        printf("sliding window of %d tokens in %d of %d layers: these never see more, whatever the cache may hold\n",
               (int)m->local_window, (int)local, (int)m->n_layers);
    }
}

static void print_model(const model *m) {
    printf("%s: %d layers, width %d, %d heads on %d kv heads of %d, ffn %d, vocabulary %d", m->family, (int)m->n_layers,
           (int)m->dim, (int)m->n_heads, (int)m->n_kv_heads, (int)m->head_dim, (int)m->hidden, (int)m->n_vocab);
    if (m->trained_context > 0) {
        printf(", trained on %d tokens", (int)m->trained_context);
    }
    printf(", %.1f MiB\n", (double)m->n_bytes / 1048576.0);
    print_local_layers(m);
}

/* What a mode works with: all that the command line gave. */
typedef struct mode_input {
    const options *o;
    const model *m;
    tokenizer *t; /* NULL: the file has none */
    id_list ids;  /* the text, for modes that need one */
    failure *why;
} mode_input;

static int info(mode_input *in) {
    const model *m = in->m;
    print_model(m);
    printf("weights: %s in the layers, %s embedding, %s output%s\n", quant_name(m->layers[0].q.type),
           quant_name(m->embedding.type), quant_name(m->output.type),
           m->output.data == m->embedding.data ? " (the same matrix as the embedding)" : "");
    if (in->t != NULL) {
        tokenizer_facts facts = tokenizer_about(in->t);
        printf("tokenizer: %s, %d tokens, bos %d%s, eos %d\n", facts.kind, (int)facts.n_tokens, (int)facts.bos,
               facts.add_bos ? " (begins every text)" : "", (int)facts.eos);
    } else {
        printf("tokenizer: none in the file\n");
    }
    return EXIT_SUCCESS;
}

static int run_perplexity(mode_input *in) {
    measurement found;
    print_model(in->m);
    int result = measure_text(in->o, in->m, &in->ids, &found, in->why);
    return result == MEASURE_OK ? EXIT_SUCCESS : complain(in->why, result);
}

static int finish(const mode_input *in, bool ok) { return ok ? EXIT_SUCCESS : complain(in->why, EXIT_FAILURE); }

static int run_compare(mode_input *in) {
    print_model(in->m);
    return finish(in, compare(in->o, in->m, in->t, &in->ids, in->why));
}

static int run_figures(mode_input *in) {
    print_model(in->m);
    return finish(in, figures(in->o, in->m, in->t, &in->ids, in->why));
}

static int run_sweep(mode_input *in) {
    print_model(in->m);
    return finish(in, sweep_perplexity(in->o, in->m, &in->ids, in->why));
}

static int run_speed(mode_input *in) {
    print_model(in->m);
    return finish(in, sweep_speed(in->o, in->m, &in->ids, NULL, NULL, in->why));
}

static int run_streameval(mode_input *in) { return finish(in, streameval(in->o, in->m, in->t, in->why)); }
static int run_logits(mode_input *in) { return finish(in, write_logits(in->o, in->m, &in->ids, in->why)); }
static int run_generate(mode_input *in) { return finish(in, generate(in->o, in->m, in->t, &in->ids, in->why)); }

static int run_chat(mode_input *in) { return finish(in, chat(in->o, in->m, in->t, in->why)); }

static const struct mode {
    const char *name;
    bool reads_text;
    int (*run)(mode_input *in);
} modes[] = {
    {"perplexity", true, run_perplexity},
    {"generate", true, run_generate},
    {"chat", false, run_chat},
    {"compare", true, run_compare},
    {"figures", true, run_figures},
    {"sweep", true, run_sweep},
    {"speed", true, run_speed},
    {"logits", true, run_logits},
    {"streameval", false, run_streameval},
    {"info", false, info},
};

/* NULL, with the reason, if there is no such mode or another option excludes it. */
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
    mode_input in = {.o = o, .m = m, .why = why};
    bool ready = input_tokenizer(o, m, &in.t, why) && (!mode->reads_text || input_read(o, m, in.t, &in.ids, why));
    int status = ready ? mode->run(&in) : complain(why, EXIT_FAILURE);
    free(in.ids.ids);
    tokenizer_close(in.t);
    return status;
}

int main(int argc, char **argv) {
    failure why = {"it failed for an unknown reason"};
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
    if (m.unused[0] != '\0') {
        fprintf(stderr, "stream: note: %s: not used by this program: %s\n", o.model_path, m.unused);
    }
    int status = run_mode(mode, &o, &m, &why);
    model_close(&m);
    return status;
}
