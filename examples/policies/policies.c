/*
 * Policies side by side: perplexity, and recall of what was read long ago, at equal bytes.
 *
 * SPDX-License-Identifier: MIT
 *
 *     policies MODEL.gguf TEXT CSV BUDGET DISTANCE TOKENS TRIALS [NAME...]
 *
 * Adds a line `policy,model,bytes,ppl,recall` per policy to CSV, and prints it. Perplexity is that of TOKENS tokens a
 * tenth into the text; recall the share of questions about facts DISTANCE tokens back that were answered right. Without
 * a name all policies run.
 */
#include "../stream/score.h"
#include "recall.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const policy *const policies[] = {&policy_dense, &policy_window, &policy_sinks,  &policy_mean,
                                         &policy_h2o,   &policy_snapkv, &policy_memory, &policy_duo};
enum { N_POLICIES = sizeof policies / sizeof policies[0] };

/* What all policies share. */
typedef struct bench {
    model m;
    tokenizer *t;
    id_list text;
    size_t from; /* where the stretch begins whose perplexity is measured: a tenth into the text, behind front matter */
    int32_t budget, tokens;
    recall task; /* its counts are those of one policy */
    FILE *csv;
} bench;

void *policy_allocate(policy_run *run, uint64_t count, size_t size, failure *why) {
    if (run->n_owned > 0 && run->owned[run->n_owned - 1] == NULL) {
        return NULL;
    }
    if (run->n_owned == POLICY_OWNED) {
        fail(why, "%s: more than %d arrays", run->policy->name, POLICY_OWNED);
        return NULL;
    }
    return run->owned[run->n_owned++] = allocate(count, size, why);
}

uint64_t policy_bytes(const policy_run *run) {
    uint64_t bytes = run->own_bytes;
    for (int32_t i = 0; i < run->n_layers; i++) {
        sa_cache_facts info = {.struct_size = sizeof info};
        sa_cache_info(run->s.cache, i, &info);
        bytes += info.kv_size;
    }
    return bytes;
}

/* Tokens are appended one at a time, in calls of many: so no policy holds more than its budget for a moment. */
static void configure(void *context, sa_config *config) {
    policy_run *run = context;
    config->max_append = 1;
    if (run->policy->configure != NULL) {
        run->policy->configure(context, config);
    }
    run->n_layers = config->n_layers;
}

static bool open_run(policy_run *run, failure *why) {
    stream_options options = {.policy = SA_POLICY_SINK_WINDOW,
                              .sinks = POLICY_SINKS,
                              .window = run->budget - POLICY_SINKS,
                              .kv_dtype = SA_F32,
                              .chunk = POLICY_CHUNK,
                              .threads = set_threads(0),
                              .configure = configure,
                              .configure_context = run};
    if (run->policy->begin != NULL && !run->policy->begin(run, why)) {
        return false;
    }
    if (!stream_open(&run->s, run->m, &options, why)) {
        return false;
    }
    run->s.attend = run->policy->attend;
    run->s.attend_context = run;
    return true;
}

static void close_run(policy_run *run) {
    stream_close(&run->s);
    for (int32_t i = 0; i < run->n_owned; i++) {
        free(run->owned[i]);
    }
}

static bool measure_perplexity(const bench *b, policy_run *run, double *perplexity, failure *why) {
    tally all = {0};
    double nats[POLICY_CHUNK];
    float *room = score_room(&b->m, why);
    bool ok = room != NULL;
    for (int32_t at = 0; ok && at < b->tokens; at += POLICY_CHUNK) {
        int32_t n = b->tokens - at < POLICY_CHUNK ? b->tokens - at : POLICY_CHUNK;
        const int32_t *ids = b->text.ids + b->from + at;
        ok = stream_feed(&run->s, n, ids, why) == FEED_OK;
        if (ok) {
            score_tokens(&run->s, 0, n, ids + 1, room, nats);
        }
        for (int32_t i = 0; ok && i < n; i++, all.n++) {
            all.nats += nats[i];
        }
    }
    free(room);
    *perplexity = perplexity_of(&all);
    return ok;
}

static bool run_policy(bench *b, const policy *p, const char *name, failure *why) {
    recall task = b->task;
    double perplexity = 0;
    policy_run run = {.policy = p, .m = &b->m, .budget = b->budget};
    run.longest = b->tokens > recall_tokens(&task) ? b->tokens : recall_tokens(&task);
    bool ok = open_run(&run, why) && measure_perplexity(b, &run, &perplexity, why) && recall_run(&task, &run, why);
    if (ok) {
        double share = (double)task.right / (double)task.asked;
        uint64_t bytes = policy_bytes(&run);
        printf("%-12s %-8s %12llu bytes, perplexity %8.3f, recall %3lld of %3lld, answers %6.2f nats a token\n",
               p->name, name, (unsigned long long)bytes, perplexity, (long long)task.right, (long long)task.asked,
               task.said.nats / (double)task.said.n);
        fprintf(b->csv, "%s,%s,%llu,%.4f,%.4f\n", p->name, name, (unsigned long long)bytes, perplexity, share);
        fflush(stdout);
    }
    close_run(&run);
    return ok;
}

static bool wanted(const policy *p, char **names) {
    bool found = *names == NULL;
    for (; *names != NULL; names++) {
        found = found || strcmp(*names, p->name) == 0;
    }
    return found;
}

/* "smollm2-135m-instruct.q4_1" of a path: what stands between the folder and .gguf. */
static void name_of(const char *path, char name[64]) {
    const char *base = strrchr(path, '/');
    snprintf(name, 64, "%.63s", base != NULL ? base + 1 : path);
    char *end = strstr(name, ".gguf");
    if (end != NULL) {
        *end = '\0';
    }
}

static bool open_bench(bench *b, char **argv, failure *why) {
    size_t size;
    char *text;
    b->budget = atoi(argv[4]);
    b->tokens = atoi(argv[6]);
    b->task = (recall){.distance = atoi(argv[5]), .trials = atoi(argv[7])};
    b->task.facts = b->task.distance >= 2000 ? 4 : 1; /* a small model is confused by many */
    if (b->budget <= POLICY_SINKS || b->tokens < 1 || b->task.distance < 1 || b->task.trials < 1) {
        return fail(why, "the budget must be above %d, and all other numbers above 0", POLICY_SINKS);
    }
    if (!model_open(&b->m, argv[1], why) || (b->t = tokenizer_open(&b->m.file, why)) == NULL ||
        (text = (char *)read_file(argv[2], &size, why)) == NULL) {
        return false;
    }
    bool ok = tokenizer_encode(b->t, text, size, false, &b->text, why);
    free(text);
    b->task.t = b->t;
    b->task.text = &b->text;
    b->from = b->text.n / 10;
    if (ok && (b->text.n <= b->from + (size_t)b->tokens || b->text.n <= (size_t)recall_tokens(&b->task))) {
        return fail(why, "%.200s has only %zu tokens", argv[2], b->text.n);
    }
    b->csv = ok ? fopen(argv[3], "ab") : NULL;
    if (ok && b->csv == NULL) {
        return fail(why, "cannot write %.200s", argv[3]);
    }
    return ok;
}

int main(int argc, char **argv) {
    bench b = {.budget = 0};
    failure why;
    char name[64];
    if (argc < 8) {
        fprintf(stderr, "policies MODEL.gguf TEXT CSV BUDGET DISTANCE TOKENS TRIALS [NAME...]\n");
        return EXIT_FAILURE;
    }
    bool ok = open_bench(&b, argv, &why);
    name_of(argv[1], name);
    for (int i = 0; ok && i < N_POLICIES; i++) {
        ok = !wanted(policies[i], argv + 8) || run_policy(&b, policies[i], name, &why);
    }
    if (b.csv != NULL && fclose(b.csv) != 0 && ok) {
        ok = fail(&why, "cannot write all of %.200s", argv[3]);
    }
    if (!ok) {
        fprintf(stderr, "policies: %s\n", why.text);
    }
    free(b.text.ids);
    tokenizer_close(b.t);
    model_close(&b.m);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
