/*
 * Logits to a file, chunk by chunk.
 *
 * SPDX-License-Identifier: MIT
 */
#include "logits.h"

#include "score.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool write_ids(const options *o, const id_list *ids, int64_t n, failure *why) {
    char path[4096];
    if (snprintf(path, sizeof path, "%s.ids", o->out_path) >= (int)sizeof path) {
        return fail(why, "the name %.60s... is too long", o->out_path);
    }
    FILE *out = fopen(path, "w");
    bool ok = out != NULL;
    for (int64_t i = 0; ok && i < n; i++) {
        ok = fprintf(out, "%d\n", (int)ids->ids[i]) > 0;
    }
    ok = (out == NULL || fclose(out) == 0) && ok;
    return ok || fail(why, "cannot write %.200s: %s", path, strerror(errno));
}

/* The logits of the last feed, SCORE_BATCH tokens at a time. */
static bool write_fed(const stream *s, float *room, FILE *out) {
    bool ok = true;
    for (int32_t done = 0; ok && done < s->fed; done += SCORE_BATCH) {
        int32_t batch = s->fed - done < SCORE_BATCH ? s->fed - done : SCORE_BATCH;
        size_t count = (size_t)batch * (size_t)s->m->n_vocab;
        stream_logits(s, done, batch, room);
        ok = fwrite(room, sizeof *room, count, out) == count;
    }
    return ok;
}

static bool write_all(const options *o, stream *s, const id_list *ids, int64_t n, FILE *out, failure *why) {
    float *room = score_room(s->m, why);
    bool ok = room != NULL;
    for (int64_t at = 0; ok && at < n; at += s->fed) {
        int32_t chunk = (int32_t)(n - at < s->chunk ? n - at : s->chunk);
        int result = stream_feed(s, chunk, ids->ids + at, why);
        if (result == FEED_FULL) {
            fail(why, "the dense cache is full at token %lld; a larger --window goes further", (long long)at);
        }
        ok = result == FEED_OK &&
             (write_fed(s, room, out) || fail(why, "cannot write %.200s: %s", o->out_path, strerror(errno)));
    }
    free(room);
    return ok;
}

bool write_logits(const options *o, const model *m, const id_list *ids, failure *why) {
    int64_t n = o->tokens > 0 && o->tokens < (int64_t)ids->n ? o->tokens : (int64_t)ids->n;
    stream s;
    if (o->out_path == NULL) {
        return fail(why, "say where to: --out FILE");
    }
    if (!write_ids(o, ids, n, why) || !stream_open(&s, m, &o->stream, why)) {
        return false;
    }
    FILE *out = fopen(o->out_path, "wb");
    bool ok = out != NULL ? write_all(o, &s, ids, n, out, why)
                          : fail(why, "cannot write %.200s: %s", o->out_path, strerror(errno));
    if (out != NULL && fclose(out) != 0 && ok) {
        ok = fail(why, "cannot write %.200s: %s", o->out_path, strerror(errno));
    }
    stream_close(&s);
    if (ok) {
        printf("%lld tokens, %d logits each\n", (long long)n, (int)m->n_vocab);
    }
    return ok;
}
