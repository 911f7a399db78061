/*
 * What the first world answers, held against the model; and what the other worlds answer, against the first.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../bars.h"
#include "random.h"

#define SHOWN 12 /* of each kind; more are only counted */

static void say_where(const episode *e, const char *kind) {
    printf("%s: seed %llu episode %ld operation %ld: %s: ", kind, (unsigned long long)found.seed, found.episode,
           e->operation, e->text);
}

/* With a trace: what has become of the positions of each sequence. */
static void say_models(const episode *e) {
    static const char *const kinds[] = {"window", "sink", "pin"};
    static const char *const states[] = {"held", "evicted", "masked", "lost", "closed"};
    int sequence;
    int64_t i;
    for (sequence = 0; sequence < RANDOM_SEQUENCES && found.trace; sequence++) {
        const model *m = &e->models[sequence][0][0];
        for (i = 0; i < m->n && e->is_open[sequence]; i++) {
            const item *t = m->items + i;
            if (i == 0) {
                printf("  sequence %d of %llu:", sequence, (unsigned long long)m->seen);
            }
            if (i == 0 || t[-1].kind != t->kind || t[-1].state != t->state) {
                printf(" [%llu %s %s", (unsigned long long)t->from, kinds[t->kind], states[t->state]);
            }
            if (i + 1 == m->n) {
                printf("\n");
            }
        }
    }
}

int say_wrong(episode *e, const char *format, ...) {
    va_list arguments;
    say_models(e);
    if (found.wrong++ < SHOWN) {
        say_where(e, "wrong");
        va_start(arguments, format);
        vprintf(format, arguments);
        va_end(arguments);
        printf(" [%s] %s\n", world_text(&e->worlds[0]), setup_text(&e->setup));
        fflush(stdout);
    }
    return 0;
}

int say_differ(episode *e, int world, const char *format, ...) {
    va_list arguments;
    if (found.differ++ < SHOWN) {
        say_where(e, "bits differ");
        va_start(arguments, format);
        vprintf(format, arguments);
        va_end(arguments);
        printf(" [world 0: %s]", world_text(&e->worlds[0]));
        printf(" [world %d: %s] %s\n", world, world_text(&e->worlds[world]), setup_text(&e->setup));
        fflush(stdout);
    }
    return 0;
}

int check_status(episode *e, sa_status status, unsigned may) {
    if (status > 0 || status < -31) {
        return say_wrong(e, "status %d is none", status);
    }
    return may & MAY(status) ? 1 : say_wrong(e, "status %d (%s), may be %#x", status, sa_status_string(status), may);
}

/* ---------------------------------- state ---------------------------------- */

static int same_spans(const sa_span *a, int32_t n, const sa_span *b, int32_t m) {
    return n == m && !memcmp(a, b, (size_t)n * sizeof *a);
}

static void say_spans(const sa_span *spans, int32_t n) {
    int32_t i;
    for (i = 0; i < n && found.differ < SHOWN; i++) {
        printf("[%llu, %llu) shift %llu kind %d masked %d%s", (unsigned long long)spans[i].from,
               (unsigned long long)spans[i].end, (unsigned long long)spans[i].shift, spans[i].kind, spans[i].masked,
               i + 1 < n ? ", " : "\n");
    }
}

static int check_twin_spans(episode *e, int sequence, int layer, int head, const sa_span *spans, int32_t n) {
    static sa_span others[RANDOM_SPANS];
    int32_t m = 0;
    int w;
    for (w = 1; w < e->n_worlds; w++) {
        sa_cache *cache = e->worlds[w].caches[sequence];
        if (sa_cache_spans(cache, layer, head, RANDOM_SPANS, others, &m) != SA_SUCCESS ||
            !same_spans(spans, n, others, m)) {
            say_spans(spans, n);
            say_spans(others, m);
            return say_differ(e, w, "spans of sequence %d layer %d head %d: %d and %d", sequence, layer, head, n, m);
        }
    }
    return 1;
}

static int check_counters(episode *e, int sequence, int layer) {
    uint64_t seen = layer_seen(e, sequence, layer);
    int64_t held = 0, own;
    sa_cache_facts info;
    int i;
    for (i = 0; i < e->setup.n_lanes[layer]; i++) {
        own = model_count_held(&e->models[sequence][layer][i]);
        held = own > held ? own : held;
    }
    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    if (sa_cache_info(e->worlds[0].caches[sequence], layer, &info) != SA_SUCCESS) {
        return say_wrong(e, "sa_cache_info");
    }
    if (info.tokens_seen != seen) {
        return say_wrong(e, "sequence %d layer %d: tokens_seen %llu, not %llu", sequence, layer,
                         (unsigned long long)info.tokens_seen, (unsigned long long)seen);
    }
    if ((int64_t)info.tokens_held != held) {
        return say_wrong(e, "sequence %d layer %d: tokens_held %llu, not %lld", sequence, layer,
                         (unsigned long long)info.tokens_held, (long long)held);
    }
    return 1;
}

/* Tiles in use: not more than all sequences hold if they share none, not fewer than any one holds. */
static int check_tiles(episode *e, int layer, int lane) {
    int64_t all = 0, most = 0, one, used;
    pool_facts facts;
    int i, w;
    for (i = 0; i < RANDOM_SEQUENCES; i++) {
        one = e->is_open[i] ? model_count_tiles(&e->models[i][layer][lane]) : 0;
        all += one;
        most = one > most ? one : most;
    }
    for (w = 0; w < e->n_worlds; w++) {
        if (!world_facts(&e->worlds[w], layer, e->setup.lanes[layer][lane].heads[0], &facts)) {
            return say_wrong(e, "world %d: no facts of the pool", w);
        }
        used = (int64_t)(facts.tiles - facts.tiles_free);
        if (used > all || used < most) {
            return say_wrong(e, "world %d layer %d lane %d: %lld tiles in use, not %lld .. %lld", w, layer, lane,
                             (long long)used, (long long)most, (long long)all);
        }
    }
    return 1;
}

int check_tiles_of_all(episode *e) {
    int l, i;
    for (l = 0; l < e->setup.config.n_layers; l++) {
        for (i = 0; i < e->setup.n_lanes[l]; i++) {
            if (!check_tiles(e, l, i)) {
                return 0;
            }
        }
    }
    return 1;
}

static int check_spans(episode *e, int sequence, int layer, int lane) {
    static sa_span spans[RANDOM_SPANS];
    int32_t n = 0;
    model *m = &e->models[sequence][layer][lane];
    int head = m->rules->heads[m->rules->n_heads - 1];
    sa_status status = sa_cache_spans(e->worlds[0].caches[sequence], layer, head, RANDOM_SPANS, spans, &n);
    const char *why = status == SA_SUCCESS ? model_sync(m, spans, n) : "sa_cache_spans";
    if (why) {
        return say_wrong(e, "sequence %d layer %d head %d of %llu tokens: %s", sequence, layer, head,
                         (unsigned long long)m->seen, why);
    }
    return check_twin_spans(e, sequence, layer, m->rules->heads[0], spans, n);
}

int check_state(episode *e, int sequence) {
    int l, i;
    for (l = 0; l < e->setup.config.n_layers; l++) {
        for (i = 0; i < e->setup.n_lanes[l]; i++) {
            if (!check_spans(e, sequence, l, i)) {
                return 0;
            }
        }
        if (!check_counters(e, sequence, l)) {
            return 0;
        }
    }
    return 1;
}

/* How far back every target is legal, what a closed gap has left behind apart; `most` is far enough for what is
 * asked. */
static uint64_t depth_of(const model *m, uint64_t most) {
    uint64_t n = 0, left = m->left > m->left_copy ? m->left : m->left_copy;
    while (m->seen - n > left && n < most && model_may_rollback(m, m->seen - n - 1) == MAY(SA_SUCCESS)) {
        n++;
    }
    return n;
}

/* What all lanes can take back. */
static int check_depth(episode *e, int sequence, int layer, uint64_t depth) {
    uint64_t least = 200;
    int i;
    for (i = 0; i < e->setup.n_lanes[layer]; i++) {
        const model *m = &e->models[sequence][layer][i];
        if (depth > m->seen || !(model_may_rollback(m, m->seen - depth) & MAY(SA_SUCCESS))) {
            return say_wrong(e, "rollback_now %llu is not legal", (unsigned long long)depth);
        }
        least = depth_of(m, least);
    }
    if (depth < least) {
        return say_wrong(e, "rollback_now %llu, but %llu is legal", (unsigned long long)depth,
                         (unsigned long long)least);
    }
    return 1;
}

/* What stands before the tokens among the weights of keys. */
static int check_rows(episode *e, int sequence, int layer, const sa_cache_facts *info) {
    const sa_config *c = setup_layer(&e->setup, layer);
    int64_t front = (c->sink_logits != NULL) + c->n_sink_kv + c->n_rows;
    if ((int)info->rows_used != rows_used(&e->rows[sequence][layer])) {
        return say_wrong(e, "%d rows used, not %d", (int)info->rows_used, rows_used(&e->rows[sequence][layer]));
    }
    if ((int64_t)info->keys_in_front != front || info->keys_most < info->keys_in_front + info->tokens_held) {
        return say_wrong(e, "%d keys in front, not %d; %d at most", (int)info->keys_in_front, (int)front,
                         (int)info->keys_most);
    }
    return 1;
}

int check_info(episode *e, int sequence, int layer) {
    int64_t visible = 0, own;
    sa_cache_facts info;
    sa_status status;
    int i;
    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    status = sa_cache_info(e->worlds[0].caches[sequence], layer, &info);
    if (status != SA_SUCCESS) {
        return say_wrong(e, "sa_cache_info: %s", sa_status_string(status));
    }
    for (i = 0; i < e->setup.n_lanes[layer]; i++) {
        own = model_visible_to_newest(&e->models[sequence][layer][i]);
        visible = own > visible ? own : visible;
    }
    if (info.n_draft != e->trees[sequence][layer].n) {
        return say_wrong(e, "%d nodes, not %d", info.n_draft, e->trees[sequence][layer].n);
    }
    if ((int64_t)info.positions_held != visible || info.n_lanes != e->setup.n_lanes[layer]) {
        return say_wrong(e, "positions_held %llu, not %lld, or %d lanes", (unsigned long long)info.positions_held,
                         (long long)visible, info.n_lanes);
    }
    return check_rows(e, sequence, layer, &info) && check_depth(e, sequence, layer, info.rollback_now);
}

int check_pool(episode *e) {
    int w, i, open = 0;
    for (i = 0; i < RANDOM_SEQUENCES; i++) {
        open += e->is_open[i];
    }
    for (w = 0; w < e->n_worlds; w++) {
        pool_facts facts;
        if (!world_facts(&e->worlds[w], 0, 0, &facts)) {
            return say_wrong(e, "world %d: no facts of the pool", w);
        }
        if (facts.n_open != open || facts.n_sequences != e->setup.config.n_sequences) {
            return say_wrong(e, "world %d: %d of %d sequences open, not %d of %d", w, facts.n_open, facts.n_sequences,
                             open, e->setup.config.n_sequences);
        }
        if (facts.tiles_free > facts.tiles || facts.pool_size != e->worlds[w].size) {
            return say_wrong(e, "world %d: facts of the pool", w);
        }
    }
    return 1;
}

/* --------------------------------- results --------------------------------- */

static double bar_of(const oracle_layer *l, const oracle_row *row) {
    double bar = kind_of(l) == KIND_F32 ? BAR_F32 : BAR_F16;
    if (fabs(row->max) > 16.0 && row->max != -INFINITY) {
        bar *= fabs(row->max) / 16.0;
        found.far_rows++;
    }
    bar += logit_bar(l) * (row->max > 0.0 ? 1.0 + row->max : 1.0);
    /* The model does not round weights as the library does where values are integers. */
    return bar + weight_bar(l) * (1.0 + 0.5 * (double)row->n_visible);
}

/* As bars.h says of out: beyond 16, the last bit of a logit is more than the bar. */
double share_bar(const oracle_layer *l, const oracle_row *row) {
    double size = 1.0 + fabs(row->lse), loose = row->lse > -INFINITY ? logit_bar(l) : 0.0;
    double far = row->max > -INFINITY && fabs(row->max) > 16.0 ? fabs(row->max) / 16.0 : 1.0;
    return far * BAR_MASS + (loose > 0.0 ? loose * size : 0.0);
}

static int check_facts(episode *e, const oracle_layer *l, const oracle_row *row, float lse, float mass) {
    double size = 1.0 + fabs(row->lse), loose = row->lse > -INFINITY ? logit_bar(l) : 0.0;
    int holds = row->lse == -INFINITY ? lse == -INFINITY : fabs(lse - row->lse) <= (BAR_LSE + loose) * size;
    if (!holds) {
        return say_wrong(e, "lse %.9g, model %.9g, sees %lld", lse, row->lse, (long long)row->n_visible);
    }
    if (!(fabs(mass - row->sink_mass) <= share_bar(l, row)) || !(mass >= 0.0f && mass <= 1.0f)) {
        return say_wrong(e, "sink mass %.9g, model %.9g, sees %lld", mass, row->sink_mass, (long long)row->n_visible);
    }
    return 1;
}

/* With a trace: what a query sees. */
static void say_sight(const sight *s) {
    int i;
    for (i = 0; i < s->n && found.trace; i++) {
        const seen_token *seen = s->list + i;
        printf("%s%llu at %lld%s%s%s", i ? ", " : "  sees ", (unsigned long long)seen->item->from,
               (long long)seen->distance, seen->is_sink ? " sink" : "", seen->is_recent ? " recent" : "",
               seen->item->copy_may_go ? " copy may be gone" : "");
    }
    if (found.trace) {
        printf(" from place %lld\n", (long long)s->place);
    }
}

const model *model_of(const episode *e, const step *call, int kv_head) {
    return &e->models[call->sequence][call->layer][setup_lane(&e->setup, call->layer, kv_head)];
}

int check_row(episode *e, const model *m, int head, const float *q, const results *r, int64_t at) {
    const oracle_layer *l = &e->setup.layers[m->layer]->layer;
    const float *out = r->out + at * l->v_head_dim;
    double most = e->setup.v_most[m->layer], worst = 0.0;
    static oracle_row row;
    int d, where = 0;
    model_attend(m, &e->sight, head, q, &row, NULL);
    for (d = 0; d < l->v_head_dim; d++) {
        double off = fabs(out[d] - row.out[d]);
        if (!(off <= worst)) {
            worst = off <= INFINITY ? off : INFINITY;
            where = d;
        }
    }
    found.rows++;
    if (!(worst <= bar_of(l, &row) * most)) {
        say_sight(&e->sight);
        return say_wrong(e, "layer %d t=%llu head %d dim %d: %.9g, model %.9g, sees %lld", m->layer,
                         (unsigned long long)e->sight.t, head, where, (double)out[where], row.out[where],
                         (long long)row.n_visible);
    }
    found.worst[kind_of(l)] = fmax(found.worst[kind_of(l)], most > 0.0 ? worst / most : 0.0);
    return check_facts(e, l, &row, r->lse[at], r->mass[at]);
}

static int check_token(episode *e, const step *call, const results *r, int64_t i, int head) {
    const oracle_layer *l = &e->setup.layers[call->layer]->layer;
    const model *m = model_of(e, call, head / (l->n_heads / l->n_kv_heads));
    int64_t at = i * l->n_heads + head;
    model_look(m, call->first + (uint64_t)i, call->view, &e->sight);
    return e->sight.is_vague || check_row(e, m, head, call->in.q + at * l->head_dim, r, at);
}

int check_results(episode *e, const step *call, const results *r) {
    const oracle_layer *l = &e->setup.layers[call->layer]->layer;
    int i, rows = 6;
    for (i = 0; i < rows && call->n > 0; i++) {
        int64_t token = i == 0 ? call->n - 1 : rng_in(&e->rng, 0, call->n - 1);
        if (!check_token(e, call, r, token, (int)rng_in(&e->rng, 0, l->n_heads - 1))) {
            return 0;
        }
    }
    return check_masses(e, call, r);
}

static int is_untouched(const float *x, size_t n) {
    const unsigned char *bytes = (const unsigned char *)x;
    size_t i;
    for (i = 0; i < n * sizeof *x; i++) {
        if (bytes[i] != 0xFF) {
            return 0;
        }
    }
    return 1;
}

int check_untouched(episode *e, const results *r) {
    int holds = is_untouched(r->out, r->rows * r->dims) && is_untouched(r->lse, r->rows) &&
                is_untouched(r->mass, r->rows) && is_untouched(r->keys, r->n_keys) &&
                is_untouched(r->norms, r->n_norms);
    return holds ? 1 : say_wrong(e, "a call that was refused has written results");
}

int check_twin(episode *e, int world, const results *a, const results *b) {
    const char *what = memcmp(a->out, b->out, a->rows * a->dims * sizeof(float)) ? "out"
                       : memcmp(a->lse, b->lse, a->rows * sizeof(float))         ? "lse"
                       : memcmp(a->mass, b->mass, a->rows * sizeof(float))       ? "sink_mass"
                       : memcmp(a->keys, b->keys, a->n_keys * sizeof(float))     ? "key_mass"
                       : memcmp(a->norms, b->norms, a->n_norms * sizeof(float))  ? "value_norms"
                                                                                 : NULL;
    size_t i;
    if (!what) {
        return 1;
    }
    for (i = 0; i < a->rows * a->dims && a->out[i] == b->out[i]; i++) {
    }
    return say_differ(e, world, "%s of %zu rows, first at %zu: %.9g, %.9g", what, a->rows, i,
                      i < a->rows * a->dims ? (double)a->out[i] : 0.0, i < a->rows * a->dims ? (double)b->out[i] : 0.0);
}
