/* The smallest program that attends: what it takes of the library is what the library's smallest size is.
 *
 * SPDX-License-Identifier: MIT
 */
#include "sinkattn.h"

int main(void) {
    sa_config config = {0};
    sa_cache *cache;
    float x[64] = {0}, out[64];
    config.struct_size = sizeof config;
    config.n_layers = config.n_heads = 1;
    config.head_dim = 64;
    config.window = 8;
    config.position = SA_POSITION_NONE;
    if (sa_cache_create(&config, NULL, &cache) || sa_append_kv(cache, 0, 1, x, x) || sa_attend(cache, 0, 1, x, out))
        return 1;
    sa_cache_destroy(cache);
    return 0;
}
