/* The default allocator: the only caller of malloc and free.
 *
 * SPDX-License-Identifier: MIT
 *
 * C99 has no aligned allocation: a larger block is taken, and its start kept just below ours.
 */
#include "exact.h"

#if defined(__linux__) && !defined(_DEFAULT_SOURCE)
#define _DEFAULT_SOURCE 1 /* for madvise */
#endif
#include "memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __linux__
#include <sys/mman.h>
#endif

/* Asks for large pages: a token reads the whole cache, and with pages of 4 KiB waits for their
 * addresses. A refusal changes nothing. */
static void memory_advise_large_pages(void *memory, size_t size) {
#ifdef MADV_HUGEPAGE
    const uintptr_t page = (uintptr_t)1 << 21;
    uintptr_t start = ((uintptr_t)memory + page - 1) / page * page, end = ((uintptr_t)memory + size) / page * page;
    if (start < end) (void)madvise((void *)start, end - start, MADV_HUGEPAGE);
#else
    (void)memory;
    (void)size;
#endif
}

void *sai_memory_alloc(void *user, size_t size, size_t alignment) {
    (void)user;
    size_t extra = alignment + sizeof(void *);
    if (size > SIZE_MAX - extra) return NULL;
    char *block = (char *)calloc(1, size + extra); /* zeroed by the system, page by page as touched */
    if (!block) return NULL;
    memory_advise_large_pages(block, size + extra);
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
