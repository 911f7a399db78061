/*
 * What sets one family of models apart from another, as a table.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STREAM_FAMILIES_H
#define STREAM_FAMILIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How the layers are divided into local and global ones. */
enum {
    LOCAL_NONE = 0,
    LOCAL_ALL = 1,   /* every layer has the window, if the file has one */
    LOCAL_PERIOD = 2 /* of each `local_period` layers the last is global */
};

typedef struct family {
    const char *name; /* general.architecture */
    int32_t rope_layout, activation;
    bool fused;            /* one tensor for q, k, v and one for gate and up */
    bool scaled_embedding; /* by the square root of dim */
    int32_t local, local_period;
    double local_theta; /* of local layers; 0: the same as of the others */
} family;

/* NULL if it is not one of ours. `name` is not terminated. */
const family *family_find(const char *name, size_t size);
/* All names, for a message. */
const char *family_names(void);

#endif
