/* Reads, checks and completes what the host configures.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_CONFIG_H
#define SAI_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "../include/sinkattn.h"

/* Copies a struct that starts with its size: a shorter one (>= first bytes, the first version) is completed
 * with zeros, a longer one is taken if all we do not know is zero. SA_SUCCESS or SA_ERR_STRUCT_SIZE. */
sa_status sai_read_struct(void *to, size_t size, size_t first, const void *from);

/* Where a check ended: the reason is a constant sentence, the layer -1 for the whole cache. */
typedef struct sai_verdict {
    const char *why;
    int32_t layer;
} sai_verdict;

/* Both copy, check, and put defaults in place of zeros; pointers stay the host's. */
sa_status sai_config_cache(const sa_config *config, sa_config *out, sai_verdict *verdict);
sa_status sai_config_layer(const sa_config *cache_config, int32_t layer, sa_config *out, sai_verdict *verdict);

#endif
