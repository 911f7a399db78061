/*
 * The stream that every rank can compute for itself, digests, and the end of a run that failed.
 *
 * SPDX-License-Identifier: MIT
 */
#include "mpi_example.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Mixes all bits of x into all bits of the result (the finisher of splitmix64). */
static uint64_t mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static void draw(uint64_t seed, float *x, int n) {
    uint32_t s = (uint32_t)mix(seed) | 1;
    for (int i = 0; i < n; i++) {
        s ^= s << 13;
        s ^= s >> 17;
        s ^= s << 5;
        x[i] = (float)(s >> 8) * 0x1p-23f - 1.0f;
    }
}

void make_token(token *t, uint32_t stream, uint64_t position) {
    uint64_t seed = mix(stream) ^ position * 3;
    draw(seed, t->q, Q_SIZE);
    draw(seed + 1, t->k, KV_SIZE);
    draw(seed + 2, t->v, KV_SIZE);
}

uint64_t digest_begin(void) { return 0xcbf29ce484222325u; }

uint64_t digest_add(uint64_t digest, const float *x, int n) {
    for (int i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        for (int b = 0; b < 32; b += 8) {
            digest = (digest ^ (bits >> b & 255)) * 0x100000001b3u;
        }
    }
    return digest;
}

void expect(sa_status status, const char *why) {
    if (status != SA_SUCCESS) {
        fprintf(stderr, "sinkattn: %s: %s\n", sa_status_string(status), why);
        MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
    }
}

void *need(size_t count, size_t size) {
    void *memory = calloc(count > 0 ? count : 1, size);
    if (memory == NULL) {
        expect(SA_ERR_MEMORY, "no memory for the host's own arrays");
    }
    return memory;
}
