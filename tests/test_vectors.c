/*
 * The operations that all kernels are made of, in every vector layer that this machine can run, against the definitions
 * below: bit for bit, NaN apart. What they read and write lies between fences.
 *
 * SPDX-License-Identifier: MIT
 */
#include <math.h>
#include <string.h>

#include "kernels_check.h"
#include "vectors/vectors.h"

enum { SLOT_X, SLOT_Z, SLOT_C, SLOT_D, SLOT_HALF, SLOT_BYTE, SLOT_INTEGER, SLOT_RESULT };
enum { KIND_FLOATS, KIND_BITS, KIND_HALVES };

#define STEPS 32639

static const char *const operation_names[] = {
#define VECTOR_NAME(name, size) #name,
    VECTOR_OPERATIONS(VECTOR_NAME)
#undef VECTOR_NAME
};
static const size_t result_sizes[] = {
#define VECTOR_SIZE(name, size) size,
    VECTOR_OPERATIONS(VECTOR_SIZE)
#undef VECTOR_SIZE
};

/* ------------------------------- definitions -------------------------------- */

static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Of 16 lanes, those 8 apart first, then 4, 2 and 1 apart. */
static float reduce(const float *x, int is_sum) {
    float lane[16];
    int half, i;
    memcpy(lane, x, sizeof lane);
    for (half = 8; half > 0; half /= 2) {
        for (i = 0; i < half; i++) {
            float greater = lane[i] > lane[i + half] ? lane[i] : lane[i + half];
            lane[i] = is_sum ? lane[i] + lane[i + half] : greater;
        }
    }
    return lane[0];
}

static float larger(float x, float z) {
    uint32_t size = bits_of(x) & 0x7FFFFFFFu;
    return of_bits(size > bits_of(z) ? size : bits_of(z));
}

/* Lane i of an operation whose result is 16 floats. */
static float expect_lane(int operation, const vector_arguments *a, const vector_layer *layer, int i) {
    float x = a->x[i], z = a->z[i], c = a->c[i];
    switch (operation) {
    case VECTOR_set:
        return a->x[a->lo];
    case VECTOR_load:
        return x;
    case VECTOR_load_f16:
        return dtype_load(SA_F16, &a->half[i]);
    case VECTOR_load_bf16:
        return dtype_load(SA_BF16, &a->half[i]);
    case VECTOR_add:
        return x + z;
    case VECTOR_sub:
        return x - z;
    case VECTOR_mul:
        return x * z;
    case VECTOR_div:
        return x / z;
    case VECTOR_fma: {
        volatile float product = x * z; /* rounded before the sum, whatever the compiler would like */
        return layer->fuses ? fmaf(x, z, c) : product + c;
    }
    case VECTOR_max:
        return x > z ? x : z;
    case VECTOR_min:
        return x < z ? x : z;
    case VECTOR_abs:
        return of_bits(bits_of(x) & 0x7FFFFFFFu);
    case VECTOR_less:
        return x < z ? c : a->d[i];
    case VECTOR_sign:
        return of_bits((bits_of(x) & 0x7FFFFFFFu) | (bits_of(z) & 0x80000000u));
    case VECTOR_range:
        return i >= a->lo && i < a->hi ? x : z;
    case VECTOR_exponent:
        return of_bits(bits_of(x) << 23);
    case VECTOR_swap1:
        return a->x[i ^ 1];
    case VECTOR_swap2:
        return a->x[i ^ 2];
    case VECTOR_swap4:
        return a->x[i ^ 4];
    case VECTOR_swap8:
        return a->x[i ^ 8];
    case VECTOR_larger:
        return larger(x, z);
    case VECTOR_int:
        return layer->is_signed ? 0.0f : (float)a->integer[a->lo];
    default:
        return (float)a->integer[i];
    }
}

/* Codes are in the low 16 bits of x. */
static int32_t expect_dot(int operation, const vector_arguments *a, const vector_layer *layer, int i) {
    int32_t sum = a->integer[i], zero = !layer->is_signed ? 0 : operation == VECTOR_dot_bytes ? 128 : 8;
    int j;
    for (j = 0; j < 4; j++) {
        int byte = a->byte[4 * i + j], quads[2] = {a->lo, a->hi}, q;
        byte = operation == VECTOR_dot_low ? byte & 15 : operation == VECTOR_dot_high ? byte >> 4 : byte;
        for (q = 0; q < 2; q++) {
            sum += (int16_t)(bits_of(a->x[4 * quads[q] + j]) & 0xFFFFu) * (byte - zero);
        }
    }
    return sum;
}

static int is_dot(int operation) { return operation >= VECTOR_dot_bytes; }

/* The first lane of a result that is not as defined, -1 if all are. */
static int first_wrong(int operation, const vector_arguments *a, const vector_layer *layer, const void *result) {
    const float *got = result;
    float one = reduce(a->x, operation == VECTOR_sum);
    int i;
    if (operation == VECTOR_sum || operation == VECTOR_greatest) {
        return numbers_same(got[0], one) ? -1 : 0;
    }
    for (i = 0; i < 16; i++) {
        int good;
        if (operation == VECTOR_save_bytes) {
            good = ((const uint8_t *)result)[i] == (bits_of(a->x[i]) & 0xFFu);
        } else if (operation == VECTOR_save_f16) {
            good = numbers_same(numbers_at(SA_F16, result, (size_t)i), (float)dtype_round(SA_F16, a->x[i]));
        } else if (operation == VECTOR_save_int || is_dot(operation)) {
            int32_t expected = is_dot(operation) ? expect_dot(operation, a, layer, i) : a->integer[i];
            good = ((const int32_t *)result)[i] == expected;
        } else {
            good = numbers_same(got[i], expect_lane(operation, a, layer, i));
        }
        if (!good) {
            return i;
        }
    }
    return -1;
}

/* ---------------------------------- inputs ---------------------------------- */

/* Floats of any kind: of any bits half of the time, so that all exponents, infinities and NaN of all kinds occur. */
static void draw_floats(test_rng *rng, float *x, int n) {
    int kind = (int)rng_in(rng, 0, NUMBER_KINDS), i;
    if (kind < NUMBER_KINDS && rng_chance(rng, 50)) {
        numbers_fill(rng, kind, SA_F32, x, (size_t)n);
        return;
    }
    for (i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)rng_next(rng);
        x[i] = of_bits(rng_chance(rng, 30) ? (bits & 0x807FFFFFu) | (uint32_t)rng_in(rng, 100, 145) << 23 : bits);
    }
}

typedef struct inputs {
    float x[16], z[16], c[16], d[16];
    uint16_t half[16];
    uint8_t byte[64];
    int32_t integer[16];
} inputs;

/* What an operation may be given: see the layers' own words. */
static void draw_inputs(inputs *in, vector_arguments *a, test_rng *rng, int operation) {
    int i;
    draw_floats(rng, in->x, 16);
    draw_floats(rng, in->z, 16);
    draw_floats(rng, in->c, 16);
    draw_floats(rng, in->d, 16);
    a->lo = a->hi = (int)rng_in(rng, 0, 15);
    for (i = 0; i < 64; i++) {
        in->byte[i] = (uint8_t)(rng_chance(rng, 10) ? 255 : rng_next(rng));
    }
    for (i = 0; i < 16; i++) {
        in->half[i] = (uint16_t)rng_next(rng);
        in->integer[i] =
            (int32_t)(rng_chance(rng, 50) ? rng_in(rng, INT32_MIN, INT32_MAX) : rng_in(rng, -70000, 70000));
        if (operation == VECTOR_larger) {
            in->z[i] = of_bits(bits_of(in->z[i]) & 0x7FFFFFFFu);
        } else if (operation == VECTOR_exponent) {
            in->x[i] = 0x1.8p23f + (float)rng_in(rng, 0, 254);
        } else if (is_dot(operation)) {
            in->x[i] = 0x1.8p23f + (float)(rng_chance(rng, 20) ? (rng_chance(rng, 50) ? -STEPS : STEPS)
                                                               : rng_in(rng, -STEPS, STEPS));
            in->integer[i] = (int32_t)rng_in(rng, -1000000000, 1000000000);
        }
    }
    if (operation == VECTOR_range) {
        a->lo = (int)rng_in(rng, rng_chance(rng, 50) ? -300 : 0, rng_chance(rng, 50) ? 16 : 300);
        a->hi = (int)rng_in(rng, rng_chance(rng, 50) ? -300 : 0, rng_chance(rng, 50) ? 16 : 300);
    } else if (is_dot(operation)) {
        a->lo = (int)rng_in(rng, 0, 3);
        a->hi = (int)rng_in(rng, 0, 3);
    }
}

/* ---------------------------------- calls ----------------------------------- */

typedef struct operation_call {
    vector_operation operation;
    vector_arguments arguments;
    void *result;
} operation_call;

static void call_operation(void *context) {
    operation_call *c = context;
    c->operation(&c->arguments, c->result);
}

static const void *place(int slot, test_rng *rng, const void *from, size_t size) {
    return fence_rows(slot, rng, from, size, 0, 1);
}

static void operation_case(const vector_layer *layer, int operation, test_rng *rng) {
    operation_call c;
    inputs in;
    size_t size = result_sizes[operation];
    int returned, wrong;
    draw_inputs(&in, &c.arguments, rng, operation);
    c.operation = layer->operation[operation];
    c.arguments.x = place(SLOT_X, rng, in.x, sizeof in.x);
    c.arguments.z = place(SLOT_Z, rng, in.z, sizeof in.z);
    c.arguments.c = place(SLOT_C, rng, in.c, sizeof in.c);
    c.arguments.d = place(SLOT_D, rng, in.d, sizeof in.d);
    c.arguments.half = place(SLOT_HALF, rng, in.half, sizeof in.half);
    c.arguments.byte = place(SLOT_BYTE, rng, in.byte, sizeof in.byte);
    c.arguments.integer = place(SLOT_INTEGER, rng, in.integer, sizeof in.integer);
    c.result = fence_result(SLOT_RESULT, rng, size, 0, 1);
    returned = fence_run(call_operation, &c);
    CHECK(returned, "%s v_%s: memory beyond an argument was touched", layer->name, operation_names[operation]);
    CHECK(fence_intact(SLOT_RESULT, size, 0, 1), "%s v_%s: written beside the result", layer->name,
          operation_names[operation]);
    wrong = first_wrong(operation, &c.arguments, layer, c.result);
    CHECK(wrong < 0, "%s v_%s: lane %d: x %.9g (%08x) z %.9g c %.9g, lo %d hi %d: %.9g", layer->name,
          operation_names[operation], wrong, in.x[wrong], (unsigned)bits_of(in.x[wrong]), in.z[wrong], in.c[wrong],
          c.arguments.lo, c.arguments.hi, size == 64 ? ((const float *)c.result)[wrong] : 0.0f);
}

int main(int argc, char **argv) {
    const vector_layer *const layers[] = {vectors_plain,  vectors_plain_nofma,  vectors_avx2, vectors_avx2_vnni,
                                          vectors_avx512, vectors_avx512_vnni,  vectors_neon, vectors_neon_dot,
                                          vectors_wasm,   vectors_wasm_relaxed, vectors_gnu4, vectors_gnu16};
    uint64_t seed = 16;
    long count = 500, i;
    double began = test_seconds();
    size_t l;
    int operation, tried = 0;
    test_begin("test_vectors", argc, argv, &seed, &count);
    for (l = 0; l < sizeof layers / sizeof layers[0]; l++) {
        test_rng rng = {seed};
        if (!layers[l] || !sa_isa_available(layers[l]->isa)) {
            continue;
        }
        tried++;
        printf("%s ", layers[l]->name);
        for (operation = 0; operation < VECTOR_COUNT; operation++) {
            for (i = 0; i < count; i++) {
                operation_case(layers[l], operation, &rng);
            }
        }
    }
    CHECK(tried >= 2, "%d layers", tried);
    printf("%.1f s\n", test_seconds() - began);
    return test_end();
}
