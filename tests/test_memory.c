/*
 * Memory: the size formula, no allocation after creation, and no byte touched outside what was given.
 *
 * The cache's block and every tensor lie against pages that cannot be read or written, at their end or at
 * their beginning; inputs lie in pages that can only be read.
 *
 * SPDX-License-Identifier: MIT
 */
#define _DEFAULT_SOURCE
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cases.h"
#include "compare.h"
#include "test.h"

/* Where it can be done, every malloc of the process is counted. Sanitizers bring their own. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_SANITIZER 1
#endif
#endif
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(HAS_SANITIZER)
#define COUNTS_MALLOC 1
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *memory);
static volatile long allocations;
void *malloc(size_t size) {
    allocations++;
    return __libc_malloc(size);
}
void *calloc(size_t count, size_t size) {
    allocations++;
    return __libc_calloc(count, size);
}
void *realloc(void *memory, size_t size) {
    allocations++;
    return __libc_realloc(memory, size);
}
void *memalign(size_t alignment, size_t size) {
    allocations++;
    return __libc_memalign(alignment, size);
}
void *aligned_alloc(size_t alignment, size_t size) {
    allocations++;
    return __libc_memalign(alignment, size);
}
int posix_memalign(void **out, size_t alignment, size_t size) {
    allocations++;
    *out = __libc_memalign(alignment, size);
    return *out ? 0 : 12;
}
void free(void *memory) {
    allocations += memory != NULL;
    __libc_free(memory);
}
#else
#define COUNTS_MALLOC 0
static volatile long allocations;
#endif

/* --------------------------------- guard pages ------------------------------ */

typedef struct guarded {
    unsigned char *map;
    size_t map_size, page;
    void *data;
    size_t size;
} guarded;

static guarded guard_take(size_t size, int at_end, size_t alignment) {
    guarded g;
    size_t inner;
    g.page = (size_t)sysconf(_SC_PAGESIZE);
    inner = (size / g.page + 1) * g.page;
    g.map_size = inner + 2 * g.page;
    g.size = size;
    g.map = mmap(NULL, g.map_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g.map == MAP_FAILED || mprotect(g.map + g.page, inner, PROT_READ | PROT_WRITE) != 0) {
        perror("mmap");
        exit(1);
    }
    g.data = at_end ? g.map + g.page + (inner - size) / alignment * alignment : g.map + g.page;
    return g;
}

static void guard_read_only(guarded *g) { mprotect(g->map + g->page, g->map_size - 2 * g->page, PROT_READ); }
static void guard_free(guarded *g) { munmap(g->map, g->map_size); }

/* n floats, rounded, as elements of a dtype. */
static guarded guard_input(const float *values, size_t count, int dtype, int at_end) {
    size_t size = dtype_size(dtype), i;
    guarded g = guard_take(count * size, at_end, size);
    for (i = 0; i < count; i++) {
        dtype_store(dtype, (char *)g.data + i * size, values[i]);
    }
    guard_read_only(&g);
    return g;
}

/* Memory for n results, which hold no number before they are written. */
static guarded guard_result(size_t count, int dtype, int at_end) {
    guarded g = guard_take(count * dtype_size(dtype), at_end, dtype_size(dtype));
    compare_forget(g.data, g.size);
    return g;
}

/* The first result that is not a finite number, -1 if there is none. */
static int64_t guard_not_finite(const guarded *g, int dtype) {
    size_t size = dtype_size(dtype), i;
    for (i = 0; i < g->size / size; i++) {
        float x = dtype_load(dtype, (const char *)g->data + i * size);
        if (compare_finite(&x, 1) >= 0) {
            return (int64_t)i;
        }
    }
    return -1;
}

static const char *now_running = "";

/* A failing check like any other, said without stdio: the program cannot go on behind it. */
static void on_fault(int number) {
    static const char said[] = __FILE__ ":0: FAILED memory touched outside what was given: ",
                      end[] = "\n0 passed, 1 failed\n";
    ssize_t ignored = write(1, said, sizeof said - 1);
    ignored = write(1, now_running, strlen(now_running));
    ignored = write(1, end, sizeof end - 1);
    (void)ignored;
    _exit(number > 0 ? 2 : 1);
}

typedef struct runner {
    test_case *c;
    sa_cache *cache;
    oracle *o;
    test_rng rng;
    int dtype, at_end;
    int64_t seen;
} runner;

static void run_piece(runner *r, int64_t n) {
    const oracle_layer *l = &r->o->layer;
    case_data data;
    guarded q, k, v, out, lse, mass;
    sa_step_args a;
    sa_status status;
    long before;
    case_fill(r->c, &r->rng, r->o, r->seen, n, &data);
    q = guard_input(data.q, (size_t)(n * l->n_heads * l->head_dim), r->dtype, r->at_end);
    k = guard_input(data.k, (size_t)(n * l->n_kv_heads * l->head_dim), r->dtype, r->at_end);
    v = guard_input(data.v, (size_t)(n * l->n_kv_heads * l->v_head_dim), r->dtype, r->at_end);
    out = guard_result((size_t)(n * l->n_heads * l->v_head_dim), r->dtype, r->at_end);
    lse = guard_result((size_t)(n * l->n_heads), SA_F32, r->at_end);
    mass = guard_result((size_t)(n * l->n_heads), SA_F32, r->at_end);
    memset(&a, 0, sizeof a);
    a.struct_size = sizeof a;
    a.n_tokens = (int32_t)n;
    a.q.data = q.data;
    a.k.data = k.data;
    a.v.data = v.data;
    a.out.data = out.data;
    a.q.dtype = a.k.dtype = a.v.dtype = a.out.dtype = r->dtype;
    a.lse = lse.data;
    a.sink_mass = mass.data;
    before = allocations;
    status = sa_step(r->cache, &a);
    CHECK(!COUNTS_MALLOC || allocations == before, "sa_step called malloc or free: %s", case_text(r->c));
    CHECK(status == SA_SUCCESS, "sa_step: %s: %s", sa_status_string(status), case_text(r->c));
    CHECK(guard_not_finite(&out, r->dtype) < 0, "out %lld is no number: %s",
          (long long)guard_not_finite(&out, r->dtype), case_text(r->c));
    CHECK(guard_not_finite(&lse, SA_F32) < 0 && guard_not_finite(&mass, SA_F32) < 0, "lse or sink mass: %s",
          case_text(r->c));
    r->seen += n;
    guard_free(&q);
    guard_free(&k);
    guard_free(&v);
    guard_free(&out);
    guard_free(&lse);
    guard_free(&mass);
    case_data_free(&data);
}

static void run_sinks(runner *r) {
    const oracle_layer *l = &r->o->layer;
    int io = r->c->config.io_dtype ? r->c->config.io_dtype : SA_F32;
    case_data data;
    guarded k, v;
    if (l->n_sink_kv == 0) {
        return;
    }
    case_fill_sink_kv(r->c, &r->rng, r->o, &data);
    k = guard_input(data.k, (size_t)l->n_sink_kv * l->n_kv_heads * l->head_dim, io, r->at_end);
    v = guard_input(data.v, (size_t)l->n_sink_kv * l->n_kv_heads * l->v_head_dim, io, r->at_end);
    CHECK(sa_set_sink_kv(r->cache, 0, k.data, v.data) == SA_SUCCESS, "sink rows");
    guard_free(&k);
    guard_free(&v);
    case_data_free(&data);
}

static uint64_t tiles(uint64_t tokens) { return (tokens + 15) / 16; }

static int or_else(int dtype, int otherwise) { return dtype ? dtype : otherwise; }

/* The formula of docs/memory.md, for one sequence without pins: tiles of window, newest, sinks and learned rows. */
static uint64_t kv_size(const sa_config *g, const sa_config *whole) {
    uint64_t append = whole->max_append ? (uint64_t)whole->max_append : 256, back = (uint64_t)whole->rollback + 1;
    uint64_t slack = append > back ? append : back, window = (uint64_t)g->window;
    uint64_t held = g->policy == SA_POLICY_DENSE ? window : window - 1 + slack;
    uint64_t recent = g->n_recent ? tiles((uint64_t)g->n_recent - 1 + slack) + 1 : 0;
    uint64_t sinks = tiles((uint64_t)g->n_sink) + tiles((uint64_t)g->n_sink_kv);
    int v_dim = g->v_head_dim ? g->v_head_dim : g->head_dim, k_dtype = or_else(g->k_dtype, SA_F32);
    int v_dtype = or_else(g->v_dtype, SA_F32);
    int sink_k = or_else(g->sink_k_dtype, k_dtype > SA_BF16 ? SA_F16 : k_dtype);
    int sink_v = or_else(g->sink_v_dtype, v_dtype > SA_BF16 ? SA_F16 : v_dtype);
    uint64_t kv_heads = (uint64_t)(g->n_kv_heads ? g->n_kv_heads : g->n_heads);
    return kv_heads * ((tiles(held) + 1) * (test_key_tile(k_dtype, g->head_dim) + test_value_tile(v_dtype, v_dim)) +
                       recent * (test_key_tile(or_else(g->recent_k_dtype, SA_F16), g->head_dim) +
                                 test_value_tile(or_else(g->recent_v_dtype, SA_F16), v_dim)) +
                       sinks * (test_key_tile(sink_k, g->head_dim) + test_value_tile(sink_v, v_dim)));
}

static void check_sizes(const test_case *c, sa_cache *cache, size_t size) {
    uint64_t total = 0;
    int l;
    for (l = 0; l < c->config.n_layers; l++) {
        sa_cache_facts facts;
        uint64_t expected = kv_size(case_layer(c, l), &c->config);
        memset(&facts, 0, sizeof facts);
        facts.struct_size = sizeof facts;
        CHECK(sa_cache_info(cache, l, &facts) == SA_SUCCESS, "info");
        CHECK(facts.cache_size == size, "cache_size %llu, not %zu", (unsigned long long)facts.cache_size, size);
        CHECK(facts.kv_size == expected, "layer %d: kv_size %llu, not %llu: %s", l, (unsigned long long)facts.kv_size,
              (unsigned long long)expected, case_text(c));
        total += facts.kv_size;
    }
    CHECK(total <= size, "the parts %llu are more than the whole %zu", (unsigned long long)total, size);
}

/* The rest of the calls that may be made while a stream runs; none may allocate. */
static void check_other_calls(runner *r) {
    sa_cache_facts facts;
    long before = allocations;
    memset(&facts, 0, sizeof facts);
    facts.struct_size = sizeof facts;
    CHECK(sa_cache_rollback(r->cache, SA_ALL_LAYERS, 0) == SA_SUCCESS, "rollback");
    CHECK(sa_cache_info(r->cache, 0, &facts) == SA_SUCCESS, "info");
    CHECK(sa_cache_seek(r->cache, SA_ALL_LAYERS, (uint64_t)r->seen + 5) == SA_SUCCESS, "seek");
    CHECK(sa_cache_reset(r->cache, SA_ALL_LAYERS) == SA_SUCCESS, "reset");
    CHECK(!COUNTS_MALLOC || allocations == before, "a call allocated");
}

static void run_case(uint64_t seed, long index) {
    static const case_limits limits = {200000, 20000, 700, 1, 1};
    static test_case c;
    size_t size = 0, alignment = 0;
    guarded block;
    runner r;
    memset(&r, 0, sizeof r);
    r.rng.state = seed + (uint64_t)index * 10007;
    case_draw(&c, &r.rng, &limits);
    c.config.isa = rng_chance(&r.rng, 30) ? SA_ISA_PLAIN : SA_ISA_AUTO;
    r.c = &c;
    r.at_end = index % 2 == 0;
    r.dtype = case_input_dtype(&c, &r.rng);
    now_running = case_text(&c);
    CHECK(sa_cache_size(&c.config, &size, &alignment) == SA_SUCCESS, "size: %s", now_running);
    CHECK(alignment > 0 && (alignment & (alignment - 1)) == 0, "alignment %zu", alignment);
    block = guard_take(size, r.at_end, alignment);
    CHECK(sa_cache_init(block.data, size, &c.config, &r.cache) == SA_SUCCESS, "init: %s", now_running);
    if (!r.cache) {
        return;
    }
    r.o = oracle_create(&c.config);
    check_sizes(&c, r.cache, size);
    run_sinks(&r);
    while (r.seen < c.n_tokens) {
        int64_t left = c.n_tokens - r.seen, most = rng_chance(&r.rng, 50) ? 3 : left;
        run_piece(&r, rng_in(&r.rng, 1, most < left ? most : left));
    }
    check_other_calls(&r);
    guard_free(&block);
    oracle_destroy(r.o);
}

/* What a pool and its sequences do takes no memory either. */
static void pool_calls(void) {
    static float zeros[64];
    sa_config g;
    sa_pool *pool = NULL;
    sa_cache *caches[2] = {NULL, NULL};
    sa_step_args a;
    const sa_step_args *args[2] = {&a, &a};
    sa_span list[8];
    int32_t n, failed, phases = 0;
    long before;
    memset(&g, 0, sizeof g);
    memset(&a, 0, sizeof a);
    g.struct_size = sizeof g;
    g.n_layers = g.n_heads = 1;
    g.head_dim = 2;
    g.window = 20;
    g.position = SA_POSITION_NONE;
    g.n_sequences = g.n_spans = 2;
    g.n_pin = 4;
    a.struct_size = sizeof a;
    a.n_tokens = 20;
    a.k.data = a.v.data = zeros;
    CHECK(sa_pool_create(&g, NULL, &pool) == SA_SUCCESS, "create");
    before = allocations;
    CHECK(sa_pool_open(pool, &caches[0]) == SA_SUCCESS && sa_step(caches[0], &a) == SA_SUCCESS, "open");
    CHECK(sa_cache_fork(caches[0], &caches[1]) == SA_SUCCESS, "fork");
    CHECK(sa_batch(pool, 2, caches, args, &failed) == SA_SUCCESS, "batch");
    CHECK(sa_batch_begin(pool, 2, caches, args, &phases, &failed) == SA_SUCCESS, "begin");
    CHECK(sa_batch_part(pool, 0, 0, 1) == SA_SUCCESS, "part");
    CHECK(sa_cache_pin(caches[0], 0, 58, 60) == SA_SUCCESS && sa_cache_unpin(caches[0], 0, 58, 60) == SA_SUCCESS,
          "pin");
    CHECK(sa_cache_remove(caches[1], 0, 58, 59, SA_GAP_KEEP) == SA_SUCCESS, "remove");
    CHECK(sa_cache_anchor(caches[0], 0, 56, 57) == SA_SUCCESS, "anchor");
    CHECK(sa_cache_spans(caches[0], 0, 0, 8, list, &n) == SA_SUCCESS &&
              sa_cache_restart(caches[0], 0, 90) == SA_SUCCESS,
          "restart");
    sa_cache_destroy(caches[0]);
    sa_cache_destroy(caches[1]);
    CHECK(!COUNTS_MALLOC || allocations == before, "a call of a pool allocated");
    sa_pool_destroy(pool);
    CHECK(!COUNTS_MALLOC || allocations == before + 1, "a pool is freed once");
}

/* Layers of their own geometry have sizes of their own. */
static void layer_sizes(uint64_t seed, long count) {
    static test_case c;
    test_rng rng = {seed};
    long i;
    for (i = 0; i < count; i++) {
        sa_cache *cache = NULL;
        size_t size = 0, alignment = 0;
        case_draw(&c, &rng, &case_limits_default);
        CHECK(sa_cache_size(&c.config, &size, &alignment) == SA_SUCCESS, "size");
        CHECK(sa_cache_create(&c.config, NULL, &cache) == SA_SUCCESS, "create");
        if (cache) {
            check_sizes(&c, cache, size);
        }
        sa_cache_destroy(cache);
    }
}

/* One allocation, one free of the same size; failures leave nothing behind. */
typedef struct book {
    int allocs, frees, mode; /* 1: fail, 2: misaligned */
    size_t size, alignment, freed;
    void *memory;
} book;

static void *book_alloc(void *user, size_t size, size_t alignment) {
    book *b = user;
    unsigned char *memory = b->mode == 1 ? NULL : test_take(size + alignment + 4);
    b->allocs++;
    b->size = size;
    b->alignment = alignment;
    b->memory = memory;
    if (!memory) {
        return NULL;
    }
    memory += (alignment - (uintptr_t)memory % alignment) % alignment;
    return b->mode == 2 ? memory + 4 : memory;
}

static void book_free(void *user, void *memory, size_t size) {
    book *b = user;
    (void)memory;
    b->frees++;
    b->freed = size;
    free(b->memory);
}

static void allocators(void) {
    static const sa_status expected[] = {SA_SUCCESS, SA_ERR_MEMORY, SA_ERR_ALIGNMENT};
    int mode;
    for (mode = 0; mode < 3; mode++) {
        book b = {0};
        sa_allocator allocator;
        sa_config g;
        size_t size = 0, alignment = 0;
        sa_cache *cache = (sa_cache *)&b;
        sa_status status;
        memset(&g, 0, sizeof g);
        memset(&allocator, 0, sizeof allocator);
        g.struct_size = sizeof g;
        g.n_layers = 2;
        g.n_heads = 4;
        g.head_dim = 64;
        g.window = 100;
        g.position = SA_POSITION_NONE;
        allocator.struct_size = sizeof allocator;
        allocator.alloc = book_alloc;
        allocator.free = book_free;
        allocator.user = &b;
        b.mode = mode;
        CHECK(sa_cache_size(&g, &size, &alignment) == SA_SUCCESS, "size");
        status = sa_cache_create(&g, &allocator, &cache);
        CHECK(status == expected[mode], "mode %d: %s", mode, sa_status_string(status));
        CHECK(b.allocs == 1 && b.size == size && b.alignment == alignment, "mode %d: %d allocations", mode, b.allocs);
        CHECK((cache != NULL) == (mode == 0), "mode %d: cache %p", mode, (void *)cache);
        memset(&allocator, 0, sizeof allocator); /* it was copied */
        sa_cache_destroy(cache);
        CHECK(b.frees == (mode != 1) && (mode == 1 || b.freed == b.size), "mode %d: %d frees of %zu", mode, b.frees,
              b.freed);
    }
}

int main(int argc, char **argv) {
    uint64_t seed = 4096;
    long count = 300, i, first = argc > 3 ? strtol(argv[3], NULL, 0) : 0;
    test_begin("test_memory", argc, argv, &seed, &count);
    signal(SIGSEGV, on_fault);
    signal(SIGBUS, on_fault);
    for (i = first; i < first + count; i++) {
        run_case(seed, i);
    }
    layer_sizes(seed, 200);
    allocators();
    pool_calls();
    return test_end();
}
