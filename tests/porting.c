/*
 * The plain list of tokens that test_porting.c compares a cache with.
 *
 * SPDX-License-Identifier: MIT
 */
#include "porting.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "compare.h"

static float number(int id, int layer, int what, int i) {
    uint64_t x = (uint64_t)(((id * LAYERS + layer) * 3 + what) * HEADS * DIM + i + 1) * 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 31)) * 0xBF58476D1CE4E5B9u;
    return (float)(int32_t)(x >> 40) * 0x1p-23f - 1.0f;
}

/* A head of a token, rotated to a position. */
static void rotated(const list *l, int id, int layer, int what, int head, int position, double *out) {
    for (int i = 0; i < DIM; i++) out[i] = number(id, layer, what, head * DIM + i);
    for (int j = 0; j < DIM / 2; j++) {
        double angle = position * pow(10000, -2.0 * j / DIM);
        int a = l->pairs_apart == 1 ? 2 * j : j, b = a + l->pairs_apart;
        double x = out[a], y = out[b];
        out[a] = x * cos(angle) - y * sin(angle);
        out[b] = x * sin(angle) + y * cos(angle);
    }
}

static double score(const list *l, const double *q, int index, int layer, int kv_head) {
    double k[DIM], sum = 0;
    rotated(l, l->tokens[index].id, layer, PORTING_K, kv_head, l->by_index ? index : l->tokens[index].position, k);
    for (int i = 0; i < DIM; i++) sum += q[i] * k[i];
    return exp(sum / sqrt(DIM));
}

/* One head of the newest token's attention over the list. */
static void list_attend_head(const list *l, int layer, int head, float *out) {
    int newest = l->n - 1, kv_head = head / (HEADS / KV_HEADS);
    double q[DIM], sum = 0, values[DIM] = {0};
    rotated(l, l->tokens[newest].id, layer, PORTING_Q, head, l->by_index ? newest : l->tokens[newest].position, q);
    for (int u = 0; u < l->n; u++) {
        double weight = score(l, q, u, layer, kv_head);
        sum += weight;
        for (int i = 0; i < DIM; i++)
            values[i] += weight * number(l->tokens[u].id, layer, PORTING_V, kv_head * DIM + i);
    }
    for (int i = 0; i < DIM; i++) out[i] = (float)(values[i] / sum);
}

void list_attend(const list *l, int layer, float *out) {
    for (int h = 0; h < HEADS; h++) list_attend_head(l, layer, h, out + h * DIM);
}

static void list_delete(list *l, int index) {
    memmove(&l->tokens[index], &l->tokens[index + 1], (size_t)(l->n - index - 1) * sizeof *l->tokens);
    l->n--;
}

void list_append(list *l, int id) {
    listed token = {id, l->next++};
    l->tokens[l->n++] = token;
    if (l->max && l->n > l->max) list_delete(l, l->keep);
}

void list_rm(list *l, int p0, int p1) {
    for (int i = l->n - 1; i >= 0; i--)
        if (l->tokens[i].position >= p0 && (p1 < 0 || l->tokens[i].position < p1)) list_delete(l, i);
    l->next = l->n ? l->tokens[l->n - 1].position + 1 : 0;
}

void list_add(list *l, int p0, int delta) {
    for (int i = 0; i < l->n; i++)
        if (l->tokens[i].position >= p0) l->tokens[i].position += delta;
    l->next += delta;
}

void porting_fill(float *to, int id, int n, int layer, int what, int heads) {
    for (int i = 0; i < n * heads * DIM; i++) to[i] = number(id + i / (heads * DIM), layer, what, i % (heads * DIM));
}

void list_outputs(const list *l, int id, int n, int layer, float *out) {
    list copy = *l;
    for (int i = 0; i < n; i++) {
        list_append(&copy, id + i);
        list_attend(&copy, layer, out + i * HEADS * DIM);
    }
}

const char *porting_feed(sa_cache *cache, list *l, int id, int n) {
    static float q[MOST * HEADS * DIM], k[MOST * KV_HEADS * DIM], v[MOST * KV_HEADS * DIM], out[MOST * HEADS * DIM],
        expected[MOST * HEADS * DIM];
    static char text[100];
    for (int layer = 0; layer < LAYERS; layer++) {
        porting_fill(q, id, n, layer, PORTING_Q, HEADS);
        porting_fill(k, id, n, layer, PORTING_K, KV_HEADS);
        porting_fill(v, id, n, layer, PORTING_V, KV_HEADS);
        compare_forget(out, sizeof out);
        if (sa_append_attend(cache, layer, n, q, k, v, out)) return sa_cache_error(cache);
        list_outputs(l, id, n, layer, expected);
        comparison made = compare_floats(out, expected, n * HEADS * DIM);
        snprintf(text, sizeof text, "layer %d, element %ld: %g, not %g", layer, (long)made.at, made.got, made.expected);
        if (!compare_holds(&made, n * HEADS * DIM, PORTING_BOUND)) return text;
    }
    for (int i = 0; i < n; i++) list_append(l, id + i);
    return NULL;
}
