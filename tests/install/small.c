/* A program with a library of one instruction set and f32 alone: what is left out is refused with a sentence.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>

#include "sinkattn.h"

static int failed;

static void expect(const char *what, const sa_config *config, sa_status wanted) {
    const char *why = NULL;
    sa_status status = sa_config_check(config, &why, NULL);
    if (status == wanted && (status == SA_SUCCESS || (why && *why))) return;
    printf("%s: %s, \"%s\"\n", what, sa_status_string(status), why ? why : "");
    failed = 1;
}

int main(void) {
    sa_config good, config;
    memset(&good, 0, sizeof good);
    good.struct_size = sizeof good;
    good.n_layers = good.n_heads = 1;
    good.head_dim = 8;
    good.n_sink = 2;
    good.window = 4;
    good.position = SA_POSITION_NONE;
    expect("f32", &good, SA_SUCCESS);
    for (int32_t dtype = SA_F16; dtype <= SA_I4; dtype++) {
        config = good;
        config.k_dtype = dtype;
        expect("k_dtype", &config, SA_ERR_CONFIG);
        config = good;
        config.v_dtype = dtype;
        expect("v_dtype", &config, SA_ERR_CONFIG);
        if (dtype > SA_BF16) continue;
        config = good;
        config.sink_k_dtype = dtype;
        expect("sink_k_dtype", &config, SA_ERR_CONFIG);
        config = good;
        config.io_dtype = dtype;
        expect("io_dtype", &config, SA_ERR_CONFIG);
    }
    config = good;
    config.n_recent = 2; /* f16 by default */
    expect("n_recent", &config, SA_ERR_CONFIG);
    config.recent_k_dtype = config.recent_v_dtype = SA_F32;
    expect("n_recent in f32", &config, SA_SUCCESS);
    for (int32_t isa = 1; isa < 32; isa++) {
        config = good;
        config.isa = isa;
        expect("isa", &config, isa == sa_isa_best() ? SA_SUCCESS : SA_ERR_ISA);
    }
    return failed;
}
