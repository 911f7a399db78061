/*
 * What differs from one family of models to another.
 *
 * SPDX-License-Identifier: MIT
 *
 * GGUF files of the llama family have the rows of Wq and Wk permuted so that the two
 * dims of a rotation lie side by side; the others keep them half a head apart. A family
 * lists the parts that all of its files have; a file may have others too, and then its
 * tensors say so.
 */
#include "families.h"

#include "model.h"

#include <sinkattn.h>
#include <string.h>

static const family families[] = {
    {.name = "llama", .rope_layout = SA_ROPE_INTERLEAVED, .activation = ACT_SILU},
    {.name = "qwen2", .rope_layout = SA_ROPE_HALF_SPLIT, .activation = ACT_SILU, .parts = PART_BIAS},
    {.name = "qwen3", .rope_layout = SA_ROPE_HALF_SPLIT, .activation = ACT_SILU, .parts = PART_HEAD_NORM},
    {.name = "phi3", .rope_layout = SA_ROPE_HALF_SPLIT, .activation = ACT_SILU, .fused = true},
    {.name = "gemma", .rope_layout = SA_ROPE_HALF_SPLIT, .activation = ACT_GELU, .scaled_embedding = true},
    {.name = "gemma2",
     .rope_layout = SA_ROPE_HALF_SPLIT,
     .activation = ACT_GELU,
     .parts = PART_POST_NORM,
     .scaled_embedding = true,
     .local_period = 2,
     .local_window = 4096, /* the first files of the family did not say it */
     .wide_layers = 46},
    {.name = "gemma3",
     .rope_layout = SA_ROPE_HALF_SPLIT,
     .activation = ACT_GELU,
     .parts = PART_HEAD_NORM | PART_POST_NORM,
     .scaled_embedding = true,
     .local_period = 6,
     .local_theta = 10000.0,
     .wide_layers = 62},
};

const family *family_find(const char *name, size_t size) {
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        if (strlen(families[i].name) == size && memcmp(families[i].name, name, size) == 0) {
            return &families[i];
        }
    }
    return NULL;
}

const char *family_names(void) { return "llama, qwen2, qwen3, phi3, gemma, gemma2, gemma3"; }
