/*
 * What differs from one family of models to another, as a table.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_FAMILIES_H
#define STREAM_FAMILIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Tensors that only some models have. Within a model each layer has all tensors of a part, or none. */
enum {
    PART_BIAS = 1,      /* biases of q, k and v */
    PART_HEAD_NORM = 2, /* norms of each head's q and k */
    PART_POST_NORM = 4  /* norms behind attention and behind the feed-forward block */
};

typedef struct family {
    const char *name; /* general.architecture */
    int32_t rope_layout, activation;
    int32_t parts;         /* PART_*: what every file of the family has */
    bool fused;            /* one tensor for q, k, v and one for gate and up */
    bool scaled_embedding; /* by the square root of dim */
    int32_t local_period;  /* if the file gives a sliding window: of so many layers all but the last have it;
                              0 and 1: all layers have it */
    int32_t local_window;  /* of files that do not give one; 0: none */
    double local_theta;    /* of local layers; 0: rotated like the others */
    int32_t wide_layers;   /* the member with so many layers scales queries by dim / heads, not by head_dim */
} family;

/* NULL if it is not one of ours. `name` is not terminated. */
const family *family_find(const char *name, size_t size);
/* All names, for a message. */
const char *family_names(void);

#endif
