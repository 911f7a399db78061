/*
 * stream: perplexity and text without end from a model file, with sinkattn as the KV cache.
 *
 * SPDX-License-Identifier: MIT
 */
#include "compare.h"
#include "figures.h"
#include "generate.h"
#include "input.h"
#include "measure.h"
#include "quant.h"

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

static int info(const model *m, const tokenizer *t) {
    print_model(m);
    printf("weights: %s in the layers, %s embedding, %s output\n", quant_name(m->layers[0].q.type),
           quant_name(m->embedding.type), quant_name(m->output.type));
    if (t != NULL) {
        tokenizer_facts facts = tokenizer_about(t);
        printf("tokenizer: %s, %d tokens, bos %d%s, eos %d\n", facts.kind, (int)facts.n_tokens, (int)facts.bos,
               facts.add_bos ? " (begins every text)" : "", (int)facts.eos);
    } else {
        printf("tokenizer: none in the file\n");
    }
    return EXIT_SUCCESS;
}

static int perplexity(const options *o, const model *m, const id_list *ids, failure *why) {
    print_model(m);
    measurement found;
    int result = measure_text(o, m, ids, &found, why);
    return result == MEASURE_OK ? EXIT_SUCCESS : complain(why, result);
}

static int run_mode(const options *o, const model *m, tokenizer *t) {
    failure why;
    id_list ids = {0};
    int status = EXIT_SUCCESS;
    if (strcmp(o->mode, "info") == 0) {
        return info(m, t);
    }
    if (!input_read(o, m, t, &ids, &why)) {
        status = complain(&why, EXIT_FAILURE);
    } else if (strcmp(o->mode, "perplexity") == 0) {
        status = perplexity(o, m, &ids, &why);
    } else if (strcmp(o->mode, "compare") == 0) {
        print_model(m);
        status = compare(o, m, t, &ids, &why) ? EXIT_SUCCESS : complain(&why, EXIT_FAILURE);
    } else if (strcmp(o->mode, "figures") == 0) {
        print_model(m);
        status = figures(o, m, t, &ids, &why) ? EXIT_SUCCESS : complain(&why, EXIT_FAILURE);
    } else if (!generate(o, m, t, &ids, &why)) {
        status = complain(&why, EXIT_FAILURE);
    }
    free(ids.ids);
    return status;
}

static bool known_mode(const options *o, failure *why) {
    static const char *const modes[] = {"info", "perplexity", "compare", "figures", "generate"};
    size_t i = 0, n = sizeof modes / sizeof modes[0];
    while (i < n && strcmp(o->mode, modes[i]) != 0) {
        i++;
    }
    if (i == n) {
        return fail(why, "'%.60s' is none of perplexity, generate, compare, figures, info; --help shows the use",
                    o->mode);
    }
    if (o->stream.policy == POLICY_RECOMPUTE && strcmp(o->mode, "perplexity") != 0) {
        return fail(why, "--policy recompute is for perplexity");
    }
    return true;
}

int main(int argc, char **argv) {
    failure why;
    options o;
    model m;
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        options_help();
        return argc < 2 ? 2 : EXIT_SUCCESS;
    }
    if (!options_read(&o, argc, argv, &why) || !known_mode(&o, &why)) {
        return complain(&why, 2);
    }
    if (!model_open(&m, o.model_path, &why)) {
        return complain(&why, EXIT_FAILURE);
    }
    tokenizer *t = m.file.n_values == 0 ? NULL : tokenizer_open(&m.file, &why);
    int status = m.file.n_values != 0 && t == NULL ? complain(&why, EXIT_FAILURE) : run_mode(&o, &m, t);
    tokenizer_close(t);
    model_close(&m);
    return status;
}
