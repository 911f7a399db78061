/* The default allocator: the only caller of malloc and free.
 *
 * SPDX-License-Identifier: MIT
 *
 * C99 has no aligned allocation: a larger block is taken, and its start kept just below ours.
 */
#include "memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *sai_memory_alloc(void *user, size_t size, size_t alignment) {
    (void)user;
    size_t extra = alignment + sizeof(void *);
    if (size > SIZE_MAX - extra) return NULL;
    char *block = (char *)calloc(1, size + extra); /* zeroed by the system, page by page as touched */
    if (!block) return NULL;
    char *memory = block + sizeof(void *);
    memory += (alignment - (uintptr_t)memory % alignment) % alignment;
    memcpy(memory - sizeof(void *), &block, sizeof block);
    return memory;
}

void sai_memory_free(void *user, void *memory, size_t size) {
    (void)user;
    (void)size;
    char *block;
    memcpy(&block, (char *)memory - sizeof(void *), sizeof block);
    free(block);
}
