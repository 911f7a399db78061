/*
 * sinkattn in a ggml graph: three chained custom operations a layer. This is the file to copy.
 *
 * SPDX-License-Identifier: MIT
 *
 * ggml sends all of its threads through every operation, each with its index, and has a barrier behind each: just what
 * sa_step_begin and sa_step_part are for. So
 *
 *     begin(q, k, v)  thread 0 checks, appends k and v, and gets the attention of q ready
 *     part 0          all threads: attention
 *     part 1          all threads: puts together what was shared out (nothing, if nothing was)
 *
 * take the place of two rotations, two copies into the cache, and ggml_flash_attn_ext. Nothing in the graph depends on
 * the position, the cache counts: one graph serves the whole stream, however long it is.
 */
#include "host.h"

#include <sinkattn.h>
#include <stdlib.h>
#include <string.h>

enum { PARTS = 2, MAX_APPEND = 64 };

/* What an operation of the graph is handed. */
typedef struct operation {
    struct streaming *owner;
    int32_t layer, phase;
} operation;

typedef struct streaming {
    attention base;
    sa_cache *cache;
    sa_status status;      /* of the first begin that failed */
    operation *operations; /* (n_layers, PARTS) */
} streaming;

/* Results (n_heads * head_dim, n), of q, k and v. */
static void begin_operation(struct ggml_tensor *results, int thread, int n_threads, void *context) {
    const operation *o = context;
    (void)n_threads;
    if (thread != 0) {
        return;
    }
    sa_step_args args = {.struct_size = sizeof args,
                         .layer = o->layer,
                         .n_tokens = (int32_t)results->ne[1],
                         .q = {.data = results->src[0]->data},
                         .k = {.data = results->src[1]->data},
                         .v = {.data = results->src[2]->data},
                         .out = {.data = results->data}};
    int32_t n_phases;
    sa_status status = sa_step_begin(o->owner->cache, &args, &n_phases);
    if (o->owner->status == SA_SUCCESS) {
        o->owner->status = status;
    }
}

static void part_operation(struct ggml_tensor *results, int thread, int n_threads, void *context) {
    const operation *o = context;
    (void)results;
    sa_step_part(o->owner->cache, o->phase, thread, n_threads); /* refused only if begin was */
}

static struct ggml_tensor *build(attention *a, const building *b, int32_t l, struct ggml_tensor *q,
                                 struct ggml_tensor *k, struct ggml_tensor *v) {
    operation *o = ((streaming *)a)->operations + l * PARTS;
    struct ggml_tensor *inputs[] = {q, k, v}; /* of each operation: they must stay until the last has run */
    struct ggml_tensor *results = ggml_custom_4d(b->ctx, GGML_TYPE_F32, q->ne[0], b->n, 1, 1, inputs, 3,
                                                 begin_operation, GGML_N_TASKS_MAX, &o[0]);
    for (int i = 0; i < PARTS; i++) {
        results = ggml_custom_inplace(b->ctx, results, inputs, 3, part_operation, GGML_N_TASKS_MAX, &o[i]);
    }
    return results;
}

static bool serves(attention *a, int64_t end) {
    (void)a;
    (void)end;
    return true;
}

/* Nothing to fill in; but a step that failed is found here. */
static void begin(attention *a, int64_t position) {
    const streaming *s = (streaming *)a;
    (void)position;
    if (s->status != SA_SUCCESS) {
        die("sinkattn: %s %s", sa_status_string(s->status), sa_cache_error(s->cache));
    }
}

static void fill(attention *a, const model *m, int64_t n) {
    streaming *s = (streaming *)a;
    size_t size = (size_t)m->n_kv_heads * (size_t)m->head_dim;
    float *numbers = malloc(size * sizeof *numbers);
    for (size_t i = 0; numbers != NULL && i < size; i++) {
        numbers[i] = (float)(i % 7) * 0.1f;
    }
    for (int32_t l = 0; l < m->n_layers; l++) {
        for (int64_t t = 0; t < n; t++) {
            sa_append_kv(s->cache, l, 1, numbers, numbers);
        }
    }
    free(numbers);
}

static size_t bytes(const attention *a, const model *m) {
    sa_cache_facts facts = {.struct_size = sizeof facts};
    sa_cache_info(((const streaming *)a)->cache, 0, &facts);
    return (size_t)facts.kv_size * (size_t)m->n_layers;
}

static void close_streaming(attention *a) {
    streaming *s = (streaming *)a;
    sa_cache_destroy(s->cache);
    free(s->operations);
    free(s);
}

static void make_operations(streaming *s, int32_t n_layers) {
    s->operations = calloc((size_t)n_layers * PARTS, sizeof *s->operations);
    if (s->operations == NULL) {
        die("no memory");
    }
    for (int32_t i = 0; i < n_layers * PARTS; i++) {
        s->operations[i] = (operation){.owner = s, .layer = i / PARTS, .phase = i % PARTS};
    }
}

attention *attention_sinkattn(const model *m, int32_t dtype, int32_t sinks, int32_t window, int32_t n_threads) {
    sa_config config = {.struct_size = sizeof config,
                        .flags = SA_CONFIG_COOPERATIVE, /* ggml's threads will do the work */
                        .n_layers = m->n_layers,
                        .max_append = MAX_APPEND,
                        .n_threads = n_threads,
                        .n_heads = m->n_heads,
                        .n_kv_heads = m->n_kv_heads,
                        .head_dim = m->head_dim,
                        .policy = sinks < 0 ? SA_POLICY_DENSE : SA_POLICY_SINK_WINDOW,
                        .n_sink = sinks < 0 ? 0 : sinks,
                        .window = window,
                        .k_dtype = dtype,
                        .v_dtype = dtype,
                        .position = SA_POSITION_ROPE,
                        .rope_layout = SA_ROPE_INTERLEAVED, /* as the family llama has it in GGUF files */
                        .rope_theta = m->rope_theta};
    streaming *s = calloc(1, sizeof *s);
    const char *why = "";
    if (s == NULL || sa_config_check(&config, &why, NULL) != SA_SUCCESS ||
        sa_cache_create(&config, NULL, &s->cache) != SA_SUCCESS) {
        die("sinkattn: no cache: %s", why);
    }
    make_operations(s, m->n_layers);
    s->base = (attention){build, serves, begin, fill, bytes, close_streaming};
    return &s->base;
}
