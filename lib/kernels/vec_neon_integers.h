/* The integer part of the NEON layer, with the dot products of bytes (V_HAVE_DOT) and without.
 *
 * SPDX-License-Identifier: MIT
 *
 * A query's code has 16 bits. Without dot products, bytes are paired to 16 bits, even ones and odd ones. With
 * them, a code c = 256 h + l is two signed bytes, and keys are made signed: what their offset adds is then 0.
 */
#define V_INT_TILES(R) ((R) == 1 ? 2 : 1)
#define V_INT_ROWS 3
#define V_INT_BLOCKS(R) ((R) == 1 ? 4 : 2)
#define V_INT_CASES(CASE) CASE(1) CASE(2) CASE(3)

#define V_OF_4(op, x)                                                                                                  \
    y.a = op(x.a);                                                                                                     \
    y.b = op(x.b);                                                                                                     \
    y.c = op(x.c);                                                                                                     \
    y.d = op(x.d)

/* 4 keys each, 4 bytes per key. */
typedef struct v64u {
    uint8x16_t a, b, c, d;
} v64u;
typedef struct v16s {
    int32x4_t a, b, c, d;
} v16s;

static inline v64u v_load_64(const uint8_t *p) {
    v64u y;
    y.a = vld1q_u8(p);
    y.b = vld1q_u8(p + 16);
    y.c = vld1q_u8(p + 32);
    y.d = vld1q_u8(p + 48);
    return y;
}
static inline uint8x16_t v_low_nibbles(uint8x16_t x) { return vandq_u8(x, vdupq_n_u8(15)); }
static inline uint8x16_t v_high_nibbles(uint8x16_t x) { return vshrq_n_u8(x, 4); }
static inline v64u v_load_nibbles(const uint8_t *p, int high) {
    v64u x = v_load_64(p), y;
    if (high) {
        V_OF_4(v_high_nibbles, x);
    } else {
        V_OF_4(v_low_nibbles, x);
    }
    return y;
}

#ifdef V_HAVE_DOT
typedef struct v16i {
    v16s high, low;
} v16i;
typedef struct v64b {
    int8x16_t a, b, c, d;
} v64b;

static inline v16i v_int(int32_t offset) {
    v16i y;
    (void)offset;
    y.low.a = y.low.b = y.low.c = y.low.d = vdupq_n_s32(0);
    y.high = y.low;
    return y;
}
static inline float32x4_t v_join(int32x4_t high, int32x4_t low) {
    return vcvtq_f32_s32(vaddq_s32(vshlq_n_s32(high, 8), low));
}
static inline v16 v_from_int(v16i x) {
    return v_make(v_join(x.high.a, x.low.a), v_join(x.high.b, x.low.b), v_join(x.high.c, x.low.c),
                  v_join(x.high.d, x.low.d));
}
static inline int8x16_t v_less_128(uint8x16_t x) { return vreinterpretq_s8_u8(veorq_u8(x, vdupq_n_u8(0x80))); }
static inline int8x16_t v_less_8(uint8x16_t x) { return vreinterpretq_s8_u8(vsubq_u8(x, vdupq_n_u8(8))); }
static inline v64b v_bytes(const uint8_t *p) {
    v64u x = v_load_64(p);
    v64b y;
    V_OF_4(v_less_128, x);
    return y;
}
static inline v64b v_nibbles(const uint8_t *p, int high) {
    v64u x = v_load_nibbles(p, high);
    v64b y;
    V_OF_4(v_less_8, x);
    return y;
}
static inline v16s v_dot_bytes(v16s sum, v64b k, int8x8_t q) {
    sum.a = vdotq_lane_s32(sum.a, k.a, q, 0);
    sum.b = vdotq_lane_s32(sum.b, k.b, q, 0);
    sum.c = vdotq_lane_s32(sum.c, k.c, q, 0);
    sum.d = vdotq_lane_s32(sum.d, k.d, q, 0);
    return sum;
}
static inline v16i v_dot(v16i sum, v64b k, const int32_t *q) {
    int16x4_t packed = vreinterpret_s16_s32(vld1_s32(q)); /* 0, 2, 1, 3 */
    int16x4_t code = vzip1_s16(packed, vext_s16(packed, packed, 2));
    int16x8_t twice = vcombine_s16(code, code);
    sum.high = v_dot_bytes(sum.high, k, vrshrn_n_s16(twice, 8));
    sum.low = v_dot_bytes(sum.low, k, vmovn_s16(twice));
    return sum;
}
#else
typedef v16s v16i;
typedef struct v64b {
    v64u bytes;
} v64b;

static inline v16i v_int(int32_t x) {
    v16i y;
    y.a = y.b = y.c = y.d = vdupq_n_s32(x);
    return y;
}
static inline v16 v_from_int(v16i x) {
    return v_make(vcvtq_f32_s32(x.a), vcvtq_f32_s32(x.b), vcvtq_f32_s32(x.c), vcvtq_f32_s32(x.d));
}
static inline v64b v_bytes(const uint8_t *p) {
    v64b y;
    y.bytes = v_load_64(p);
    return y;
}
static inline v64b v_nibbles(const uint8_t *p, int high) {
    v64b y;
    y.bytes = v_load_nibbles(p, high);
    return y;
}
static inline int32x4_t v_dot_quarter(int32x4_t sum, uint8x16_t k, int16x8_t even, int16x8_t odd) {
    uint16x8_t pairs = vreinterpretq_u16_u8(k);
    int16x8_t k_even = vreinterpretq_s16_u16(vandq_u16(pairs, vdupq_n_u16(0xff)));
    int16x8_t k_odd = vreinterpretq_s16_u16(vshrq_n_u16(pairs, 8));
    int32x4_t first = vmull_s16(vget_low_s16(k_even), vget_low_s16(even)), rest = vmull_high_s16(k_even, even);
    first = vmlal_s16(first, vget_low_s16(k_odd), vget_low_s16(odd));
    rest = vmlal_high_s16(rest, k_odd, odd);
    return vaddq_s32(sum, vpaddq_s32(first, rest));
}
static inline v16i v_dot(v16i sum, v64b k, const int32_t *q) {
    int16x8_t even = vreinterpretq_s16_s32(vdupq_n_s32(q[0])), odd = vreinterpretq_s16_s32(vdupq_n_s32(q[1]));
    sum.a = v_dot_quarter(sum.a, k.bytes.a, even, odd);
    sum.b = v_dot_quarter(sum.b, k.bytes.b, even, odd);
    sum.c = v_dot_quarter(sum.c, k.bytes.c, even, odd);
    sum.d = v_dot_quarter(sum.d, k.bytes.d, even, odd);
    return sum;
}
#endif

static inline v16 v_widen_i8(int8x16_t x) {
    int16x8_t first = vmovl_s8(vget_low_s8(x)), rest = vmovl_high_s8(x);
    return v_make(vcvtq_f32_s32(vmovl_s16(vget_low_s16(first))), vcvtq_f32_s32(vmovl_high_s16(first)),
                  vcvtq_f32_s32(vmovl_s16(vget_low_s16(rest))), vcvtq_f32_s32(vmovl_high_s16(rest)));
}
static inline v16 v_load_i8(const uint8_t *p) { return v_widen_i8(vreinterpretq_s8_u8(vld1q_u8(p))); }
static inline v16 v_load_i4(const uint8_t *p, int high) {
    uint8x16_t x = high ? v_high_nibbles(vld1q_u8(p)) : v_low_nibbles(vld1q_u8(p));
    return v_widen_i8(vreinterpretq_s8_u8(vsubq_u8(x, vdupq_n_u8(8))));
}
/* Nibbles less 8, times a scale. */
static inline v16 v_scaled_i4(const uint8_t *p, int high, v16 scale) { return v_mul(v_load_i4(p, high), scale); }
#undef V_OF_4
