/*
 * What the three programs share: the stream that every rank can compute for itself, digests, and how a call that failed
 * ends the run.
 *
 * SPDX-License-Identifier: MIT
 *
 * A real host has queries, keys and values from its layers. Here each number follows from (stream, token, tensor), so
 * that a rank makes those that it needs, whatever the number of ranks.
 */
#ifndef MPI_EXAMPLE_H
#define MPI_EXAMPLE_H

#include <mpi.h>
#include <sinkattn.h>
#include <stdint.h>

enum { HEADS = 8, KV_HEADS = 4, HEAD_DIM = 64, Q_SIZE = HEADS * HEAD_DIM, KV_SIZE = KV_HEADS * HEAD_DIM };

/* One token of a stream: (heads, head_dim) each. */
typedef struct token {
    float q[Q_SIZE], k[KV_SIZE], v[KV_SIZE];
} token;

/* Which process this is, of how many. */
typedef struct ranks {
    int rank, count;
} ranks;

void make_token(token *t, uint32_t stream, uint64_t position);

/* The digest of nothing, and of what came before and n floats more (FNV-1a over their bytes, lowest first). */
uint64_t digest_begin(void);
uint64_t digest_add(uint64_t digest, const float *x, int n);

/* Ends the whole run, on all ranks, with the library's sentence, if a call has failed. */
void expect(sa_status status, const char *why);
/* Memory, or the end of the run. */
void *need(size_t count, size_t size);

/* The three programs. Each prints, on rank 0, lines that begin with its name; "digest" lines do not depend on the
 * number of ranks. */
void run_split(ranks r, int piece_tokens);
void run_heads(ranks r);
void run_sessions(ranks r);

#endif
