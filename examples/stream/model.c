/*
 * Opening a model file of either format, and closing it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "model.h"

#include <stdlib.h>
#include <string.h>

bool model_from_bytes(model *m, uint8_t *bytes, size_t n_bytes, failure *why) {
    memset(m, 0, sizeof *m);
    m->bytes = bytes;
    m->n_bytes = n_bytes;
    bool is_gguf = n_bytes >= 4 && memcmp(bytes, "GGUF", 4) == 0;
    if (!(is_gguf ? load_gguf(m, why) : load_llama2c(m, why))) {
        model_close(m);
        return false;
    }
    return true;
}

bool model_open(model *m, const char *path, failure *why) {
    size_t n_bytes = 0;
    uint8_t *bytes = read_file(path, &n_bytes, why);
    if (bytes == NULL) {
        return false;
    }
    if (!model_from_bytes(m, bytes, n_bytes, why)) {
        return fail_in(why, path);
    }
    m->path = path;
    return true;
}

void model_close(model *m) {
    for (size_t i = 0; i < m->n_owned; i++) {
        free(m->owned[i]);
    }
    free(m->owned);
    gguf_close(&m->file);
    free(m->bytes);
    memset(m, 0, sizeof *m);
}

bool model_layer_is_local(const model *m, int32_t layer) {
    return m->local_window > 0 && (m->local_period == 1 || (layer + 1) % m->local_period != 0);
}

int32_t model_local_layers(const model *m) {
    int32_t n = 0;
    for (int32_t i = 0; i < m->n_layers; i++) {
        n += model_layer_is_local(m, i);
    }
    return n;
}

void *model_allocate(model *m, uint64_t count, size_t size, failure *why) {
    void **owned = realloc(m->owned, (m->n_owned + 1) * sizeof *owned);
    if (owned == NULL) {
        fail(why, "out of memory");
        return NULL;
    }
    m->owned = owned;
    void *memory = allocate(count, size, why);
    if (memory != NULL) {
        m->owned[m->n_owned++] = memory;
    }
    return memory;
}
