/* The integer part of the WebAssembly layer: bytes are paired to 16 bits, even ones and odd ones, whose products the
 * processor adds in pairs.
 *
 * SPDX-License-Identifier: MIT
 */
#define V_INT_TILES(R) ((R) == 1 ? 2 : 1)
#define V_INT_GROUPS(R) 1
#define V_INT_ROWS 2
#define V_INT_CASES(CASE) CASE(1) CASE(2)

/* The larger of the magnitude of x and z >= 0, as their bits say: NaN is the largest. */
static inline v128_t v_larger_quarter(v128_t x, v128_t z) { return wasm_i32x4_max(wasm_f32x4_abs(x), z); }
static inline v16 v_larger(v16 x, v16 z) {
    return v_make(v_larger_quarter(x.a, z.a), v_larger_quarter(x.b, z.b), v_larger_quarter(x.c, z.c),
                  v_larger_quarter(x.d, z.d));
}

/* 16 integers, and 64 bytes: 4 keys in each quarter, 4 bytes per key. */
typedef v16 v16i;
typedef v16 v64b;

static inline v16i v_int(int32_t x) {
    v128_t all = wasm_i32x4_splat(x);
    return v_make(all, all, all, all);
}
/* A load or store of this engine is of any type. */
static inline v16i v_load_int(const int32_t *p) { return v_load((const float *)(const void *)p); }
static inline void v_save_int(int32_t *p, v16i x) { v_save((float *)(void *)p, x); }
static inline v16 v_from_int(v16i x) {
    return v_make(wasm_f32x4_convert_i32x4(x.a), wasm_f32x4_convert_i32x4(x.b), wasm_f32x4_convert_i32x4(x.c),
                  wasm_f32x4_convert_i32x4(x.d));
}
static inline v64b v_bytes(const uint8_t *p) {
    return v_make(wasm_v128_load(p), wasm_v128_load(p + 16), wasm_v128_load(p + 32), wasm_v128_load(p + 48));
}
static inline v128_t v_half_bytes(v128_t x, int high) {
    return high ? wasm_u8x16_shr(x, 4) : wasm_v128_and(x, wasm_i8x16_splat(15));
}
static inline v64b v_nibbles(const uint8_t *p, int high) {
    v64b x = v_bytes(p);
    return v_make(v_half_bytes(x.a, high), v_half_bytes(x.b, high), v_half_bytes(x.c, high), v_half_bytes(x.d, high));
}
static inline v128_t v_dot_quarter(v128_t sum, v128_t k, v128_t even, v128_t odd) {
    v128_t products = wasm_i32x4_dot_i16x8(wasm_v128_and(k, wasm_i16x8_splat(0xff)), even);
    return wasm_i32x4_add(wasm_i32x4_add(sum, products), wasm_i32x4_dot_i16x8(wasm_u16x8_shr(k, 8), odd));
}
/* sum[lane] += the four products of a lane's bytes with a quad of codes. */
static inline v16i v_dot(v16i sum, v64b k, const int32_t *quad) {
    v128_t even = wasm_v128_load32_splat(quad), odd = wasm_v128_load32_splat(quad + 1);
    return v_make(v_dot_quarter(sum.a, k.a, even, odd), v_dot_quarter(sum.b, k.b, even, odd),
                  v_dot_quarter(sum.c, k.c, even, odd), v_dot_quarter(sum.d, k.d, even, odd));
}
/* Of four codes, 0 and 2 in one word, 1 and 3 in the next. */
static inline v128_t v_pack_quads(v128_t x, v128_t z) {
    v128_t first = wasm_i32x4_shuffle(x, z, 0, 1, 4, 5), rest = wasm_i32x4_shuffle(x, z, 2, 3, 6, 7);
    return wasm_v128_or(wasm_v128_and(first, wasm_i32x4_splat(0xffff)), wasm_i32x4_shl(rest, 16));
}
static inline void v_pack(v16 x, int32_t *pack) {
    wasm_v128_store(pack, v_pack_quads(x.a, x.b));
    wasm_v128_store(pack + 4, v_pack_quads(x.c, x.d));
}
