/*
 * What the tests of snapshots know of their bytes, from docs/snapshot.md and not from lib/.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SA_TESTS_SNAPSHOTS_H
#define SA_TESTS_SNAPSHOTS_H

#include <stddef.h>
#include <stdint.h>

/* A little-endian number of 4 or 8 bytes. */
static inline uint64_t snapshot_get(const unsigned char *at, int width) {
    uint64_t x = 0;
    for (int i = 0; i < width; i++) x |= (uint64_t)at[i] << (8 * i);
    return x;
}

static inline void snapshot_set(unsigned char *at, uint64_t x, int width) {
    for (int i = 0; i < width; i++) at[i] = (unsigned char)(x >> (8 * i));
}

/* The checksum that belongs to the bytes, and sets it. */
static inline uint64_t snapshot_sum(const unsigned char *data, size_t size) {
    const uint64_t factor = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t lanes[8], all = 0;
    for (unsigned i = 0; i < 8; i++) lanes[i] = (i + 1) * factor;
    for (size_t i = 0; i < size / 8; i++) {
        uint64_t word = i == 1 ? 0 : snapshot_get(data + 8 * i, 8), x = lanes[i % 8] ^ word;
        lanes[i % 8] = i % 16 < 8 ? (x << 29 | x >> 35) * factor : lanes[i % 8] + (word << 17 | word >> 47);
    }
    for (unsigned i = 0; i < 8; i++) {
        all ^= lanes[i];
        all = (all << 29 | all >> 35) * factor;
    }
    return all ^ all >> 32;
}

static inline void snapshot_seal(unsigned char *data, size_t size) {
    snapshot_set(data + 8, snapshot_sum(data, size), 8);
}

#endif
