/*
 * random OPERATIONS SEED [EPISODE]: runs so many operations, from that episode on; with an episode, traces it alone.
 *
 * The last line is "n operations, n wrong, n bits differ, n tiles leaked".
 *
 * SPDX-License-Identifier: MIT
 */
#define _POSIX_C_SOURCE 200112L
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../bars.h"
#include "random.h"

#define EPISODE_SECONDS 120 /* an ordinary one takes a tenth of a second, under valgrind some */

findings found;

/* Says where, so that a crash can be replayed too, and an endless loop. */
static void say_crash(int number) {
    printf("signal %d: seed %llu episode %ld\n", number, (unsigned long long)found.seed, found.episode);
    fflush(stdout);
    signal(number, SIG_DFL);
    raise(number);
}

static void say_counts(void) {
    int i;
    printf("%ld episodes, %ld rows compared (%ld with all logits beyond 16)\n", found.episode, found.rows,
           found.far_rows);
    printf("done/refused:");
    for (i = 0; i < 32; i++) {
        if (found.counts[i] + found.refused[i]) {
            printf(" %d:%ld/%ld", i, found.counts[i], found.refused[i]);
        }
    }
    printf("\nworst |out - model| / max |v|:");
    for (i = 0; i < KINDS; i++) {
        printf(" %s %.3g%s", kind_names[i], found.worst[i], i + 1 < KINDS ? "," : "\n");
    }
}

int main(int argc, char **argv) {
    long most = argc > 1 ? strtol(argv[1], NULL, 0) : 20000;
    int one = argc > 3;
    found.seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    found.episode = one ? strtol(argv[3], NULL, 0) : 0;
    found.trace = one;
    signal(SIGSEGV, say_crash);
    signal(SIGFPE, say_crash);
    signal(SIGABRT, say_crash);
    signal(SIGALRM, say_crash);
    printf("random: seed %llu, %ld operations\n", (unsigned long long)found.seed, most);
    fflush(stdout);
    do {
        source from = {{found.seed + (uint64_t)found.episode * 0x632BE59BD9B4E019u}, NULL, 0, 0};
        alarm(EPISODE_SECONDS);
        found.operations += episode_run(&from, one ? 1000000 : most - found.operations);
        found.episode++;
    } while (found.operations < most && !one);
    say_counts();
    printf("%ld operations, %ld wrong, %ld bits differ, %ld tiles leaked\n", found.operations, found.wrong,
           found.differ, found.leaked);
    return found.wrong || found.differ || found.leaked ? 1 : 0;
}
