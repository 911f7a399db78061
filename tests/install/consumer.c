/* A program of somebody else's: knows the installed header and nothing of this repository.
 *
 * SPDX-License-Identifier: MIT
 */
#include <sinkattn.h>
#include <stdio.h>
#include <string.h>

static int fail(const char *what, sa_status status) {
    fprintf(stderr, "%s: %s\n", what, sa_status_string(status));
    return 1;
}

int main(void) {
    float q[2 * 8], k[8], v[8], out[2 * 8];
    for (int i = 0; i < 8; i++) {
        q[i] = q[8 + i] = k[i] = 0.125f * (float)i;
        v[i] = 1.0f;
    }
    sa_config config;
    memset(&config, 0, sizeof config);
    config.struct_size = sizeof config;
    config.n_layers = 1;
    config.n_heads = 2;
    config.n_kv_heads = 1;
    config.head_dim = 8;
    config.n_sink = 2;
    config.window = 4;
    config.position = SA_POSITION_ROPE;

    sa_cache *cache = NULL;
    sa_status status = sa_cache_create(&config, NULL, &cache);
    if (status) return fail("sa_cache_create", status);
    for (int t = 0; t < 20 && !status; t++) status = sa_append_attend(cache, 0, 1, q, k, v, out);
    sa_cache_destroy(cache);
    if (status) return fail("sa_append_attend", status);

    /* All values are 1, and so is every weighted mean of them. */
    for (int i = 0; i < 16; i++)
        if (out[i] < 0.99999f || out[i] > 1.00001f) return fail("out", SA_ERR_STATE);
    if (sa_version() != SA_VERSION_NUMBER) return fail("sa_version", SA_ERR_STATE);
    printf("sinkattn %s on %s\n", sa_version_string(), sa_isa_name(sa_isa_best()));
    return 0;
}
