/*
 * What the parts of the GGUF loader share: reading numbers and tensors until something fails.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_LOADER_H
#define STREAM_LOADER_H

#include "families.h"
#include "model.h"

typedef struct loader {
    model *m;
    const family *family;
    int32_t parts; /* PART_* that the layers of this model have */
    failure *why;
    bool ok; /* false after the first failure, whose sentence is in `why` */
} loader;

/* Notes a failure as "name: what". */
void give_up(loader *l, const char *what, const char *name);

/* "<family>.<name>" in the metadata; `fallback` if it is not there, an error if that is not within the limits. */
int32_t number(loader *l, const char *name, int64_t fallback, int64_t low, int64_t high);
double real(loader *l, const char *name, double fallback, double low, double high);

/* A tensor of `size` elements as floats that live with the model; NULL if it is not there, which is an error if it is
 * needed. */
const float *vector_named(loader *l, const char *name, int64_t size, bool needed);

/* Rotations and the division into local and global layers; needs the sizes. */
void read_rotation(loader *l);

#endif
