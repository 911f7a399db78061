/*
 * One cache over many processes, in three ways: keys split by position, heads split, sessions handed on.
 *
 * SPDX-License-Identifier: MIT
 *
 *     mpirun -n 4 mpi [tokens a piece]
 *
 * Lines with "digest" are the same for any number of ranks, from 1 to as many as there are kv heads.
 */
#include "mpi_example.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    ranks r;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &r.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &r.count);
    int piece_tokens = argc > 1 ? atoi(argv[1]) : 1000;
    if (r.count > KV_HEADS || piece_tokens < 1 || piece_tokens > 1 << 24) {
        if (r.rank == 0) {
            fprintf(stderr, "usage: mpirun -n RANKS mpi [tokens a piece]; at most %d ranks\n", KV_HEADS);
        }
        MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
    }
    run_split(r, piece_tokens);
    run_heads(r);
    run_sessions(r);
    MPI_Finalize();
    return EXIT_SUCCESS;
}
