/* The size of every public struct, the place of every field and the number of every constant, checked at compile time.
 *
 * SPDX-License-Identifier: MIT
 *
 * Three tables in one: 64-bit machines of every kind, 32-bit ones that align 64-bit numbers to 8
 * (ARM, RISC-V, WebAssembly), and i386, which aligns them to 4. A released line never changes; new
 * fields add lines, and a new size to their struct; new statuses, flags and other constants add lines.
 */
#include "sinkattn.h"

#define PLACE(b64, b32, i386) (sizeof(void *) == 8 ? (b64) : sizeof(struct align64) == 16 ? (b32) : (i386))
#define SIZE(type, b64, b32, i386) typedef char size_##type[sizeof(type) == PLACE(b64, b32, i386) ? 1 : -1];
#define FIELD(type, field, b64, b32, i386)                                                                             \
    typedef char place_##type##_##field[offsetof(type, field) == PLACE(b64, b32, i386) ? 1 : -1];
/* Programs, bindings and stored configs hold the number, not the name: renumbering breaks them without a word. */
#define NUMBER(name, value) typedef char number_##name[(name) == (value) ? 1 : -1];

struct align64 {
    int32_t first;
    int64_t second;
};

/* clang-format off */
SIZE(sa_config, 296, 256, 256)
FIELD(sa_config, struct_size, 0, 0, 0)
FIELD(sa_config, flags, 4, 4, 4)
FIELD(sa_config, n_layers, 8, 8, 8)
FIELD(sa_config, max_append, 12, 12, 12)
FIELD(sa_config, rollback, 16, 16, 16)
FIELD(sa_config, isa, 20, 20, 20)
FIELD(sa_config, n_threads, 24, 24, 24)
FIELD(sa_config, io_dtype, 28, 28, 28)
FIELD(sa_config, n_heads, 32, 32, 32)
FIELD(sa_config, n_kv_heads, 36, 36, 36)
FIELD(sa_config, head_dim, 40, 40, 40)
FIELD(sa_config, v_head_dim, 44, 44, 44)
FIELD(sa_config, policy, 48, 48, 48)
FIELD(sa_config, n_sink, 52, 52, 52)
FIELD(sa_config, window, 56, 56, 56)
FIELD(sa_config, k_dtype, 60, 60, 60)
FIELD(sa_config, v_dtype, 64, 64, 64)
FIELD(sa_config, scale, 68, 68, 68)
FIELD(sa_config, softcap, 72, 72, 72)
FIELD(sa_config, n_sink_kv, 76, 76, 76)
FIELD(sa_config, sink_kv_position, 80, 80, 80)
FIELD(sa_config, position, 84, 84, 84)
FIELD(sa_config, position_mode, 88, 88, 88)
FIELD(sa_config, rope_layout, 92, 92, 92)
FIELD(sa_config, rope_dims, 96, 96, 96)
FIELD(sa_config, rope_offset, 100, 100, 100)
FIELD(sa_config, rope_scaling, 104, 104, 104)
FIELD(sa_config, rope_original_context, 108, 108, 108)
FIELD(sa_config, rope_theta, 112, 112, 112)
FIELD(sa_config, rope_factor, 120, 120, 120)
FIELD(sa_config, rope_attention_factor, 128, 128, 128)
FIELD(sa_config, rope_beta_fast, 136, 136, 136)
FIELD(sa_config, rope_beta_slow, 144, 144, 144)
FIELD(sa_config, rope_low_freq_factor, 152, 152, 152)
FIELD(sa_config, rope_high_freq_factor, 160, 160, 160)
FIELD(sa_config, rope_inv_freq, 168, 168, 168)
FIELD(sa_config, rope_short_factors, 176, 172, 172)
FIELD(sa_config, rope_long_factors, 184, 176, 176)
FIELD(sa_config, alibi_slopes, 192, 180, 180)
FIELD(sa_config, sink_logits, 200, 184, 184)
FIELD(sa_config, parallel_for, 208, 188, 188)
FIELD(sa_config, parallel_context, 216, 192, 192)
FIELD(sa_config, layers, 224, 196, 196)
FIELD(sa_config, reserved, 232, 200, 200)
FIELD(sa_config, sink_k_dtype, 248, 208, 208)
FIELD(sa_config, sink_v_dtype, 252, 212, 212)
FIELD(sa_config, n_recent, 256, 216, 216)
FIELD(sa_config, recent_k_dtype, 260, 220, 220)
FIELD(sa_config, recent_v_dtype, 264, 224, 224)
FIELD(sa_config, reserved2, 268, 228, 228)
FIELD(sa_config, n_sequences, 272, 232, 232)
FIELD(sa_config, n_spans, 276, 236, 236)
FIELD(sa_config, n_pin, 280, 240, 240)
FIELD(sa_config, reserved3, 284, 244, 244)
FIELD(sa_config, pool_tokens, 288, 248, 248)

SIZE(sa_allocator, 32, 20, 20)
FIELD(sa_allocator, struct_size, 0, 0, 0)
FIELD(sa_allocator, reserved, 4, 4, 4)
FIELD(sa_allocator, alloc, 8, 8, 8)
FIELD(sa_allocator, free, 16, 12, 12)
FIELD(sa_allocator, user, 24, 16, 16)

SIZE(sa_tensor, 32, 32, 28)
FIELD(sa_tensor, data, 0, 0, 0)
FIELD(sa_tensor, token_stride, 8, 8, 4)
FIELD(sa_tensor, head_stride, 16, 16, 12)
FIELD(sa_tensor, dtype, 24, 24, 20)
FIELD(sa_tensor, flags, 28, 28, 24)

SIZE(sa_step_args, 208, 184, 168)
FIELD(sa_step_args, struct_size, 0, 0, 0)
FIELD(sa_step_args, flags, 4, 4, 4)
FIELD(sa_step_args, layer, 8, 8, 8)
FIELD(sa_step_args, n_tokens, 12, 12, 12)
FIELD(sa_step_args, q, 16, 16, 16)
FIELD(sa_step_args, k, 48, 48, 44)
FIELD(sa_step_args, v, 80, 80, 72)
FIELD(sa_step_args, out, 112, 112, 100)
FIELD(sa_step_args, q_offset, 144, 144, 128)
FIELD(sa_step_args, lse, 152, 152, 136)
FIELD(sa_step_args, sink_mass, 160, 156, 140)
FIELD(sa_step_args, partial_max, 168, 160, 144)
FIELD(sa_step_args, partial_sum, 176, 164, 148)
FIELD(sa_step_args, reserved, 184, 168, 152)
FIELD(sa_step_args, view_window, 200, 176, 160)
FIELD(sa_step_args, view_sinks, 204, 180, 164)

SIZE(sa_info, 64, 64, 64)
FIELD(sa_info, struct_size, 0, 0, 0)
FIELD(sa_info, isa, 4, 4, 4)
FIELD(sa_info, tokens_seen, 8, 8, 8)
FIELD(sa_info, tokens_held, 16, 16, 16)
FIELD(sa_info, positions_held, 24, 24, 24)
FIELD(sa_info, rollback_now, 32, 32, 32)
FIELD(sa_info, cache_size, 40, 40, 40)
FIELD(sa_info, kv_size, 48, 48, 48)
FIELD(sa_info, n_threads, 56, 56, 56)
FIELD(sa_info, max_append, 60, 60, 60)

SIZE(sa_span, 32, 32, 32)
FIELD(sa_span, from, 0, 0, 0)
FIELD(sa_span, end, 8, 8, 8)
FIELD(sa_span, shift, 16, 16, 16)
FIELD(sa_span, kind, 24, 24, 24)
FIELD(sa_span, masked, 28, 28, 28)

SIZE(sa_pool_facts, 48, 48, 48)
FIELD(sa_pool_facts, struct_size, 0, 0, 0)
FIELD(sa_pool_facts, n_sequences, 4, 4, 4)
FIELD(sa_pool_facts, n_open, 8, 8, 8)
FIELD(sa_pool_facts, reserved, 12, 12, 12)
FIELD(sa_pool_facts, pool_size, 16, 16, 16)
FIELD(sa_pool_facts, tiles, 24, 24, 24)
FIELD(sa_pool_facts, tiles_free, 32, 32, 32)
FIELD(sa_pool_facts, tile_size, 40, 40, 40)

NUMBER(SA_SUCCESS, 0)
NUMBER(SA_ERR_ARGUMENT, -1)
NUMBER(SA_ERR_CONFIG, -2)
NUMBER(SA_ERR_STRUCT_SIZE, -3)
NUMBER(SA_ERR_MEMORY, -4)
NUMBER(SA_ERR_BUFFER, -5)
NUMBER(SA_ERR_ALIGNMENT, -6)
NUMBER(SA_ERR_ISA, -7)
NUMBER(SA_ERR_FORMAT, -8)
NUMBER(SA_ERR_STATE, -9)
NUMBER(SA_ERR_OVERFLOW, -10)
NUMBER(SA_ERR_FULL, -11)
NUMBER(SA_ERR_DEPTH, -12)
NUMBER(SA_ERR_POOL, -13)

NUMBER(SA_F32, 1)
NUMBER(SA_F16, 2)
NUMBER(SA_BF16, 3)
NUMBER(SA_I8, 4)
NUMBER(SA_I4, 5)

NUMBER(SA_POLICY_SINK_WINDOW, 0)
NUMBER(SA_POLICY_WINDOW, 1)
NUMBER(SA_POLICY_DENSE, 2)

NUMBER(SA_POSITION_NONE, 1)
NUMBER(SA_POSITION_ROPE, 2)
NUMBER(SA_POSITION_ROPE_APPLIED, 3)
NUMBER(SA_POSITION_ALIBI, 4)

NUMBER(SA_IN_CACHE, 0)
NUMBER(SA_IN_STREAM, 1)

NUMBER(SA_ROPE_HALF_SPLIT, 0)
NUMBER(SA_ROPE_INTERLEAVED, 1)

NUMBER(SA_ROPE_SCALING_NONE, 0)
NUMBER(SA_ROPE_SCALING_LINEAR, 1)
NUMBER(SA_ROPE_SCALING_NTK, 2)
NUMBER(SA_ROPE_SCALING_YARN, 3)
NUMBER(SA_ROPE_SCALING_LLAMA3, 4)
NUMBER(SA_ROPE_SCALING_LONGROPE, 5)

NUMBER(SA_SINK_KV_BEFORE, 0)
NUMBER(SA_SINK_KV_AT_ZERO, 1)

NUMBER(SA_ISA_AUTO, 0)
NUMBER(SA_ISA_PLAIN, 1)
NUMBER(SA_ISA_PLAIN_NOFMA, 2)
NUMBER(SA_ISA_AVX2, 3)
NUMBER(SA_ISA_AVX512, 4)
NUMBER(SA_ISA_NEON, 5)
NUMBER(SA_ISA_WASM, 6)
NUMBER(SA_ISA_WASM_RELAXED, 7)
NUMBER(SA_ISA_RVV, 8)
NUMBER(SA_ISA_VSX, 9)
NUMBER(SA_ISA_VXE, 10)
NUMBER(SA_ISA_AVX512_VNNI, 11)
NUMBER(SA_ISA_AVX2_VNNI, 12)
NUMBER(SA_ISA_NEON_DOT, 13)

NUMBER(SA_CONFIG_YARN_NO_TRUNCATE, 1)
NUMBER(SA_CONFIG_COOPERATIVE, 2)
NUMBER(SA_TENSOR_STRIDES_GIVEN, 1)

NUMBER(SA_ALL_LAYERS, -1)
NUMBER(SA_GAP_CLOSE, 0)
NUMBER(SA_GAP_KEEP, 1)
NUMBER(SA_SPAN_WINDOW, 0)
NUMBER(SA_SPAN_SINK, 1)
NUMBER(SA_SPAN_PIN, 2)
/* clang-format on */

extern int sa_test_layout;
int sa_test_layout = 1;
