/*
 * What the tests of the kernels share: see kernels.h.
 *
 * SPDX-License-Identifier: MIT
 */
#if (defined(__unix__) || defined(__APPLE__)) && !defined(__wasm__)
#define HAS_PAGES 1
#define _DEFAULT_SOURCE
#define _DARWIN_C_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>
#else
#define HAS_PAGES 0
#endif

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"

/* ---------------------------------- fences ---------------------------------- */

enum { ROOM = 1 << 22, AROUND = 512 }; /* bytes of a slot; bytes around an argument that are looked at */

typedef struct fence {
    unsigned char *base, *data; /* ROOM bytes; the argument's place in them */
    size_t size;
    unsigned char pattern[2];
    int is_locked;
} fence;

static fence fences[FENCES];

#if HAS_PAGES
static size_t page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }

static unsigned char *take_room(void) {
    size_t page = page_size();
    unsigned char *map = mmap(NULL, ROOM + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED || mprotect(map + page, ROOM, PROT_READ | PROT_WRITE) != 0) {
        abort();
    }
    return map + page;
}

static void protect(const fence *f, int how) {
    size_t page = page_size(), from = (size_t)(f->data - f->base) / page * page;
    size_t end = ((size_t)(f->data - f->base) + f->size + page - 1) / page * page;
    if (end > from && mprotect(f->base + from, end - from, how) != 0) {
        abort();
    }
}

static void lock(const fence *f) { protect(f, PROT_READ); }
static void unlock(const fence *f) { protect(f, PROT_READ | PROT_WRITE); }

static sigjmp_buf jump;
static volatile sig_atomic_t is_running;

static void on_fault(int number) {
    if (is_running) {
        siglongjmp(jump, number);
    }
    signal(number, SIG_DFL);
}

static void catch_faults(void) {
    static int is_done;
    struct sigaction action;
    if (is_done) {
        return;
    }
    memset(&action, 0, sizeof action);
    action.sa_handler = on_fault;
    action.sa_flags = SA_NODEFER;
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    is_done = 1;
}

int fence_run(void (*call)(void *context), void *context) {
    catch_faults();
    if (sigsetjmp(jump, 0) != 0) {
        is_running = 0;
        return 0;
    }
    is_running = 1;
    call(context);
    is_running = 0;
    return 1;
}
#else
static unsigned char *take_room(void) { return test_take(ROOM); }
static void lock(const fence *f) { (void)f; }
static void unlock(const fence *f) { (void)f; }

int fence_run(void (*call)(void *context), void *context) {
    call(context);
    return 1;
}
#endif

static unsigned char *around_from(const fence *f) { return f->data - f->base > AROUND ? f->data - AROUND : f->base; }

static unsigned char *around_end(const fence *f) {
    unsigned char *end = f->data + f->size, *last = f->base + ROOM;
    return last - end > AROUND ? end + AROUND : last;
}

/* A quiet NaN of all three element types, a signalling one of f32 and bf16, one of f16. */
static void choose_pattern(fence *f, test_rng *rng) {
    static const uint16_t patterns[] = {0xFFFF, 0x7FA1, 0x7D7D};
    uint16_t chosen = patterns[rng_in(rng, 0, 2)];
    memcpy(f->pattern, &chosen, sizeof chosen);
}

void *fence_place(int slot, test_rng *rng, size_t size) {
    fence *f = &fences[slot];
    unsigned char *at;
    if (size > ROOM - 2 * AROUND) {
        abort();
    }
    if (!f->base) {
        f->base = take_room();
    }
    if (f->is_locked) {
        unlock(f);
    }
    f->is_locked = 0;
    f->size = size;
    f->data = rng_chance(rng, 70) ? f->base + ROOM - size : f->base;
    choose_pattern(f, rng);
    for (at = around_from(f); at < around_end(f); at++) {
        *at = f->pattern[(at - f->base) & 1];
    }
    return f->data;
}

void fence_lock(int slot) {
    lock(&fences[slot]);
    fences[slot].is_locked = 1;
}

static int is_pattern(const fence *f, const unsigned char *from, const unsigned char *end) {
    for (; from < end; from++) {
        if (*from != f->pattern[(from - f->base) & 1]) {
            return 0;
        }
    }
    return 1;
}

int fence_intact(int slot, size_t row, size_t stride, size_t rows) {
    const fence *f = &fences[slot];
    const unsigned char *from = around_from(f);
    size_t i;
    for (i = 0; i < rows; i++) {
        if (!is_pattern(f, from, f->data + i * stride)) {
            return 0;
        }
        from = f->data + i * stride + row;
    }
    return is_pattern(f, from, around_end(f));
}

void *fence_result(int slot, test_rng *rng, size_t row, size_t stride, size_t rows) {
    return fence_place(slot, rng, (rows - 1) * stride + row);
}

void *fence_rows(int slot, test_rng *rng, const void *from, size_t row, size_t stride, size_t rows) {
    unsigned char *to = fence_result(slot, rng, row, stride, rows);
    size_t i;
    for (i = 0; i < rows; i++) {
        memcpy(to + i * stride, (const unsigned char *)from + i * row, row);
    }
    return to;
}

/* ---------------------------------- numbers --------------------------------- */

int numbers_kind(test_rng *rng) { return rng_chance(rng, 60) ? NUMBERS_NORMAL : (int)rng_in(rng, 1, NUMBER_KINDS - 1); }

/* An element of 16 bits: magnitudes of about 0.03 to 8, or the least ones. */
static uint16_t half_number(test_rng *rng, int dtype, int is_denormal) {
    uint64_t bits = rng_next(rng);
    int digits = dtype == SA_F16 ? 10 : 7;
    uint16_t rest = (uint16_t)(bits & ((1u << digits) - 1)), sign = (uint16_t)(bits >> 32 & 0x8000u);
    uint16_t exponent = (uint16_t)((dtype == SA_F16 ? 10 : 122) + (int)(bits >> 16 & 7));
    return (uint16_t)(sign | rest | (is_denormal ? 0 : exponent << digits));
}

static float float_number(test_rng *rng, int is_denormal) {
    int64_t most = rng_chance(rng, 50) ? 2 : 1000000;
    return is_denormal ? (float)rng_in(rng, -most, most) * 0x1p-149f : rng_normal(rng);
}

static void store_number(int dtype, void *to, size_t i, float x) {
    dtype_store(dtype, (unsigned char *)to + i * dtype_size(dtype), x);
}

/* What every twentieth number is, where the kind says so. */
static float strange_number(test_rng *rng, int kind) {
    return kind == NUMBERS_NAN ? NAN : rng_chance(rng, 50) ? INFINITY : -INFINITY;
}

void numbers_fill(test_rng *rng, int kind, int dtype, void *to, size_t n) {
    float same = rng_normal(rng), sign = rng_chance(rng, 50) ? -1.0f : 1.0f;
    size_t i;
    for (i = 0; i < n; i++) {
        if (kind == NUMBERS_EQUAL) {
            store_number(dtype, to, i, same);
        } else if (kind == NUMBERS_ZERO) {
            store_number(dtype, to, i, rng_chance(rng, 50) ? -0.0f : 0.0f);
        } else if (kind >= NUMBERS_INF && rng_chance(rng, 5)) {
            store_number(dtype, to, i, strange_number(rng, kind));
        } else if (dtype == SA_F32) {
            ((float *)to)[i] = float_number(rng, kind == NUMBERS_DENORMAL);
        } else {
            ((uint16_t *)to)[i] = half_number(rng, dtype, kind == NUMBERS_DENORMAL);
        }
    }
    if (kind == NUMBERS_HUGE && n > 0) {
        store_number(dtype, to, (size_t)rng_in(rng, 0, (int64_t)n - 1), sign * (dtype == SA_F16 ? 6e4f : 1e15f));
    }
}

/* Conversions of the two dtypes of 16 bits, made once. */
static const float *half_values(int dtype) {
    static float values[2][65536];
    static int is_made[2];
    int which = dtype == SA_BF16, i;
    for (i = 0; i < 65536 && !is_made[which]; i++) {
        uint16_t bits = (uint16_t)i;
        values[which][i] = dtype_load(dtype, &bits);
    }
    is_made[which] = 1;
    return values[which];
}

float numbers_at(int dtype, const void *from, size_t i) {
    return dtype == SA_F32 ? ((const float *)from)[i] : half_values(dtype)[((const uint16_t *)from)[i]];
}

int numbers_same(float a, float b) { return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b)); }

/* ---------------------------------- tables ---------------------------------- */

const sai_kernels *kernels_next(int32_t *isa) {
    while (++*isa < 64) {
        if (sai_isa_available(*isa)) {
            return sai_kernels_of(*isa);
        }
    }
    return NULL;
}

int kernels_fuse(const sai_kernels *table) { return table->isa != SA_ISA_PLAIN_NOFMA && table->isa != SA_ISA_WASM; }

const sai_kernels *kernels_plain(const sai_kernels *table) {
    return sai_kernels_of(kernels_fuse(table) ? SA_ISA_PLAIN : SA_ISA_PLAIN_NOFMA);
}

int64_t kernels_first_wrong(const kernel_result *x) {
    int64_t i, n = x->n;
    for (i = 0; i < x->rows * n; i++) {
        float got = x->got[(size_t)(i / n) * x->stride + (size_t)(i % n)];
        int is_near = !(x->bounds[i] < INFINITY) || fabs(got - x->truth[i]) <= x->bounds[i];
        if (!is_near || !numbers_same(got, x->plain[i])) {
            return i;
        }
    }
    return -1;
}
