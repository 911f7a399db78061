/* The default allocator: the only caller of malloc and free.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SAI_MEMORY_H
#define SAI_MEMORY_H

#include <stddef.h>

/* Zeroed memory at a multiple of `alignment` (a power of two), or NULL. */
void *sai_memory_alloc(void *user, size_t size, size_t alignment);
void sai_memory_free(void *user, void *memory, size_t size);

#endif
