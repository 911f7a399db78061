/* The integer part of the NEON layer, with the dot products of bytes (V_HAVE_DOT) and without.
 *
 * SPDX-License-Identifier: MIT
 *
 * A pack's code has 16 bits. Without dot products, bytes are paired to 16 bits, even ones and odd ones. With
 * them, a code c = 256 h + l is two signed bytes, and keys are made signed: what their offset adds is then 0.
 */
#define V_INT_TILES(R) ((R) == 1 ? 2 : 1)
#define V_INT_GROUPS(R) 1
#ifdef V_HAVE_DOT
#define V_HAVE_BYTE_PRODUCTS 1
#define V_INT_ROWS 1
#define V_INT_CASES(CASE) CASE(1)
#else
#define V_INT_ROWS 2
#define V_INT_CASES(CASE) CASE(1) CASE(2)
#endif

/* The larger of the magnitude of x and z >= 0, as their bits say: NaN is the largest. */
static inline float32x4_t v_larger_quarter(float32x4_t x, float32x4_t z) {
    return vreinterpretq_f32_s32(vmaxq_s32(vreinterpretq_s32_f32(vabsq_f32(x)), vreinterpretq_s32_f32(z)));
}
static inline v16 v_larger(v16 x, v16 z) {
    return v_make(v_larger_quarter(x.a, z.a), v_larger_quarter(x.b, z.b), v_larger_quarter(x.c, z.c),
                  v_larger_quarter(x.d, z.d));
}

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
static inline v16i v_load_int(const int32_t *p) {
    v16i y = v_int(0);
    y.low.a = vld1q_s32(p);
    y.low.b = vld1q_s32(p + 4);
    y.low.c = vld1q_s32(p + 8);
    y.low.d = vld1q_s32(p + 12);
    return y;
}
static inline int32x4_t v_join(int32x4_t high, int32x4_t low) { return vaddq_s32(vshlq_n_s32(high, 8), low); }
static inline void v_save_int(int32_t *p, v16i x) {
    vst1q_s32(p, v_join(x.high.a, x.low.a));
    vst1q_s32(p + 4, v_join(x.high.b, x.low.b));
    vst1q_s32(p + 8, v_join(x.high.c, x.low.c));
    vst1q_s32(p + 12, v_join(x.high.d, x.low.d));
}
static inline v16 v_from_int(v16i x) {
    return v_make(vcvtq_f32_s32(v_join(x.high.a, x.low.a)), vcvtq_f32_s32(v_join(x.high.b, x.low.b)),
                  vcvtq_f32_s32(v_join(x.high.c, x.low.c)), vcvtq_f32_s32(v_join(x.high.d, x.low.d)));
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
static inline v16s v_dot_bytes(v16s sum, v64b k, int8x16_t word) {
    sum.a = vdotq_s32(sum.a, k.a, word);
    sum.b = vdotq_s32(sum.b, k.b, word);
    sum.c = vdotq_s32(sum.c, k.c, word);
    sum.d = vdotq_s32(sum.d, k.d, word);
    return sum;
}
/* Of codes whose high bytes are 0. */
static inline v16i v_dot_low(v16i sum, v64b k, const int32_t *quad) {
    sum.low = v_dot_bytes(sum.low, k, vreinterpretq_s8_s32(vld1q_dup_s32(quad + 1)));
    return sum;
}
static inline v16i v_dot(v16i sum, v64b k, const int32_t *quad) {
    sum.high = v_dot_bytes(sum.high, k, vreinterpretq_s8_s32(vld1q_dup_s32(quad)));
    return v_dot_low(sum, k, quad);
}
/* A word of bytes h, one of bytes l; l is signed, so h is rounded. */
static inline void v_pack(v16 x, int32_t *pack) {
    int16x8_t first = vuzp1q_s16(vreinterpretq_s16_f32(x.a), vreinterpretq_s16_f32(x.b));
    int16x8_t rest = vuzp1q_s16(vreinterpretq_s16_f32(x.c), vreinterpretq_s16_f32(x.d));
    int32x4x2_t words;
    words.val[0] = vreinterpretq_s32_s8(vcombine_s8(vrshrn_n_s16(first, 8), vrshrn_n_s16(rest, 8)));
    words.val[1] = vreinterpretq_s32_s8(vcombine_s8(vmovn_s16(first), vmovn_s16(rest)));
    vst2q_s32(pack, words);
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
static inline v16i v_load_int(const int32_t *p) {
    v16i y;
    y.a = vld1q_s32(p);
    y.b = vld1q_s32(p + 4);
    y.c = vld1q_s32(p + 8);
    y.d = vld1q_s32(p + 12);
    return y;
}
static inline void v_save_int(int32_t *p, v16i x) {
    vst1q_s32(p, x.a);
    vst1q_s32(p + 4, x.b);
    vst1q_s32(p + 8, x.c);
    vst1q_s32(p + 12, x.d);
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
static inline v16i v_dot(v16i sum, v64b k, const int32_t *quad) {
    int16x8_t even = vreinterpretq_s16_s32(vld1q_dup_s32(quad));
    int16x8_t odd = vreinterpretq_s16_s32(vld1q_dup_s32(quad + 1));
    sum.a = v_dot_quarter(sum.a, k.bytes.a, even, odd);
    sum.b = v_dot_quarter(sum.b, k.bytes.b, even, odd);
    sum.c = v_dot_quarter(sum.c, k.bytes.c, even, odd);
    sum.d = v_dot_quarter(sum.d, k.bytes.d, even, odd);
    return sum;
}
/* Of four codes, 0 and 2 in one word, 1 and 3 in the next. */
static inline int32x2_t v_pack_quarter(float32x4_t x) {
    int32x4_t code = vreinterpretq_s32_f32(x);
    return vsli_n_s32(vget_low_s32(code), vget_high_s32(code), 16);
}
static inline void v_pack(v16 x, int32_t *pack) {
    vst1q_s32(pack, vcombine_s32(v_pack_quarter(x.a), v_pack_quarter(x.b)));
    vst1q_s32(pack + 4, vcombine_s32(v_pack_quarter(x.c), v_pack_quarter(x.d)));
}
#endif
#undef V_OF_4
