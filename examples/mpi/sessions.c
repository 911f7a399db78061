/*
 * Sessions handed from rank to rank by snapshot: what a cluster does to balance its load, or to empty a machine.
 *
 * SPDX-License-Identifier: MIT
 *
 * After each turn, every session goes to the next rank, its snapshot and its digest in one message. What it says must
 * not depend on where it was.
 */
#include "mpi_example.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SESSIONS = 4, TURNS = 4, TURN_TOKENS = 400, SINKS = 4, WINDOW = 252, FIRST_STREAM = 10 };

typedef struct session {
    sa_cache *cache; /* NULL: it is on another rank */
    uint64_t digest;
} session;

/* A session on its way. */
typedef struct parcel {
    char *bytes; /* the digest, then the snapshot */
    size_t size;
    MPI_Request sent;
} parcel;

static sa_pool *open_pool(void) {
    sa_config config = {.struct_size = sizeof config,
                        .n_layers = 1,
                        .max_append = 1,
                        .n_heads = HEADS,
                        .n_kv_heads = KV_HEADS,
                        .head_dim = HEAD_DIM,
                        .n_sink = SINKS,
                        .window = WINDOW,
                        .k_dtype = SA_F16,
                        .v_dtype = SA_F16,
                        .position = SA_POSITION_ROPE,
                        .n_sequences = SESSIONS + 1}; /* and one that stays at home */
    sa_pool *pool = NULL;
    const char *why = "";
    sa_config_check(&config, &why, NULL);
    expect(sa_pool_create(&config, NULL, &pool), why);
    return pool;
}

static void take_turn(session *s, int number, int turn) {
    for (int i = 0; i < TURN_TOKENS; i++) {
        token t;
        float out[Q_SIZE];
        make_token(&t, FIRST_STREAM + (uint32_t)number, (uint64_t)(turn * TURN_TOKENS + i));
        expect(sa_append_attend(s->cache, 0, 1, t.q, t.k, t.v, out), sa_cache_error(s->cache));
        s->digest = digest_add(s->digest, out, Q_SIZE);
    }
}

/* The session leaves: its tiles are free for others as soon as the parcel is packed. */
static void send_session(session *s, int number, int to, parcel *p) {
    size_t size = 0, written = 0;
    expect(sa_cache_save_size(s->cache, 0, &size), sa_cache_error(s->cache));
    p->size = sizeof s->digest + size;
    p->bytes = need(p->size, 1);
    memcpy(p->bytes, &s->digest, sizeof s->digest);
    expect(sa_cache_save(s->cache, 0, p->bytes + sizeof s->digest, size, &written), sa_cache_error(s->cache));
    sa_cache_destroy(s->cache);
    s->cache = NULL;
    MPI_Isend(p->bytes, (int)p->size, MPI_BYTE, to, number, MPI_COMM_WORLD, &p->sent);
}

static void receive_session(session *s, int number, int from, sa_pool *pool) {
    MPI_Status about;
    int size = 0;
    MPI_Probe(from, number, MPI_COMM_WORLD, &about);
    MPI_Get_count(&about, MPI_BYTE, &size);
    char *bytes = need((size_t)size, 1);
    MPI_Recv(bytes, size, MPI_BYTE, from, number, MPI_COMM_WORLD, &about);
    memcpy(&s->digest, bytes, sizeof s->digest);
    expect(sa_pool_open(pool, &s->cache), sa_pool_error(pool));
    expect(sa_cache_load(s->cache, bytes + sizeof s->digest, (size_t)size - sizeof s->digest),
           sa_cache_error(s->cache));
    free(bytes);
}

/* Every session goes from the rank of this turn to that of the next one. */
static void hand_over(session *all, int turn, ranks r, sa_pool *pool) {
    parcel parcels[SESSIONS] = {{0}};
    for (int s = 0; s < SESSIONS; s++) {
        if (all[s].cache != NULL) {
            send_session(&all[s], s, (s + turn + 1) % r.count, &parcels[s]);
        }
    }
    for (int s = 0; s < SESSIONS; s++) {
        if ((s + turn + 1) % r.count == r.rank) {
            receive_session(&all[s], s, (s + turn) % r.count, pool);
        }
    }
    for (int s = 0; s < SESSIONS; s++) {
        if (parcels[s].bytes != NULL) {
            MPI_Wait(&parcels[s].sent, MPI_STATUS_IGNORE);
            free(parcels[s].bytes);
        }
    }
}

/* The digest of a session that never leaves its rank. */
static uint64_t digest_at_home(sa_pool *pool, int number) {
    session s = {.digest = digest_begin()};
    expect(sa_pool_open(pool, &s.cache), sa_pool_error(pool));
    for (int turn = 0; turn < TURNS; turn++) {
        take_turn(&s, number, turn);
    }
    sa_cache_destroy(s.cache);
    return s.digest;
}

/* Prints the digests, which come to rank 0 from where the sessions ended. */
static void report(const session *all, ranks r, sa_pool *pool) {
    uint64_t mine[SESSIONS] = {0}, digests[SESSIONS] = {0};
    int same = 0;
    for (int s = 0; s < SESSIONS; s++) {
        mine[s] = all[s].cache != NULL ? all[s].digest : 0;
    }
    MPI_Reduce(mine, digests, SESSIONS, MPI_UINT64_T, MPI_BOR, 0, MPI_COMM_WORLD);
    for (int s = 0; s < SESSIONS && r.rank == 0; s++) {
        printf("sessions digest %016llx\n", (unsigned long long)digests[s]);
        same += digests[s] == digest_at_home(pool, s);
    }
    if (r.rank == 0) {
        printf("sessions: %d of %d as if they had never moved\n", same, SESSIONS);
    }
}

void run_sessions(ranks r) {
    sa_pool *pool = open_pool();
    session all[SESSIONS] = {{0}};
    for (int s = 0; s < SESSIONS; s++) {
        if (s % r.count == r.rank) {
            expect(sa_pool_open(pool, &all[s].cache), sa_pool_error(pool));
            all[s].digest = digest_begin();
        }
    }
    for (int turn = 0; turn < TURNS; turn++) {
        for (int s = 0; s < SESSIONS; s++) {
            if (all[s].cache != NULL) {
                take_turn(&all[s], s, turn);
            }
        }
        if (turn + 1 < TURNS) {
            hand_over(all, turn, r, pool);
        }
    }
    report(all, r, pool);
    sa_pool_destroy(pool);
}
