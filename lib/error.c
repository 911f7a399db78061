/* Why a call was refused: the sentences.
 *
 * SPDX-License-Identifier: MIT
 */
#include "exact.h"

#include "error.h"

typedef struct error_entry {
    sa_status status;
    const char *sentence;
} error_entry;

#define ERROR_ENTRY(name, status, sentence) {status, sentence},
static const error_entry error_table[SAI_N_ERRORS] = {SAI_ERRORS(ERROR_ENTRY)};

sa_status sai_error_keep(sa_cache *cache, sai_error error) {
    cache->error = (int32_t)error;
    return error_table[error].status;
}

sa_status sai_error_keep_pool(sa_pool *pool, sai_error error) {
    pool->error = (int32_t)error;
    return error_table[error].status;
}

static const char *error_sentence(int32_t error) {
    return error >= 0 && error < SAI_N_ERRORS ? error_table[error].sentence
                                              : "the last error is not one of this library";
}

const char *sa_cache_error(const sa_cache *cache) { return cache ? error_sentence(cache->error) : "cache is NULL"; }

const char *sa_pool_error(const sa_pool *pool) { return pool ? error_sentence(pool->error) : "pool is NULL"; }
