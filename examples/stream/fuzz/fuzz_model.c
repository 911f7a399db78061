/*
 * Fuzz target: any bytes as a model file, read, tokenized with and run for a few tokens.
 *
 * SPDX-License-Identifier: MIT
 *
 * With Clang, from examples/stream, after `make` in the repository's root:
 *     python3 fuzz/make_seeds.py seeds
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -I. -I../../include fuzz/fuzz_model.c \
 *         $(ls *.c | grep -v main.c) ../../build/libsinkattn.a -lm -o fuzz_model
 *     ./fuzz_model -max_len=65536 -max_total_time=600 seeds
 * Without a fuzzer, -DFUZZ_FILES gives a main that reads the files named on the command line.
 */
#include "forward.h"
#include "tokenizer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file may ask for more than a fuzzer has time or memory for; that is no fault. */
static bool small_enough(const model *m, const stream_options *options) {
    cache_plan plan;
    failure why;
    size_t bytes = 0, alignment = 0;
    if (!plan_cache(&plan, m, options, &why)) {
        return false;
    }
    bool known = sa_cache_size(&plan.config, &bytes, &alignment) == SA_SUCCESS;
    plan_free(&plan);
    return known && bytes < (size_t)1 << 24 && (int64_t)m->n_vocab * m->dim < 1 << 20;
}

static void run(const model *m, const id_list *ids) {
    stream_options options = {.policy = SA_POLICY_SINK_WINDOW, .sinks = 1, .window = 3, .kv_dtype = SA_F32, .chunk = 5};
    stream s;
    failure why;
    float *logits = malloc((size_t)m->n_vocab * sizeof *logits);
    if (logits != NULL && ids->n > 0 && small_enough(m, &options) && stream_open(&s, m, &options, &why)) {
        int32_t n = ids->n < 5 ? (int32_t)ids->n : 5;
        if (stream_feed(&s, n, ids->ids, &why) == FEED_OK && stream_feed(&s, 1, ids->ids, &why) == FEED_OK) {
            stream_logits(&s, 0, 1, logits);
        }
        stream_close(&s);
    }
    free(logits);
}

static void use(const model *m) {
    static const char sample[] = "It's <s>  12\t\xc3\xa9\xff \n\nAB ab<|x|>";
    failure why;
    id_list ids = {0};
    tokenizer *t = tokenizer_in_file(&m->file) ? tokenizer_open(&m->file, &why) : NULL;
    if (t != NULL && tokenizer_encode(t, sample, sizeof sample - 1, true, &ids, &why)) {
        for (size_t i = 0; i < ids.n; i++) {
            tokenizer_text(t, ids.ids[i]);
        }
    }
    for (int32_t i = 0; ids.n < 5 && i < 5; i++) {
        id_list_add(&ids, i % m->n_vocab, &why);
    }
    run(m, &ids);
    tokenizer_close(t);
    free(ids.ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    model m;
    failure why;
    uint8_t *copy = malloc(size + 1);
    if (copy != NULL) {
        memcpy(copy, data, size);
        if (model_from_bytes(&m, copy, size, &why)) {
            use(&m);
            model_close(&m);
        }
    }
    return 0;
}

#ifdef FUZZ_FILES
int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        failure why;
        size_t size = 0;
        uint8_t *data = read_file(argv[i], &size, &why);
        if (data != NULL) {
            LLVMFuzzerTestOneInput(data, size);
        }
        free(data);
    }
    return 0;
}
#endif
