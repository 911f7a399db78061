/**
 * @file sinkattn.h
 * The key/value cache and attention of a transformer that never stops.
 *
 * SPDX-License-Identifier: MIT
 *
 * The cache keeps the first n_sink tokens of a stream (the attention sinks) and the most recent `window` ones, in
 * constant memory and constant time per token (Xiao et al., "Efficient Streaming Language Models with Attention
 * Sinks", ICLR 2024, arXiv 2309.17453). Three calls stand where a dense KV cache stood:
 *
 *     sa_cache_create(&config, NULL, &cache);
 *     per token and layer:
 *         sa_append_kv(cache, layer, 1, k, v);
 *         sa_attend(cache, layer, 1, q, out);
 *
 * The header reads from simple to rare, and no level needs the next:
 *
 *     make a cache, the three calls, what they hold      all that a program with one stream needs
 *     the general step                                   strides, dtypes, probes, log-sum-exp, narrower views
 *     one sequence                                       going back, jumping, removing, pinning
 *     pools                                              many sequences: forks that share memory, batches
 *     saving                                             a sequence written down, and taken up again anywhere
 *     what few programs need                             learned sink rows, rows of the host, chunks, the host's own
 *                                                        threads, merging
 *
 * What a token sees. Let t be the 0-based stream position of a token, S = n_sink and W = window, the current token
 * included:
 *
 *     visible(t) = { 0 .. min(S, t+1)-1 }  and  { max(S, t-W+1) .. t }
 *
 *     stream   0 1 2 3 | 4 5 6 ...            t-W+1 ........... t
 *              `sinks'   `gone for ever'      `window, t included'
 *     in cache 0 1 2 3                        4 ............ S+W-1
 *
 * Positional information uses the place in the cache (the last line) or, if so configured, the place in the stream.
 * Feeding n tokens in one call gives each of them exactly its own visible(t), as if fed one by one, bit for bit.
 *
 * The window and the reference code's `recent_size` R: a loop that evicts after each forward pass is window = R+1; one
 * that makes room before it is window = R. Both are loops that go token by token. The reference's chat loop is neither:
 * it makes room for a whole prompt and its reply first, and then every token of the prompt sees all that was kept and
 * all of the prompt before it. No window does that. Here each token of a prompt sees its own window.
 *
 * Vocabulary
 *   token     one step of the stream; its position is a 64-bit count from 0
 *   sequence  a stream and what is held of it: a sa_cache, alone or one of a pool
 *   layer     one attention layer; each has its own keys, values and counter
 *   head      a query head; n_heads / n_kv_heads of them share one kv head
 *   row       one query head of one token
 *   logit     what enters the softmax: scale * <q, k>, capped, with bias
 *   rotate    multiply pairs of dims by a rotation matrix, as RoPE does
 *
 * Units and shapes. n_* are counts; *_size and *_stride are bytes. Arrays are row-major, their shape is written
 * (tokens, heads, dim); a (tokens, heads) array of float is always contiguous.
 *
 * Errors. Every call that can fail returns an sa_status, checks all arguments before it touches anything, and on error
 * leaves cache and outputs as they were, but for what sa_cache_error says. The library never prints, aborts, or
 * allocates after creation. Non-finite numbers are not errors: a NaN or infinity in q, k or v makes the rows that see
 * it non-finite or arbitrary, no other row, and is forgotten when it leaves the window.
 *
 * Threads. There is no global state. A cache belongs to one call at a time, and so does a pool with all its sequences,
 * but for sa_step_part and sa_batch_part, which a host's threads call together; calls on different caches that are not
 * of one pool, and on different pools, may run together. Functions that take neither may run in any thread at any time.
 * Where a comment says "one call on a cache at a time", a sequence of a pool stands for its pool.
 *
 * Floating point. Results assume the default environment: round to nearest, subnormals on. They are bit-identical over
 * chunking, thread count and instruction set (those with fused multiply-add; SA_ISA_PLAIN_NOFMA and SA_ISA_WASM share
 * bits of their own).
 *
 * Stability. Symbols, numbers and struct fields once released keep their meaning. A struct that crosses the border
 * begins with struct_size = sizeof it; fields are only ever appended and zero always means "as before". docs/abi.md
 * has the rules.
 */
#ifndef SINKATTN_H
#define SINKATTN_H

#include <stddef.h>
#include <stdint.h>

#ifndef SA_API
#if defined(_WIN32) && defined(SA_SHARED)
#ifdef SA_BUILDING
#define SA_API __declspec(dllexport)
#else
#define SA_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define SA_API __attribute__((visibility("default")))
#else
#define SA_API
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------- */
/* Version                                                                    */
/* ------------------------------------------------------------------------- */

/** Counts up when what a program relies on may change. */
#define SA_VERSION_MAJOR 0
/** Counts up when something is added. */
#define SA_VERSION_MINOR 1
/** Counts up when something is mended. */
#define SA_VERSION_PATCH 0
/** The version of this header as one number that grows. */
#define SA_VERSION_NUMBER (SA_VERSION_MAJOR * 10000 + SA_VERSION_MINOR * 100 + SA_VERSION_PATCH)

/**
 * The version of the library that runs, not of this header.
 *
 * @return its SA_VERSION_NUMBER
 *
 * Any thread; does not allocate.
 */
SA_API int32_t sa_version(void);

/**
 * The version of the library that runs, as text.
 *
 * @return "major.minor.patch": a constant string that the library owns
 *
 * Any thread; does not allocate.
 */
SA_API const char *sa_version_string(void);

/* ------------------------------------------------------------------------- */
/* Status                                                                     */
/* ------------------------------------------------------------------------- */

/** What a call came to: 0 is success, errors are negative. Numbers are never reused; positive ones are reserved. */
typedef int32_t sa_status;

/** The values of sa_status. */
enum {
    SA_SUCCESS = 0,          /**< done */
    SA_ERR_ARGUMENT = -1,    /**< an argument is NULL, negative or out of range; sa_cache_error says which */
    SA_ERR_CONFIG = -2,      /**< a config field is wrong; sa_config_check says which and why */
    SA_ERR_STRUCT_SIZE = -3, /**< struct_size is too small, or fields that this library does not know are not zero */
    SA_ERR_MEMORY = -4,      /**< the allocator returned NULL */
    SA_ERR_BUFFER = -5,      /**< the block handed in is too small */
    SA_ERR_ALIGNMENT = -6,   /**< a pointer or stride is not a multiple of what is required */
    SA_ERR_ISA = -7,         /**< the instruction set asked for is not available here */
    SA_ERR_FORMAT = -8,      /**< saved data is damaged, none of ours, or of an unknown version */
    SA_ERR_STATE = -9,     /**< not now: learned sink rows are missing, no step has begun, the sequence is closed, or a
                                  draft is open */
    SA_ERR_OVERFLOW = -10, /**< a size does not fit the address space, or a position 2^62 */
    SA_ERR_FULL = -11,     /**< no room: a dense layer for these tokens, a layer for another span or pin */
    SA_ERR_DEPTH = -12,    /**< needs tokens that the cache no longer holds, or that have never come */
    SA_ERR_POOL = -13      /**< the pool has no free tile, or no free sequence */
};

/**
 * One English sentence for a status. What exactly was wrong with a call, sa_cache_error says; with a config,
 * sa_config_check.
 *
 * @param status  any number, unknown ones too
 * @return the sentence: a constant string that the library owns
 *
 * Any thread; does not allocate.
 */
SA_API const char *sa_status_string(sa_status status);

/* ------------------------------------------------------------------------- */
/* Named values                                                               */
/* ------------------------------------------------------------------------- */

/**
 * Element types. Host tensors: the first three. Stored keys and values: all. 0 means SA_F32. SA_I8 and SA_I4 store
 * integers with a bfloat16 scale per 32 dims. Keys are first rotated by a Hadamard matrix, as are the queries, so that
 * no channel stands out; the products are sums of integers. Of numbers stored so, those beyond 1e30 may count as
 * infinite; and where a group of 32 values has none above 1e-35 (SA_I8) or 1e-37 (SA_I4), its scale is subnormal: the
 * values are up to 10 % off there, and further below they are 0. docs/quantization.md says how, and what it costs.
 */
enum {
    SA_F32 = 1,  /**< IEEE binary32 */
    SA_F16 = 2,  /**< IEEE binary16; beyond 65504 is infinity */
    SA_BF16 = 3, /**< the upper half of binary32 */
    SA_I8 = 4,   /**< integers of 8 bits; 8.5 bits a number with their scales */
    SA_I4 = 5    /**< integers of 4 bits; 4.5 bits a number with their scales */
};

/** What a layer keeps. */
enum {
    SA_POLICY_SINK_WINDOW = 0, /**< the first n_sink tokens and the newest `window` ones */
    SA_POLICY_WINDOW = 1,      /**< the newest `window` ones; n_sink must be 0 */
    SA_POLICY_DENSE = 2        /**< all, up to `window` of them; then appending is SA_ERR_FULL. A query sees all tokens
                                    up to its own position, however far back, and no later ones */
};

/** How position enters the logit. There is no default: a wrong guess here is the classic silent error. */
enum {
    SA_POSITION_NONE = 1,         /**< not at all (or the host has put it elsewhere) */
    SA_POSITION_ROPE = 2,         /**< q and k come in unrotated; the library rotates (Su et al., arXiv 2104.09864) */
    SA_POSITION_ROPE_APPLIED = 3, /**< q and k come in rotated to their stream position (config.rope_* say how); the
                                       library only rotates the query for the sinks back to its place in the cache. The
                                       results are as good as the host's angles: one that computes them in float is off
                                       by 4e-4 at position 4e3, 9e-3 at 1e5 and 9e-2 at 1e6, where outputs are up to
                                       8.6; so compute them in double. Beyond position 1e9 give the
                                       library the host's own rope_inv_freq too: the last bit of a double is then a
                                       visible angle */
    SA_POSITION_ALIBI = 4         /**< logit -= slope[head] * distance (Press et al. 2022, arXiv 2108.12409) */
};

/** Which distance a sink is at. The window is at its true distance in both. */
enum {
    SA_IN_CACHE = 0, /**< min(t, S+W-1) - j: the paper's; sinks stay near for ever. Dense: t - j */
    SA_IN_STREAM = 1 /**< t - j: the gap is kept. Frequencies are held as 64-bit fractions of a full rotation, so at a
                          distance of 1e15 the angle is off by 2e-4 radians, and at 2^61 by 0.6 */
};

/** Which two dims a rotation takes (d = rope_dims). */
enum {
    SA_ROPE_HALF_SPLIT = 0, /**< i and i + d/2: GPT-NeoX, Llama in Hugging Face layout */
    SA_ROPE_INTERLEAVED = 1 /**< 2i and 2i + 1: GPT-J, llama2.c, Llama in GGUF files */
};

/**
 * How the frequencies theta^(-2i/d) are scaled for longer contexts. s = rope_factor, L = rope_original_context. All but
 * NTK are as in Hugging Face transformers' modeling_rope_utils. Scalings that change with the length while a stream
 * runs ("dynamic NTK") cannot be exact with stored keys and are not offered.
 */
enum {
    SA_ROPE_SCALING_NONE = 0,    /**< as they are */
    SA_ROPE_SCALING_LINEAR = 1,  /**< frequencies / s */
    SA_ROPE_SCALING_NTK = 2,     /**< theta * s^(d/(d-2)) */
    SA_ROPE_SCALING_YARN = 3,    /**< Peng et al. 2023, arXiv 2309.00071; s, L, rope_beta_fast, rope_beta_slow */
    SA_ROPE_SCALING_LLAMA3 = 4,  /**< s, L, rope_low_freq_factor, rope_high_freq_factor */
    SA_ROPE_SCALING_LONGROPE = 5 /**< Ding et al. 2024, arXiv 2402.13753: frequency i is divided by rope_long_factors[i]
                                      if positions may pass L (n_sink + window > L, or SA_IN_STREAM without dense),
                                      else by rope_short_factors[i] */
};

/** Where learned sink rows stand (see sa_set_sink_kv). */
enum {
    SA_SINK_KV_BEFORE = 0, /**< row r of n at position r - n: just before token 0, the paper's learnable sink token
                                (section 3.3) */
    SA_SINK_KV_AT_ZERO = 1 /**< every row at position 0: keys trained without rotation */
};

/** Instruction sets, see config.isa. */
enum {
    SA_ISA_AUTO = 0,         /**< the best that the processor and this build have: sa_isa_best */
    SA_ISA_PLAIN = 1,        /**< C with fmaf: the definition of the bits; slow */
    SA_ISA_PLAIN_NOFMA = 2,  /**< C with multiply, then add: other bits; what AUTO takes on a processor without fused
                                  multiply-add */
    SA_ISA_AVX2 = 3,         /**< x86-64 with AVX2, FMA and F16C */
    SA_ISA_AVX512 = 4,       /**< x86-64 with AVX-512 F, BW, DQ, VL */
    SA_ISA_NEON = 5,         /**< every AArch64 */
    SA_ISA_WASM = 6,         /**< WebAssembly compiled for SIMD128; the bits of PLAIN_NOFMA */
    SA_ISA_WASM_RELAXED = 7, /**< WebAssembly compiled for relaxed SIMD, on an engine whose multiply-add is fused: the
                                  bits of PLAIN */
    SA_ISA_RVV = 8,          /**< RISC-V with V 1.0, vectors of 128 bits or more */
    SA_ISA_VSX = 9,          /**< POWER compiled for VSX (every little-endian one) */
    SA_ISA_VXE = 10,         /**< S/390 with vector enhancements 1: z14 and later */
    SA_ISA_AVX512_VNNI = 11, /**< AVX512 and AVX-512 VNNI, for integer keys */
    SA_ISA_AVX2_VNNI = 12,   /**< AVX2 and AVX-VNNI, for integer keys */
    SA_ISA_NEON_DOT = 13     /**< NEON and the dot products of Armv8.2, for integer keys */
};

/** Bits of sa_config.flags. */
enum {
    SA_CONFIG_YARN_NO_TRUNCATE = 1, /**< YaRN's ramp ends are not rounded to whole dims (gpt-oss) */
    SA_CONFIG_COOPERATIVE = 2       /**< the host's threads will process steps together, by sa_step_begin and
                                         sa_step_part: n_threads needs no pool. Of the whole cache */
};

/* ------------------------------------------------------------------------- */
/* Configuration                                                              */
/* ------------------------------------------------------------------------- */

/** One piece of work for a thread pool: gets the context that came with it, and which piece it is. */
typedef void (*sa_task)(void *task_context, int32_t index);

/**
 * The host's thread pool: runs task(task_context, i) once for every i in [0, n_tasks), in any order, on any threads,
 * and returns when all have returned. `context` is config.parallel_context. It is called by sa_append_kv, sa_attend,
 * sa_append_attend, sa_step and sa_batch, in the thread that calls them; it must not call the library on the same cache
 * or pool.
 */
typedef void (*sa_parallel_for)(void *context, int32_t n_tasks, sa_task task, void *task_context);

/**
 * All a cache needs to know. Zero it, set struct_size, then what you need: 0 means the default in every field; fields
 * marked (required) have none. Everything behind the pointers stays the host's, and is copied by the call that reads
 * the config. Fields of a scheme that was not chosen (rope_* without RoPE, a scaling's without that scaling, ...) must
 * be 0: they are refused, not ignored.
 */
typedef struct sa_config {
    uint32_t struct_size; /**< sizeof(sa_config) */
    uint32_t flags;       /**< SA_CONFIG_* */

    /* Of the whole cache. */
    int32_t n_layers;   /**< (required) 1 .. 65536 */
    int32_t max_append; /**< tokens, 1 .. 2^20, default 256: the most that one sa_attend can look back over, and the
                             piece in which larger calls are processed. Costs as many tokens of memory per layer; a
                             program that appends single tokens sets 1 */
    int32_t rollback;   /**< tokens, 0 .. 2^20, default 0: the depth that sa_cache_rollback promises. Memory is for the
                             larger of max_append - 1 and rollback */
    int32_t isa;        /**< SA_ISA_*; default the best that is available */
    int32_t n_threads;  /**< workers at most, 1 .. 1024; default 1. More than 1 needs parallel_for, a library built with
                             OpenMP, or SA_CONFIG_COOPERATIVE */
    int32_t io_dtype;   /**< SA_F32 (default), SA_F16, SA_BF16: of k, v, q, out where a call does not say */

    /* Geometry. */
    int32_t n_heads;    /**< (required) query heads, 1 .. 65536 */
    int32_t n_kv_heads; /**< divides n_heads; default n_heads */
    int32_t head_dim;   /**< (required) dims of q and k, 1 .. 1024 */
    int32_t v_head_dim; /**< dims of v and out, 1 .. 1024; default head_dim */
    int32_t policy;     /**< SA_POLICY_*; default SA_POLICY_SINK_WINDOW */
    int32_t n_sink;     /**< S, tokens: 0 .. 2^20; default 0. Must be 0 with SA_POLICY_WINDOW and SA_POLICY_DENSE */
    int32_t window;     /**< (required) W, tokens: 1 .. 2^30, the current token included */
    int32_t k_dtype;    /**< of stored keys: SA_F32 (default), SA_F16, SA_BF16, SA_I8, SA_I4. Sinks may be stored
                             otherwise: sink_k_dtype */
    int32_t v_dtype;    /**< the same of stored values */

    /* Softmax: logit = softcap(scale * <q, k>) + bias; softcap(x) = c tanh(x / c). */
    float scale;              /**< 1e-30 .. 1e30; default 1 / sqrt(head_dim). DeepSeek: see rope_attention_factor */
    float softcap;            /**< c, 1e-30 .. 1e30; default none */
    int32_t n_sink_kv;        /**< learned sink rows: 0 .. 2^16, default 0; see sa_set_sink_kv */
    int32_t sink_kv_position; /**< SA_SINK_KV_* */

    /* Position. */
    int32_t position;              /**< (required) SA_POSITION_* */
    int32_t position_mode;         /**< SA_IN_CACHE (default) or SA_IN_STREAM */
    int32_t rope_layout;           /**< SA_ROPE_HALF_SPLIT (default) or SA_ROPE_INTERLEAVED */
    int32_t rope_dims;             /**< d: dims that are rotated, even, <= head_dim; default head_dim */
    int32_t rope_offset;           /**< the first dim that is rotated; default 0 */
    int32_t rope_scaling;          /**< SA_ROPE_SCALING_* */
    int32_t rope_original_context; /**< L, tokens, 1 .. 2^30: (required) for YARN, LLAMA3, LONGROPE */
    double rope_theta;             /**< > 1; default 10000 */
    double rope_factor;            /**< s >= 1: (required) for LINEAR, NTK, YARN, LLAMA3; and for LONGROPE, whose
                                        attention factor follows from it, unless that is given or applied by the host.
                                        Where a LONGROPE model names none, it is the new context divided by L */
    double rope_attention_factor;  /**< > 0: q and k are multiplied by it on the dims that are rotated. Default 0.1 ln s
                                        + 1 for YARN, sqrt(1 + ln s / ln L) for LONGROPE, else 1. Must be 0 with
                                        ROPE_APPLIED: the host has applied it. A YaRN model with mscale and
                                        mscale_all_dim (DeepSeek): let m(x) = 0.1 x ln s + 1; then this is m(mscale) /
                                        m(mscale_all_dim), and where mscale_all_dim is not 0, scale is
                                        m(mscale_all_dim)^2 / sqrt(head_dim) */
    double rope_beta_fast;         /**< YARN: rotations over L, >= rope_beta_slow; default 32 */
    double rope_beta_slow;         /**< YARN: rotations over L; default 1 */
    double rope_low_freq_factor;   /**< LLAMA3: default 1 */
    double rope_high_freq_factor;  /**< LLAMA3: > rope_low_freq_factor; default 4 */

    const double *rope_inv_freq;     /**< (rope_dims / 2) radians per position, used as they are in place of theta and
                                          scaling; default none. (Far away: see SA_IN_STREAM) */
    const float *rope_short_factors; /**< (rope_dims / 2) (required) for LONGROPE, else NULL */
    const float *rope_long_factors;  /**< (rope_dims / 2) (required) for LONGROPE, else NULL */
    const float *alibi_slopes;       /**< (n_heads) for ALIBI; default Press et al.'s. The bias is added after scale. A
                                          model that scales its bias too (Falcon) needs its slopes times scale here */
    const float *sink_logits;        /**< (n_heads) a logit each that joins the softmax with value 0 (gpt-oss); 0 is the
                                          zero sink, "softmax plus one" (section 3.3), -infinity none. Default none. The
                                          same for every layer unless `layers` says otherwise */

    sa_parallel_for parallel_for; /**< the host's thread pool, or NULL; kept with its context until destroy */
    void *parallel_context;       /**< handed to parallel_for; the host's */

    /** (n_layers) or NULL: layer l is made from *layers[l] where that is not NULL, instead of from this struct. In such
     * a config the fields "of the whole cache", parallel_* and `layers` are not read. Where all layers have one, this
     * struct's own fields of a layer are not read either, and may be 0. Gemma 3 and gpt-oss alternate local and global
     * layers so. */
    const struct sa_config *const *layers;

    /* Precision by region. */
    int32_t sink_k_dtype;   /**< of sink tokens, learned sink rows and rows of the host: SA_F32, SA_F16, SA_BF16.
                                 Default k_dtype; SA_F16 where that is SA_I8 or SA_I4 */
    int32_t sink_v_dtype;   /**< the same for v_dtype */
    int32_t n_recent;       /**< the newest tokens that a query reads in recent_*_dtype, the current one included, sinks
                                 apart: 0 (default: none) .. window, which leaves k_dtype unread; of a kv head with a
                                 window of its own, not more than that. They are stored twice,
                                 so that each query finds its own newest ones, whatever the chunking; and a dense layer
                                 can then go back only as far as others can */
    int32_t recent_k_dtype; /**< with n_recent: SA_F32, SA_F16 (default), SA_BF16; else 0 */
    int32_t recent_v_dtype; /**< the same for values */
    int32_t query_bits;     /**< of the codes that queries take for integer keys: 16 (default) or 8; 0 where k_dtype is
                                 no integer. With 8 a processor that multiplies bytes needs half the instructions, and
                                 a dim of a query, once rotated, is off by up to 1 / 254 of the largest
                                 (docs/quantization.md). What is stored is the same */
    int32_t weight_bits; /**< the same of the weights of integer values; 0 where v_dtype is none. With 8 a weight times
                                 the scale of its value is off by up to 1 / 254 of the largest such product among 256
                                 stream positions of a span: where one of them has about half of the mass, the share of
                                 the others can be lost, or counted twice. For models and texts that bear it: measure */

    /* Sequences. Of the whole cache. */
    int32_t n_sequences; /**< sequences of a pool that may be open at once: 1 .. 65536, default 1. For sa_cache_create
                              and sa_cache_init, more than 1 are SA_ERR_CONFIG */
    int32_t n_spans;     /**< spans that pins and removals may add to a layer: 0 (default) .. 4096. A pin within the
                              window takes two, one that the window has left behind one; a removal takes one, with its
                              gap kept two. Each costs two tiles (32 tokens) of memory per layer and sequence */
    int32_t n_pin;       /**< tokens that pins, and sinks that were moved, may keep in a layer: 0 (default) .. 2^30 */
    int32_t n_rows;      /**< that a sequence may have of the host's own, beside its tokens: 0 (default) .. 2^16; see
                            sa_set_rows */
    int32_t max_draft;   /**< nodes that a draft may have in a layer: 0 (default: there are no drafts) .. 65536; see
                            sa_draft_accept. Each costs as many bytes per layer and sequence as a token. Of the whole
                            cache */
    int64_t pool_tokens; /**< tokens that all sequences of a pool may hold together in a layer, sinks apart: 0 (default:
                              the worst case of all of them) .. 2^40. They are counted in tiles of 16: one that is not
                              full counts whole, and one that forks share counts once. With less than the worst case,
                              appending may be SA_ERR_POOL. Where kv heads keep different tokens (head_windows), so
                              many for each set of equal heads */

    /* Sinks and window by kv head: some heads keep much, others stream (DuoAttention, Xiao et al. 2024, arXiv
     * 2410.10819). The layer's n_sink and window are the most that a head may have. Kv heads with equal numbers share
     * their tables of tiles; at most 256 different pairs. Each head gives the bits that it would give in a layer where
     * all heads are like it. */
    const int32_t *head_windows; /**< (n_kv_heads) or NULL: each kv head's window, 1 .. window; 0: the layer's. In a
                                      dense layer, a head with a window streams, as in one of SA_POLICY_SINK_WINDOW,
                                      and only the others are full after `window` tokens */
    const int32_t *head_sinks;   /**< (n_kv_heads) or NULL: each kv head's sinks, 1 .. n_sink; 0: the layer's, -1: none.
                                      In a dense layer, 1 .. window - head_windows[h] where that is not 0 */
} sa_config;

/**
 * Says whether a config is one that sa_pool_create would take, and sa_cache_create too if n_sequences is at most 1; and
 * if not, why.
 *
 * @param config     the config; stays the host's
 * @param why_out    NULL, or receives a constant English sentence that the library owns: which field is wrong and why;
 *                   "" on success
 * @param layer_out  NULL, or receives the layer concerned, -1 for the cache as a whole
 * @return SA_SUCCESS, SA_ERR_ARGUMENT (config is NULL), SA_ERR_STRUCT_SIZE, SA_ERR_CONFIG, SA_ERR_ISA,
 *         SA_ERR_OVERFLOW (the cache would not fit the address space). Both outputs are written in any case.
 *
 * Any thread; does not allocate.
 */
SA_API sa_status sa_config_check(const sa_config *config, const char **why_out, int32_t *layer_out);

/* ------------------------------------------------------------------------- */
/* Lifetime: three ways to own the memory                                     */
/* ------------------------------------------------------------------------- */

/** A cache: the keys and values of all layers, and what it takes to attend to them. One block of memory, or a sequence
 * of a pool, which lies in the block of that. */
typedef struct sa_cache sa_cache;

/** The host's allocator. Copied at creation; called only by sa_cache_create and sa_cache_destroy, or sa_pool_create
 * and sa_pool_destroy, once each, in the threads that call those. */
typedef struct sa_allocator {
    uint32_t struct_size; /**< sizeof(sa_allocator) */
    uint32_t reserved;    /**< 0 */
    /** Returns `size` bytes at a multiple of `alignment` (a power of two), or NULL. */
    void *(*alloc)(void *user, size_t size, size_t alignment);
    /** Gets what alloc returned, and the same size. */
    void (*free)(void *user, void *memory, size_t size);
    void *user; /**< handed to both; the host's */
} sa_allocator;

/**
 * The bytes that a cache of this config takes, all it will ever take, and their alignment. Per layer, in tiles of 16
 * tokens, with held = window - 1 + max(max_append, rollback + 1) tokens (dense: window):
 *
 *     tiles = roundup((held + n_pin) / 16) + 1 + 2 n_spans + roundup(n_sink / 16) + roundup(n_sink_kv / 16)
 *           + roundup(n_rows / 16)
 *     bytes = tiles * 16 * n_kv_heads * (head_dim * sizeof k_dtype + roundup16(v_head_dim) * sizeof v_dtype)
 *
 * (SA_I8 and SA_I4: 8.5 and 4.5 bits), with n_recent the newest once more in recent_*_dtype, and, for the cache, tables
 * and the workers' scratch, which do not depend on the stream: docs/memory.md has every term. A pool has these
 * tiles for each of its sequences, learned sink rows once; with config.pool_tokens, those of the first three terms are
 * roundup(pool_tokens / 16), if that is less. Where kv heads have sinks and windows of their own (config.head_windows),
 * each set of equal heads counts as a layer that has these heads alone.
 *
 * @param config         the config; stays the host's
 * @param size_out       receives bytes
 * @param alignment_out  receives bytes, a power of two
 * @return as sa_config_check, or SA_ERR_ARGUMENT (an output is NULL too); on error the outputs are as they were.
 *
 * Any thread; does not allocate.
 */
SA_API sa_status sa_cache_size(const sa_config *config, size_t *size_out, size_t *alignment_out);

/**
 * Makes an empty cache in the host's block. The block stays the host's: keep it while the cache is used, release it
 * afterwards; no destroy is needed (it is harmless). A block may be copied byte by byte to another aligned place while
 * no call runs: the copy is a cache of its own, and its handle lies as far from the copy's beginning as the old one
 * from its block's.
 *
 * @param memory     `size` bytes, aligned as sa_cache_size says
 * @param size       bytes, at least what sa_cache_size says
 * @param config     the config; stays the host's
 * @param cache_out  receives the cache, which lies in the block
 * @return as sa_config_check, or SA_ERR_ARGUMENT (memory, config or cache_out is NULL), SA_ERR_BUFFER (size is too
 *         small), SA_ERR_ALIGNMENT; on error *cache_out is NULL (if cache_out is not) and the block is untouched.
 *         sa_config_check says why.
 *
 * Any thread; does not allocate.
 */
SA_API sa_status sa_cache_init(void *memory, size_t size, const sa_config *config, sa_cache **cache_out);

/**
 * Makes an empty cache with one allocation.
 *
 * @param config     the config; stays the host's
 * @param allocator  where the memory comes from, or NULL: malloc. Copied
 * @param cache_out  receives the cache, the caller's to destroy
 * @return as sa_config_check, or SA_ERR_ARGUMENT (config or cache_out is NULL, or the allocator's alloc or free),
 *         SA_ERR_STRUCT_SIZE (of the allocator too), SA_ERR_MEMORY, SA_ERR_ALIGNMENT (alloc returned a misaligned
 *         block, which is freed); on error *cache_out is NULL (if cache_out is not). sa_config_check says why.
 *
 * Any thread. Allocates once.
 */
SA_API sa_status sa_cache_create(const sa_config *config, const sa_allocator *allocator, sa_cache **cache_out);

/**
 * Ends a cache and frees what sa_cache_create allocated; of a cache in the host's block, frees nothing. A sequence of a
 * pool is closed: its tiles are free again, but for those that forks share. NULL is allowed. No call on the cache or on
 * its pool may run; none on the cache may follow, until sa_pool_open or sa_cache_fork gives it out again. (Calls on a
 * closed sequence of a pool that still exists are refused; once the handle was given out again, they cannot be told
 * from those of its new owner.)
 *
 * @param cache  the cache, or NULL
 *
 * Any thread; does not allocate.
 */
SA_API void sa_cache_destroy(sa_cache *cache);

/* ------------------------------------------------------------------------- */
/* The three calls: append, attend, or both in one                            */
/* ------------------------------------------------------------------------- */

/**
 * Appends n tokens to a layer; what falls out of the window is gone. Many tokens are stored by the cache's workers, a
 * few by the calling thread.
 *
 * @param cache     the cache
 * @param layer     0 .. n_layers-1
 * @param n_tokens  0 .. 2^31-1, larger than the window too
 * @param k         (n_tokens, n_kv_heads, head_dim), contiguous, of config.io_dtype; NULL is allowed without tokens
 * @param v         (n_tokens, n_kv_heads, v_head_dim), likewise. Both stay the host's and are read during the call only
 * @return SA_SUCCESS, SA_ERR_ARGUMENT, SA_ERR_ALIGNMENT (a pointer, to its element size), SA_ERR_FULL (dense),
 *         SA_ERR_OVERFLOW (position, or a tensor reaches beyond the address space), SA_ERR_POOL (config.pool_tokens:
 *         too few free tiles), SA_ERR_STATE (the sequence is closed, or a draft is open); on error nothing has changed,
 *         and sa_cache_error says why.
 *
 * One call on a cache at a time; does not allocate.
 */
SA_API sa_status sa_append_kv(sa_cache *cache, int32_t layer, int32_t n_tokens, const void *k, const void *v);

/**
 * Attention of the last n tokens appended to a layer, each over its own visible(t):
 *
 *     out[i][h] = sum over u of softmax(logit(i, h, u)) * v[u][h / group]
 *
 * Changes nothing but `out`.
 *
 * @param cache     the cache
 * @param layer     0 .. n_layers-1
 * @param n_tokens  0 .. min(max_append, tokens of the stream)
 * @param q         (n_tokens, n_heads, head_dim), contiguous, of config.io_dtype; NULL is allowed without tokens
 * @param out       (n_tokens, n_heads, v_head_dim), likewise; must not overlap q, which is not checked. Both stay the
 *                  host's
 * @return SA_SUCCESS, SA_ERR_ARGUMENT, SA_ERR_ALIGNMENT, SA_ERR_STATE (sa_set_sink_kv is due, or the sequence is
 *         closed), SA_ERR_DEPTH (these tokens, or keys that they see, are no longer held or have never come),
 *         SA_ERR_OVERFLOW; on error nothing has changed, and sa_cache_error says why.
 *
 * One call on a cache at a time; does not allocate.
 */
SA_API sa_status sa_attend(sa_cache *cache, int32_t layer, int32_t n_tokens, const void *q, void *out);

/**
 * Both in one: n tokens of any number, processed in pieces of max_append, with the result of appending and attending
 * one by one.
 *
 * @param cache     the cache
 * @param layer     0 .. n_layers-1
 * @param n_tokens  0 .. 2^31-1
 * @param q         as for sa_attend
 * @param k         as for sa_append_kv
 * @param v         as for sa_append_kv
 * @param out       as for sa_attend; must not overlap q, k or v, which are read while it is written (not checked)
 * @return as sa_append_kv and sa_attend; on error nothing has changed, and sa_cache_error says why.
 *
 * One call on a cache at a time; does not allocate.
 */
SA_API sa_status sa_append_attend(sa_cache *cache, int32_t layer, int32_t n_tokens, const void *q, const void *k,
                                  const void *v, void *out);

/* ------------------------------------------------------------------------- */
/* Why a call failed, and what a layer holds                                  */
/* ------------------------------------------------------------------------- */

/**
 * Why the last call on this cache failed: one English sentence that names the argument and its limit, such as "n_tokens
 * is larger than max_append: ..."; "" if it succeeded, or before the first call. A constant string that the library
 * owns; it outlives the cache.
 *
 * The last call is of those that take a `sa_cache *` that is not const, and of batches that the cache is in. The others
 * (sa_cache_info, sa_cache_spans, sa_cache_positions) and the calls that several threads make together (sa_step_part,
 * sa_batch_part) leave the sentence as it is. The cache holds a number, not the text, so a copy of its block (see
 * sa_cache_init) says the same in another process. For calls that make a cache, sa_config_check says why.
 *
 * @param cache  the cache; NULL gives a sentence that says so
 * @return the sentence
 *
 * One call on a cache at a time; does not allocate.
 */
SA_API const char *sa_cache_error(const sa_cache *cache);

/** Facts of a layer, and of its cache. */
typedef struct sa_cache_facts {
    uint32_t struct_size; /**< in: sizeof(sa_cache_facts) of the caller; only that much is written */
    int32_t isa;          /**< SA_ISA_* that runs */
    uint64_t tokens_seen; /**< of the stream, so far: the position of the next token */
    uint64_t tokens_held; /**< that the next token could still see, plus those kept for rollback; and since tokens are
                                  let go in whole tiles of 16, up to 15 more */
    uint64_t positions_held; /**< tokens held that the newest token sees: min(tokens_seen, S+W) without jumps and
                                  removals. A rollback leaves all that the next token will see; after one that was as
                                  deep as possible, the oldest token that the newest one saw may be gone: one less */
    uint64_t rollback_now;   /**< the largest n such that sa_cache_rollback could take back 1, 2, ... n tokens of this
                                  layer now. (Beyond it, only a rollback to position n_sink or below may be possible, or
                                  to one before what was still held when a gap was closed) */
    uint64_t cache_size;     /**< bytes of the whole cache: sa_cache_size */
    uint64_t kv_size;        /**< bytes of this layer's keys and values, room included */
    int32_t n_threads;       /**< workers that may run */
    int32_t max_append;      /**< tokens */
    int32_t n_lanes;        /**< sets of kv heads that keep the same tokens (config.head_windows), usually 1. With more,
                                  tokens_held and positions_held are those of the head that has most, and rollback_now
                                  is what all of them can do */
    int32_t n_draft;        /**< nodes of the layer's draft; 0: none is open */
    uint64_t rows_used;     /**< rows of the host (sa_set_rows), up to the last one that is there */
    uint64_t keys_in_front; /**< entries of sa_step_args.key_mass before those of sa_cache_positions: one for the sink
                                  logit, if the layer has some, then the learned sink rows, then
                                  config.n_rows of the host */
    uint64_t keys_most;     /**< entries that key_mass may ever need: a key_stride that always suffices */
} sa_cache_facts;

/**
 * Facts of a layer.
 *
 * @param cache     the cache; not changed, sa_cache_error neither
 * @param layer     0 .. n_layers-1
 * @param info_out  receives the facts; the host's, with struct_size set. Bytes of a newer caller's larger struct are
 *                  set to 0
 * @return SA_SUCCESS, SA_ERR_ARGUMENT (cache or info_out is NULL, layer out of range), SA_ERR_STATE (the sequence is
 *         closed), SA_ERR_STRUCT_SIZE (below the first version's); on error nothing is written.
 *
 * One call on a cache at a time; does not allocate.
 */
SA_API sa_status sa_cache_info(const sa_cache *cache, int32_t layer, sa_cache_facts *info_out);

/* ------------------------------------------------------------------------- */
/* The general step                                                           */
/* ------------------------------------------------------------------------- */

/** Bits of sa_tensor.flags. */
enum {
    SA_TENSOR_STRIDES_GIVEN = 1 /**< both strides are used as they are, 0 too: 0 repeats a token or a head, as torch's
                                     expand does. Without it, a stride of 0 means contiguous */
};

/** A host tensor (tokens, heads, dim) as it lies in memory; the dims of one head are adjacent. Inputs are only read;
 * their rows may overlap. */
typedef struct sa_tensor {
    void *data;           /**< element [0][0][0]; the host's. NULL: there is no such tensor */
    int64_t token_stride; /**< bytes from a token to the next, may be negative; 0: heads * head_stride */
    int64_t head_stride;  /**< bytes from a head to the next, may be negative; 0: dim * element size */
    int32_t dtype;        /**< SA_F32, SA_F16, SA_BF16; 0: config.io_dtype */
    uint32_t flags;       /**< SA_TENSOR_* */
} sa_tensor;

/** Bits of sa_step_args.flags. */
enum {
    SA_STEP_NODES = 1, /**< with q alone: the queries are those of nodes q_offset .. q_offset + n_tokens - 1 of the
                                   layer's draft */
    SA_STEP_MASS_PER_HEAD = 2 /**< key_mass has a row for each query head, in place of one for each kv head */
};

/**
 * The general call: append (if k.data is set), then attend (if q.data is set). With both, the queries are those of the
 * appended tokens, in pieces of max_append. With q alone, query i stands at stream position tokens_seen + q_offset + i,
 * so -n_tokens means the last tokens appended (sa_attend), and 0, the default, a probe that stands where the next token
 * will, and appends nothing. It sees visible(t) as far as that has come; if it sees nothing at all (no keys, no sink
 * logit), out is 0, lse -infinity and sink_mass 0. All pointers stay the host's.
 */
typedef struct sa_step_args {
    uint32_t struct_size; /**< sizeof(sa_step_args) */
    uint32_t flags;       /**< SA_STEP_* */
    int32_t layer;        /**< 0 .. n_layers-1 */
    int32_t n_tokens;     /**< 0 .. 2^31-1; with q alone at most max_append */
    sa_tensor q;          /**< (n_tokens, n_heads, head_dim) or data NULL */
    sa_tensor k;          /**< (n_tokens, n_kv_heads, head_dim) or data NULL */
    sa_tensor v;          /**< (n_tokens, n_kv_heads, v_head_dim), set if and only if k is */
    sa_tensor out;        /**< (n_tokens, n_heads, v_head_dim), set if and only if q is; its rows must not overlap each
                               other (which is checked). None of what a step writes may overlap what it reads or
                               writes otherwise (which is not) */
    int64_t q_offset;     /**< tokens, with q alone: -2^62 .. 2^62; else 0. With SA_STEP_NODES, a node's number */
    float *lse;           /**< NULL or (n_tokens, n_heads): natural log of the sum of exp(logit), sink logit included */
    float *sink_mass;     /**< NULL or (n_tokens, n_heads): the share, 0 .. 1, of the softmax that sink tokens, learned
                               sink rows, rows of the host and sink logit take */
    float *partial_max;   /**< NULL, or with partial_sum (n_tokens, n_heads): ask for the un-normalised state in place
                               of the result: max = m, sum = sum of exp(logit - m), out (must be SA_F32) = sum of
                               exp(logit - m) * v. Input of sa_merge_partial, sa_finish_partial. The sink logit is in
                               it: give it to one of the caches that are merged */
    float *partial_sum;   /**< NULL, or with partial_max (n_tokens, n_heads) */
    int32_t view_window;  /**< with q, a narrower view for this call: 1 .. window; 0: the layer's window. A kv head
                               whose window is narrower still (config.head_windows) keeps it */
    int32_t view_sinks;   /**< with q: only so many of the first sink tokens; 0: the layer's sinks, -1: none */
    const int32_t *parents; /**< NULL, or with k (n_tokens): the tokens are drafted and not appended; see
                                 sa_draft_accept. The parent of each: -1, the stream's newest token, or the number of a
                                 node that was drafted before it, in this call or earlier */

    /* Attention mass: what eviction policies (H2O, SnapKV, TOVA) look at. A step with either array has at most
     * max_append tokens, none of them nodes of a draft; the steps of a batch with such a one together at most
     * max(max_append, n_sequences). It takes about half as long again; value_norms read all values once more. */
    /** NULL, or with q (n_kv_heads, key_stride), with SA_STEP_MASS_PER_HEAD (n_heads, key_stride): the share of the
     * softmax, 0 .. 1, that each key has, summed over the call's rows of that kv head or query head. Entries: one for
     * the sink logit, if the layer has some, then the learned sink rows, then the config.n_rows of the host (0 for
     * those that are not there), then the positions that sa_cache_positions lists for that kv head after the step, 0
     * where no row saw them. So a head's entries add up to the number of its rows, within rounding (a row that sees
     * nothing adds 0). What lies behind stays as it was. The bits do not depend on threads or instruction set; a NaN
     * reaches the entries of those keys that its rows see. */
    float *key_mass;
    /** NULL, or with q (n_kv_heads, key_stride): the length (L2 norm) of each value as it is stored, in the same order,
     * 0 for the sink logit. Of newest tokens that are stored twice (config.n_recent), of what will stay. */
    float *value_norms;
    int64_t key_stride; /**< with these: floats from a head's first entry to the next head's; at least the entries that
                             there are. keys_most of sa_cache_info always suffices */
} sa_step_args;

/**
 * Runs a step.
 *
 * @param cache  the cache
 * @param args   what to do; not kept
 * @return SA_SUCCESS, SA_ERR_ARGUMENT (also: rows of `out` overlap each other), SA_ERR_STRUCT_SIZE, SA_ERR_ALIGNMENT (a
 *         pointer or stride is not a multiple of its element size), SA_ERR_FULL (dense, or max_draft), SA_ERR_POOL (too
 *         few free tiles), SA_ERR_STATE (sa_set_sink_kv is due, the sequence is closed, a draft is open or cannot
 *         begin), SA_ERR_DEPTH (as of sa_attend), SA_ERR_OVERFLOW (also: a tensor or array reaches beyond the address
 *         space, from its pointer on, in either direction); on error nothing has changed, and sa_cache_error says why.
 *
 * One call on a cache at a time; does not allocate.
 */
SA_API sa_status sa_step(sa_cache *cache, const sa_step_args *args);

/* ------------------------------------------------------------------------- */
/* One sequence: going back, jumping, removing, pinning                       */
/* ------------------------------------------------------------------------- */

/** In place of a layer, in the calls of this section that change a sequence: all of them. */
enum { SA_ALL_LAYERS = -1 };

/** In place of the position behind the last of a range: tokens_seen of each layer meant. */
#define SA_END UINT64_MAX

/**
 * Forgets the tokens of a stream, pinned ones too, and its rows of the host: tokens_seen is 0 again. Learned sink rows,
 * which are the model's, stay.
 *
 * @param cache  the cache
 * @param layer  0 .. n_layers-1 or SA_ALL_LAYERS
 * @return SA_SUCCESS, SA_ERR_ARGUMENT (cache is NULL, layer), SA_ERR_STATE (the sequence is closed); on error nothing
 *         has changed, and sa_cache_error says why.
 *
 * One call on a pool at a time; takes time by the number of tiles; does not allocate.
 */
SA_API sa_status sa_cache_reset(sa_cache *cache, int32_t layer);

/**
 * Takes back the newest tokens, exactly as if they had never come: with T the largest tokens_seen of the layers meant,
 * every one of them that has seen more than T - n_tokens goes back to that. (So a pass that broke off between two
 * layers is undone too.)
 *
 * It is possible if and only if, for every kv head of every layer that goes back, every older token that the next one
 * would see is still held, and the layer does not go back across a jump (sa_cache_seek, sa_cache_restart). So it always
 * is
 * - down to `rollback` tokens below the most that the layer has held since reset or its last jump, and deeper as long
 *   as nothing needed has gone (rollback_now of sa_cache_info says how deep). What had gone when a gap was closed is
 *   not needed any more;
 * - to position n_sink and below, if there was no jump and sinks were neither removed nor moved;
 * - in dense layers without n_recent, if there was no jump.
 *
 * Neither removals nor pins are undone. Sinks that were moved and are taken back are gone; a layer at position 0 is as
 * after sa_cache_reset.
 *
 * @param cache     the cache
 * @param layer     0 .. n_layers-1 or SA_ALL_LAYERS
 * @param n_tokens  0 .. T
 * @return SA_SUCCESS, SA_ERR_ARGUMENT (cache is NULL; layer; n_tokens is negative or more than T), SA_ERR_STATE (the
 *         sequence is closed), SA_ERR_DEPTH; on error nothing has changed, and sa_cache_error says why.
 *
 * One call on a pool at a time; takes time by the number of tiles that come free; does not allocate.
 */
SA_API sa_status sa_cache_rollback(sa_cache *cache, int32_t layer, int64_t n_tokens);

/**
 * Jumps ahead: the next token is at stream position `position`, as if the tokens between had come and were masked out
 * for good. What the window held is gone; sinks and pins that have come stay. Rollback cannot cross the jump. A dense
 * layer has again room for `window` tokens, and sees none from before the jump.
 *
 * @param cache     the cache
 * @param layer     0 .. n_layers-1 or SA_ALL_LAYERS
 * @param position  >= the largest tokens_seen of the layers meant, < 2^62; where a layer already stands there, nothing
 *                  changes for it
 * @return SA_SUCCESS, SA_ERR_ARGUMENT (cache is NULL, layer, or position is behind), SA_ERR_STATE (the sequence is
 *         closed), SA_ERR_OVERFLOW, SA_ERR_FULL (several jumps among the positions of sinks cut them in too many
 *         spans: config.n_spans); on error nothing has changed, and sa_cache_error says why.
 *
 * One call on a pool at a time; takes time by the number of tiles; does not allocate.
 */
SA_API sa_status sa_cache_seek(sa_cache *cache, int32_t layer, uint64_t position);

/** What becomes of the positions of a removed range. */
enum {
    SA_GAP_CLOSE = 0, /**< later tokens count as if the range had never come */
    SA_GAP_KEEP = 1   /**< its positions go on counting, as if its tokens were masked out */
};

/**
 * Removes the tokens at stream positions [from, end), of any kind, wherever they lie. No key is touched: with
 * SA_GAP_CLOSE the shift of what comes later grows, so every later token, and the next one, is as near to what comes
 * before as if the range had never come. Older tokens come back into the window as far as the layer holds them: it
 * holds window - 1 + max(max_append, rollback + 1) tokens back from its newest (fewer after a rollback). A gap is
 * closed among these, sinks and pins alone; of the range, what lies farther back counts no more, and its removal closes
 * nothing. With SA_GAP_KEEP positions stay what they are (also a pin's, until they are unpinned), and hold no token.
 *
 * Tokens that come later do not become sinks in place of removed ones: sinks are the tokens at the first n_sink
 * positions of the stream, unless sa_cache_anchor chose others. The names of tokens do not change: every call goes on
 * to count stream positions.
 *
 * @param cache  the cache
 * @param layer  0 .. n_layers-1 or SA_ALL_LAYERS
 * @param from   the first position, < end
 * @param end    the position behind the last, <= tokens_seen of each layer meant, or SA_END
 * @param gap    SA_GAP_*
 * @return SA_SUCCESS, SA_ERR_ARGUMENT (cache is NULL, layer, the range, gap), SA_ERR_STATE (the sequence is closed),
 *         SA_ERR_FULL (a layer has no room for another span: config.n_spans); on error nothing has changed in any
 *         layer, and sa_cache_error says why.
 *
 * One call on a pool at a time; takes time by the number of spans, and of tiles that come free; does not allocate.
 */
SA_API sa_status sa_cache_remove(sa_cache *cache, int32_t layer, uint64_t from, uint64_t end, int32_t gap);

/**
 * Pins the tokens at stream positions [from, end): the window leaves them behind, and every later query sees them. They
 * stay as they are stored. Sinks among them stay sinks. Where kv heads have windows of their own, all of a layer's must
 * still hold them.
 *
 * @param cache  the cache
 * @param layer  0 .. n_layers-1 or SA_ALL_LAYERS
 * @param from   the first position, < end
 * @param end    the position behind the last, <= tokens_seen of each layer meant, or SA_END
 * @return SA_SUCCESS, SA_ERR_ARGUMENT (cache is NULL, layer, the range), SA_ERR_STATE (the sequence is closed),
 *         SA_ERR_DEPTH (a layer no longer holds all of them), SA_ERR_FULL (config.n_spans, config.n_pin); on error
 *         nothing has changed in any layer, and sa_cache_error says why.
 *
 * One call on a pool at a time; takes time by the number of spans; does not allocate.
 */
SA_API sa_status sa_cache_pin(sa_cache *cache, int32_t layer, uint64_t from, uint64_t end);

/**
 * Takes pins back, as far as there are any in [from, end): tokens that the window has left are gone at once.
 *
 * @param cache  the cache
 * @param layer  0 .. n_layers-1 or SA_ALL_LAYERS
 * @param from   the first position, < end
 * @param end    the position behind the last, <= tokens_seen of each layer meant, or SA_END
 * @return SA_SUCCESS, SA_ERR_ARGUMENT (cache is NULL, layer, the range), SA_ERR_STATE (the sequence is closed),
 *         SA_ERR_FULL (config.n_spans: part of a pin is a span more); on error nothing has changed in any layer, and
 *         sa_cache_error says why.
 *
 * One call on a pool at a time; takes time by the number of spans, and of tiles that come free; does not allocate.
 */
SA_API sa_status sa_cache_unpin(sa_cache *cache, int32_t layer, uint64_t from, uint64_t end);

/**
 * Makes other tokens the sinks: those at stream positions [from, end). The old ones are window tokens from then on, so
 * those that the window has left are gone. Sinks beyond the first n_sink positions are kept as pinned ones are
 * (config.n_pin) and stay stored as they are. All kv heads get the same sinks, whatever config.head_sinks says.
 *
 * @param cache  the cache
 * @param layer  0 .. n_layers-1 or SA_ALL_LAYERS
 * @param from   the first position; equal to end: there are no sinks any more
 * @param end    the position behind the last, <= tokens_seen of each layer meant, or SA_END
 * @return SA_SUCCESS, SA_ERR_ARGUMENT (cache is NULL, layer, the range), SA_ERR_STATE (the sequence is closed),
 *         SA_ERR_DEPTH (a layer no longer holds all of them), SA_ERR_FULL (config.n_spans, config.n_pin); on error
 *         nothing has changed in any layer, and sa_cache_error says why.
 *
 * One call on a pool at a time; takes time by the number of spans, and of tiles that come free; does not allocate.
 */
SA_API sa_status sa_cache_anchor(sa_cache *cache, int32_t layer, uint64_t from, uint64_t end);

/** Why the tokens of a span are held. */
enum {
    SA_SPAN_WINDOW = 0, /**< as long as the window, or rollback, needs them */
    SA_SPAN_SINK = 1,   /**< for ever: an attention sink */
    SA_SPAN_PIN = 2     /**< until they are unpinned */
};

/**
 * A run of stream positions that a layer holds. A token's logical position is its stream position minus `shift`: that
 * is what windows are counted in and distances are taken from. A query at t sees every sink and every pinned token at
 * a position <= t, and of the others each u <= t with logical(t) - logical(u) < window. Their distance is
 * logical(t) - logical(u); but with SA_IN_CACHE, a sink or pinned token that the window has left is at `window` plus
 * the number of sink and pinned positions between it and the window, so that it stays near.
 */
typedef struct sa_span {
    uint64_t from;  /**< the first stream position */
    uint64_t end;   /**< the one behind the last */
    uint64_t shift; /**< removed positions before, whose gaps were closed */
    int32_t kind;   /**< SA_SPAN_* */
    int32_t masked; /**< 1: the positions count, but hold no token (a gap that was kept, or a jump) */
} sa_span;

/**
 * Lists what a kv head of a layer holds, oldest first.
 *
 * @param cache      the cache; not changed, sa_cache_error neither
 * @param layer      0 .. n_layers-1
 * @param kv_head    0 .. n_kv_heads-1; where the config has no head_windows and no head_sinks, all hold the same
 * @param capacity   >= 0: spans that spans_out has room for
 * @param spans_out  (capacity), or NULL with capacity 0; the host's
 * @param n_out      receives how many spans there are; the first min(capacity, *n_out) are written
 * @return SA_SUCCESS, SA_ERR_ARGUMENT (cache, n_out or needed spans_out is NULL, layer, kv_head or capacity out of
 *         range), SA_ERR_STATE (the sequence is closed); on error nothing is written.
 *
 * One call on a pool at a time; does not allocate.
 */
SA_API sa_status sa_cache_spans(const sa_cache *cache, int32_t layer, int32_t kv_head, int32_t capacity,
                                sa_span *spans_out, int32_t *n_out);

/**
 * Lists the stream positions of the tokens that a kv head of a layer holds, oldest first: those of its spans that are
 * not masked.
 *
 * @param cache          the cache; not changed, sa_cache_error neither
 * @param layer          0 .. n_layers-1
 * @param kv_head        0 .. n_kv_heads-1, as of sa_cache_spans
 * @param capacity       >= 0: positions that positions_out has room for
 * @param positions_out  (capacity), or NULL with capacity 0; the host's
 * @param n_out          receives how many there are; the first min(capacity, *n_out) are written
 * @return SA_SUCCESS, SA_ERR_ARGUMENT (cache, n_out or needed positions_out is NULL, layer, kv_head or capacity out of
 *         range), SA_ERR_STATE (the sequence is closed); on error nothing is written.
 *
 * One call on a pool at a time; does not allocate.
 */
SA_API sa_status sa_cache_positions(const sa_cache *cache, int32_t layer, int32_t kv_head, int64_t capacity,
                                    uint64_t *positions_out, int64_t *n_out);

/** In which form sa_cache_read gives a key. */
enum {
    SA_KEY_AS_STORED = 0, /**< as it is stored, in f32: with SA_POSITION_ROPE rotated at its stream position, times the
                               attention factor; with SA_POSITION_ROPE_APPLIED as the host rotated it */
    SA_KEY_UNROTATED = 1, /**< as SA_POSITION_ROPE takes it: turned back, without attention factor */
    SA_KEY_AT_PLACE = 2   /**< turned from its stream position to places[i]; the attention factor stays in it */
};

/** Bits of sa_read_args.flags. */
enum {
    SA_READ_ROWS = 1 /**< positions are numbers of rows of the host (sa_set_rows). A row's key was rotated at its place,
                          which is minus its distance where it stands at one */
};

/** What sa_cache_read is to read. All pointers stay the host's. */
typedef struct sa_read_args {
    uint32_t struct_size;      /**< sizeof(sa_read_args) */
    uint32_t flags;            /**< SA_READ_* */
    int32_t layer;             /**< 0 .. n_layers-1 */
    int32_t n_tokens;          /**< 0 .. 2^31-1 */
    int32_t kv_head;           /**< the first kv head that is read: 0 .. n_kv_heads-1 */
    int32_t n_kv_heads;        /**< how many are: 1 .. n_kv_heads - kv_head, or 0: all from that one on */
    int32_t key_form;          /**< SA_KEY_*; without rotation (SA_POSITION_NONE, _ALIBI) all are the same */
    int32_t reserved;          /**< 0 */
    const uint64_t *positions; /**< (n_tokens) stream positions that all these heads hold, in any order; with
                                    SA_READ_ROWS, numbers of rows that all of them have */
    sa_tensor k;               /**< (n_tokens, heads read, head_dim) or data NULL; written, rounded to its dtype */
    sa_tensor v;               /**< (n_tokens, heads read, v_head_dim) or data NULL, likewise. The rows of either must
                                    not overlap each other (which is checked), nor the other tensor */
    const int64_t *places;     /**< (n_tokens) with k and SA_KEY_AT_PLACE, else NULL: any numbers, negative ones too */
} sa_read_args;

/**
 * Reads keys and values of tokens that a layer holds, or of rows of the host, of all of its kv heads or some. Integers
 * are multiplied by their scales, and keys stored as integers turned back by the Hadamard matrix. Sinks and rows are
 * read in their own precision, all others as the layer keeps them: what config.n_recent stores a second time is not
 * looked at. So keys as stored and values in f32, appended elsewhere by SA_POSITION_ROPE_APPLIED (or SA_POSITION_NONE,
 * _ALIBI), are the same bits if k_dtype and v_dtype are floats.
 *
 * @param cache  the cache; its tokens do not change
 * @param args   what to read; not kept
 * @return SA_SUCCESS, SA_ERR_ARGUMENT, SA_ERR_STRUCT_SIZE, SA_ERR_STATE (the sequence is closed), SA_ERR_ALIGNMENT,
 *         SA_ERR_OVERFLOW (a tensor reaches beyond the address space), SA_ERR_DEPTH (a position is not held, or a row
 *         is not there); on error nothing is written, and sa_cache_error says why.
 *
 * One call on a pool at a time; does not allocate.
 */
SA_API sa_status sa_cache_read(sa_cache *cache, const sa_read_args *args);

/* ------------------------------------------------------------------------- */
/* Drafts: tokens that may become the next ones, as a tree                    */
/* ------------------------------------------------------------------------- */

/**
 * Ends the draft of a layer: the nodes of a path become the newest tokens of the stream, exactly as if they, and no
 * others, had been appended; all other nodes are gone.
 *
 * A draft holds tokens that a stream may go on with (speculative decoding). A step with `parents` adds nodes to it,
 * which are numbered 0, 1, ... in each layer, over all calls until the draft ends. With q, or later with SA_STEP_NODES,
 * a node's query gives, bit for bit, what it would give if the node's ancestors and the node had been appended and
 * nothing else: it stands behind the stream's newest token by as many places as it is deep, and the window has moved on
 * with it. The stream itself does not change: tokens_seen counts no nodes, queries without SA_STEP_NODES see none.
 * While a draft is open, appending, sa_cache_rollback, sa_cache_seek and sa_cache_restart are refused for its layer
 * (SA_ERR_STATE); sa_cache_reset drops it, a fork has it too; ranges may be removed, pinned and unpinned, and sinks
 * moved. A draft can begin when all n_sink sinks have come. A path may be max_append tokens long, and in a dense layer
 * must have room. docs/drafts.md shows the loop.
 *
 * @param cache  the cache
 * @param layer  0 .. n_layers-1 or SA_ALL_LAYERS
 * @param n      nodes of the path, 0 .. max_append; 0: the draft is dropped, if there is one
 * @param path   (n) node numbers: the first one's parent is -1, each is the next one's parent, in every layer meant.
 *               NULL is allowed without nodes. Stays the host's
 * @return SA_SUCCESS, SA_ERR_ARGUMENT (cache is NULL, layer, n, path), SA_ERR_STATE (the sequence is closed),
 *         SA_ERR_POOL (config.pool_tokens: a layer has no free tile; the draft stays, and may be accepted when there
 *         is); on error nothing has changed in any layer, and sa_cache_error says why.
 *
 * One call on a pool at a time; takes time by the tokens of the path, and of tiles that come free; does not allocate.
 * Drafts as trees: Miao et al., "SpecInfer", ASPLOS 2024, arXiv 2305.09781.
 */
SA_API sa_status sa_draft_accept(sa_cache *cache, int32_t layer, int32_t n, const int32_t *path);

/* ------------------------------------------------------------------------- */
/* Pools: many sequences of one model                                         */
/* ------------------------------------------------------------------------- */

/**
 * Sequences that share a model's layers, memory for tiles of 16 tokens, and one workspace. A sequence is a sa_cache:
 * all calls that take a cache take any open sequence of a pool. A pool and its sequences belong to one call at a time.
 * sa_cache_create makes a pool of one sequence, and opens it.
 */
typedef struct sa_pool sa_pool;

/**
 * The bytes that a pool of config.n_sequences sequences takes, all it will ever take, and their alignment.
 *
 * @param config         the config; stays the host's
 * @param size_out       receives bytes
 * @param alignment_out  receives bytes, a power of two
 * @return as sa_cache_size.
 *
 * Any thread; does not allocate.
 */
SA_API sa_status sa_pool_size(const sa_config *config, size_t *size_out, size_t *alignment_out);

/**
 * Makes a pool without open sequences in the host's block, under the terms of sa_cache_init: the block stays the
 * host's, needs no destroy, and may be copied while no call runs.
 *
 * @param memory    `size` bytes, aligned as sa_pool_size says
 * @param size      bytes, at least what sa_pool_size says
 * @param config    the config; stays the host's
 * @param pool_out  receives the pool, which lies in the block
 * @return as sa_cache_init; on error *pool_out is NULL (if pool_out is not) and the block is untouched.
 *
 * Any thread; does not allocate.
 */
SA_API sa_status sa_pool_init(void *memory, size_t size, const sa_config *config, sa_pool **pool_out);

/**
 * Makes a pool without open sequences, with one allocation.
 *
 * @param config     the config; stays the host's
 * @param allocator  where the memory comes from, or NULL: malloc. Copied
 * @param pool_out   receives the pool, the caller's to destroy
 * @return as sa_cache_create; on error *pool_out is NULL (if pool_out is not).
 *
 * Any thread. Allocates once.
 */
SA_API sa_status sa_pool_create(const sa_config *config, const sa_allocator *allocator, sa_pool **pool_out);

/**
 * Ends a pool and all its sequences, open or not, and frees what sa_pool_create allocated; of a pool in the host's
 * block, frees nothing. NULL is allowed. No call on the pool or its sequences may run, and none may follow.
 *
 * @param pool  the pool, or NULL
 *
 * Any thread; does not allocate.
 */
SA_API void sa_pool_destroy(sa_pool *pool);

/**
 * Opens an empty sequence. sa_cache_destroy closes it, and another call may then open it again.
 *
 * @param pool       the pool
 * @param cache_out  receives the sequence
 * @return SA_SUCCESS, SA_ERR_ARGUMENT (pool or cache_out is NULL), SA_ERR_POOL (n_sequences are open); on error
 *         *cache_out is NULL (if cache_out is not), and sa_pool_error says why.
 *
 * One call on a pool at a time; does not allocate.
 */
SA_API sa_status sa_pool_open(sa_pool *pool, sa_cache **cache_out);

/**
 * Opens a sequence that is the equal of another one of the same pool: same tokens, spans, counters, rows of the host.
 * No key or value is copied: tiles are shared until one of the two writes into one, which then takes a copy of that
 * tile. Both may be changed and closed in any order. A fork that is kept aside is a checkpoint.
 *
 * @param cache     an open sequence; not changed
 * @param fork_out  receives the new sequence, to be closed by sa_cache_destroy
 * @return SA_SUCCESS, SA_ERR_ARGUMENT (cache or fork_out is NULL), SA_ERR_STATE (the sequence is closed), SA_ERR_POOL
 *         (n_sequences are open); on error *fork_out is NULL (if fork_out is not), and sa_cache_error says why.
 *
 * One call on a pool at a time; takes time by the number of tiles; does not allocate.
 */
SA_API sa_status sa_cache_fork(sa_cache *cache, sa_cache **fork_out);

/**
 * Runs a step for each of several sequences: args[i] on caches[i]. The bits are those of n calls of sa_step; the work
 * is spread evenly over the pool's workers, whatever the lengths. All arguments of all steps are checked before any
 * runs. With a budget (config.pool_tokens), SA_ERR_POOL is about the steps up to the one refused together.
 *
 * @param pool        the pool
 * @param n           0 .. n_sequences
 * @param caches      (n) open sequences of the pool, each once
 * @param args        (n) all with the same layer; q only, k and v only, or all three, each as it likes; not kept.
 *                    Tensors that are written must not overlap those of another step. NULL is allowed without steps,
 *                    for caches too
 * @param failed_out  NULL, or receives the index of the step that was refused, -1 if none was or if the batch itself
 *                    was
 * @return SA_SUCCESS, SA_ERR_ARGUMENT (of the batch itself: sa_pool_error says why), or as sa_step for
 *         args[*failed_out] (sa_pool_error and sa_cache_error of caches[*failed_out] say why), SA_ERR_STATE (that
 *         sequence is closed), SA_ERR_POOL; on error nothing has changed.
 *
 * One call on a pool at a time; does not allocate.
 */
SA_API sa_status sa_batch(sa_pool *pool, int32_t n, sa_cache *const *caches, const sa_step_args *const *args,
                          int32_t *failed_out);

/**
 * Says whether several sequences together could append so many tokens now, in every layer: for hosts that must know
 * before a forward pass that no layer of it will be refused (config.pool_tokens, dense layers). Nothing changes; what
 * it says holds until tokens are appended, or sequences forked, opened, loaded or pinned.
 *
 * @param pool        the pool
 * @param n           0 .. n_sequences
 * @param caches      (n) open sequences of the pool, each once; NULL is allowed without sequences
 * @param n_tokens    (n) tokens that each is to append, >= 0; likewise
 * @param failed_out  NULL, or receives the index of the first sequence for which there would be no room, -1 if there is
 *                    none
 * @return SA_SUCCESS, SA_ERR_ARGUMENT (pool is NULL, n, caches, n_tokens), SA_ERR_STATE (a sequence is closed, or has a
 *         draft open), SA_ERR_POOL, SA_ERR_FULL (a dense layer), SA_ERR_OVERFLOW (position 2^62); sa_pool_error says
 *         why, and, where it is about one of them, sa_cache_error of caches[*failed_out].
 *
 * One call on a pool at a time; takes time by the number of layers and spans; does not allocate.
 */
SA_API sa_status sa_pool_can_append(sa_pool *pool, int32_t n, sa_cache *const *caches, const int32_t *n_tokens,
                                    int32_t *failed_out);

/** Facts of a pool and of a kv head's lane: the kv heads of a layer that keep the same tokens, which are all of them if
 * config.head_windows and head_sinks are NULL. */
typedef struct sa_pool_facts {
    uint32_t struct_size; /**< in: sizeof(sa_pool_facts) of the caller; only that much is written */
    int32_t n_sequences;  /**< that may be open */
    int32_t n_open;       /**< that are */
    int32_t reserved;     /**< 0 */
    uint64_t pool_size;   /**< bytes: sa_pool_size */
    uint64_t tiles;       /**< tiles of 16 tokens that the kv head's lane has for all sequences, sinks apart */
    uint64_t tiles_free;  /**< of these, not in use */
    uint64_t tile_size;   /**< bytes of a tile: keys and values of all kv heads of the lane */
} sa_pool_facts;

/**
 * Facts of a pool and of a kv head's lane.
 *
 * @param pool      the pool; not changed, sa_pool_error neither
 * @param layer     0 .. n_layers-1
 * @param kv_head   0 .. n_kv_heads-1
 * @param info_out  receives the facts; the host's, with struct_size set. Bytes of a newer caller's larger struct are
 *                  set to 0
 * @return SA_SUCCESS, SA_ERR_ARGUMENT (pool or info_out is NULL, layer or kv_head out of range), SA_ERR_STRUCT_SIZE
 *         (below the first version's); on error nothing is written.
 *
 * One call on a pool at a time; does not allocate.
 */
SA_API sa_status sa_pool_info(const sa_pool *pool, int32_t layer, int32_t kv_head, sa_pool_facts *info_out);

/**
 * Why the last call that took the pool failed (sa_pool_open, sa_pool_can_append, sa_batch, sa_batch_begin): one
 * English sentence, as of sa_cache_error; "" if it succeeded. A constant string that the library owns.
 *
 * @param pool  the pool; NULL gives a sentence that says so
 * @return the sentence
 *
 * One call on a pool at a time; does not allocate.
 */
SA_API const char *sa_pool_error(const sa_pool *pool);

/* ------------------------------------------------------------------------- */
/* Saving a sequence, and going on elsewhere                                  */
/* ------------------------------------------------------------------------- */

/**
 * The bytes that sa_cache_save would write now.
 *
 * @param cache     the sequence; but for sa_cache_error, not changed
 * @param from      0, or the first position whose token is to be saved: 0 .. tokens_seen of every layer
 * @param size_out  receives bytes, a multiple of 128
 * @return SA_SUCCESS, SA_ERR_ARGUMENT (cache or size_out is NULL, from is too large), SA_ERR_STATE (the sequence is
 *         closed), SA_ERR_OVERFLOW (the snapshot would not fit the address space); on error *size_out is as it was, and
 *         sa_cache_error says why.
 *
 * One call on a pool at a time; takes time by the number of spans; does not allocate.
 */
SA_API sa_status sa_cache_save_size(sa_cache *cache, uint64_t from, size_t *size_out);

/**
 * Writes a snapshot of a sequence: what all layers hold, as it is stored, and all that it takes to go on from there,
 * bit by bit, in another pool, process or processor. docs/snapshot.md explains every byte; they depend on the state
 * alone. A draft is not saved, and where a snapshot is loaded, it ends.
 *
 * With `from` greater than 0, only tokens at positions >= from are in it; older ones are listed and must be there where
 * it is loaded. A base that is kept as a fork, and snapshots from its end on, are saved once and for each turn.
 *
 * @param cache        the sequence; but for sa_cache_error, not changed
 * @param from         as for sa_cache_save_size
 * @param data         `size` bytes, of any alignment; receives the snapshot; the host's
 * @param size         bytes, at least what sa_cache_save_size says
 * @param written_out  receives the bytes of the snapshot: what sa_cache_save_size says
 * @return as sa_cache_save_size, or SA_ERR_ARGUMENT (data or written_out is NULL), SA_ERR_BUFFER (size is too small);
 *         on error nothing is written, and sa_cache_error says why.
 *
 * One call on a pool at a time; takes time by the number of tokens; does not allocate.
 */
SA_API sa_status sa_cache_save(sa_cache *cache, uint64_t from, void *data, size_t size, size_t *written_out);

/**
 * Makes a sequence what it was when a snapshot was saved. What it held is gone, but for the tokens before `from` of a
 * partial snapshot: for that, each of its layers must have seen just those, as a fork made at `from` has.
 *
 * All of the pool's config that gives keys their meaning must be as where it was saved: layers, geometry, which kv
 * heads keep the same tokens, stored dtypes, position and rope_* (frequencies, factors and slopes up to the last bits
 * that libraries of mathematics differ in), scale, softcap, sink_logits, n_sink, n_recent, whether a layer is dense,
 * and the learned sink rows, which are handed in before. Rows of the host (sa_set_rows) travel along. These may differ:
 * - isa, n_threads, io_dtype, n_sequences: they change nothing (SA_ISA_PLAIN_NOFMA and SA_ISA_WASM give the bits of
 *   their kind);
 * - query_bits, weight_bits: from here on the results are those of the new ones;
 * - n_spans, n_pin, n_rows, pool_tokens: what there is must have room;
 * - max_append, rollback: with less than before, what is kept for them alone goes; more is there once it has come;
 * - window: a smaller one lets go of what it does not hold. A larger one is possible as long as the window has not left
 *   behind what the next token would see in it. (A dense layer: as long as it holds no more than the new window.)
 *
 * The data need not be trusted: what is damaged or impossible is refused. (The checksum is against damage only: who can
 * write a snapshot can choose what is in the keys and values.)
 *
 * @param cache  an open sequence
 * @param data   a snapshot, of any alignment; stays the host's, and must not change during the call
 * @param size   its bytes: *written_out of sa_cache_save
 * @return SA_SUCCESS, SA_ERR_ARGUMENT (cache or data is NULL), SA_ERR_STATE (the sequence is closed, or other learned
 *         sink rows), SA_ERR_FORMAT (no snapshot, damaged, impossible, or of a later version), SA_ERR_CONFIG (of
 *         another config), SA_ERR_DEPTH (a larger window would miss tokens, or a partial snapshot its base),
 *         SA_ERR_FULL (n_spans, n_pin, n_rows, or a dense layer's window), SA_ERR_POOL (too few free tiles); on error
 *         nothing has changed, and sa_cache_error says why.
 *
 * One call on a pool at a time; takes time by the number of tokens; does not allocate.
 */
SA_API sa_status sa_cache_load(sa_cache *cache, const void *data, size_t size);

/* ------------------------------------------------------------------------- */
/* What few programs need: learned sink rows, rows of the host, chunks, the   */
/* host's own threads                                                         */
/* ------------------------------------------------------------------------- */

/**
 * Hands in all of a layer's learned sink rows: keys and values that belong to the model, and that every query sees from
 * then on, before all tokens; they survive reset. A pool has one set of them, for all its sequences. Needed once before
 * attending if config.n_sink_kv > 0. The distance to them is as to a token at their position (config.sink_kv_position).
 *
 * @param cache  the cache
 * @param layer  0 .. n_layers-1
 * @param k      (n_sink_kv, n_kv_heads, head_dim), contiguous, of config.io_dtype; unrotated with SA_POSITION_ROPE,
 *               rotated at config.sink_kv_position with SA_POSITION_ROPE_APPLIED
 * @param v      (n_sink_kv, n_kv_heads, v_head_dim), likewise. Both stay the host's and are read during the call only
 * @return SA_SUCCESS, SA_ERR_ARGUMENT (also if n_sink_kv is 0), SA_ERR_STATE (the sequence is closed),
 *         SA_ERR_ALIGNMENT, SA_ERR_OVERFLOW (a tensor reaches beyond the address space); on error nothing has changed,
 *         and sa_cache_error says why.
 *
 * One call on a cache at a time; does not allocate.
 */
SA_API sa_status sa_set_sink_kv(sa_cache *cache, int32_t layer, const void *k, const void *v);

/** Bits of sa_rows.flags. */
enum {
    SA_ROWS_AT_DISTANCE = 1 /**< places are distances that stay: a row is always so far behind the query. Without it,
                                 they are places in front */
};

/**
 * Rows that the host computes: keys and values that are no tokens, such as compressed memory (Attention Matching, arXiv
 * 2602.16284), Cartridges (arXiv 2506.06266), merged tokens or a running mean. A layer of a sequence has config.n_rows
 * of them, numbered from 0, none of which is there at first. Every query sees those that are, whatever the window or a
 * view: before all tokens and after learned sink rows, first those in front, then those at a distance. The logit is
 * softcap(scale * <q, k>) + bias, with ALiBi less slope * distance: a row with bias ln(n) weighs as n rows would that
 * are its equals. They count in lse, in sink_mass and in partial states, but as no position: no token stands elsewhere
 * for them.
 *
 * A row in front stands at a place in the cache. Places are those of the header's first page: tokens have 0 and up, so
 * rows that come before all of them have -1 and down. The distance to a row at place p is the query's own place less p:
 * with SA_IN_CACHE min(t, S+W-1) - p, with SA_IN_STREAM or a dense layer t - p, if nothing was removed or pinned. It
 * may be negative. S and W are the kv head's own (config.head_windows). A row at a distance is always that far behind
 * the query, wherever that stands.
 *
 * With SA_POSITION_ROPE the key comes unrotated and is rotated to its place; with SA_POSITION_ROPE_APPLIED it comes
 * rotated, to its place in front, or to minus its distance. Without position, places have no effect.
 */
typedef struct sa_rows {
    uint32_t struct_size;  /**< sizeof(sa_rows) */
    uint32_t flags;        /**< SA_ROWS_* */
    int32_t layer;         /**< 0 .. n_layers-1 */
    int32_t first;         /**< the number of the first row that is replaced */
    int32_t n_rows;        /**< how many: first + n_rows <= config.n_rows */
    int32_t kv_head;       /**< the first kv head whose rows are replaced: 0 .. n_kv_heads-1; others keep theirs */
    int32_t n_kv_heads;    /**< how many are: 1 .. n_kv_heads - kv_head, or 0: all from that one on */
    int32_t reserved;      /**< 0 */
    sa_tensor k;           /**< (n_rows, heads replaced, head_dim), or data NULL: these rows are taken away */
    sa_tensor v;           /**< (n_rows, heads replaced, v_head_dim), set if and only if k is */
    const int64_t *places; /**< (n_rows, heads replaced), contiguous: between -2^62 and 2^62; or NULL: all 0 */
    const float *biases; /**< (n_rows, heads replaced), contiguous: up to 1e30; -infinity: for this kv head, the row is
                                not there, and its key and value are not read; or NULL: all 0 */
} sa_rows;

/**
 * Replaces rows of the host in a layer of a sequence: those with numbers [first, first + n_rows), of all kv heads or
 * some. Others stay as they are. Queries see the new ones from then on. Forks begin with the same rows and share their
 * memory until one of the two replaces some; rollback, jumps and removals leave rows alone; sa_cache_reset takes them
 * away.
 *
 * @param cache  the cache
 * @param rows   what to put there; it and all behind its pointers stay the host's and are read during the call only
 * @return SA_SUCCESS, SA_ERR_ARGUMENT (cache or rows is NULL, flags, layer, the ranges, k without v, a bias, or places,
 *         biases or flags without k), SA_ERR_STRUCT_SIZE, SA_ERR_ALIGNMENT (a pointer or stride), SA_ERR_OVERFLOW (a
 *         place, or a tensor or array reaches beyond the address space), SA_ERR_STATE (the sequence is closed); on
 *         error nothing has changed, and sa_cache_error says why.
 *
 * One call on a pool at a time; takes time by n_rows * n_kv_heads; does not allocate.
 */
SA_API sa_status sa_set_rows(sa_cache *cache, const sa_rows *rows);

/**
 * As sa_cache_seek, but empties the window also where a layer already stands at `position`. A layer that attends within
 * chunks of the stream (Llama 4) is a dense one of the chunk's length that begins anew at every multiple of it:
 *
 *     if (t % chunk == 0) sa_cache_restart(cache, layer, t);
 *
 * @param cache     the cache
 * @param layer     0 .. n_layers-1 or SA_ALL_LAYERS
 * @param position  >= the largest tokens_seen of the layers meant, < 2^62
 * @return as sa_cache_seek; on error nothing has changed, and sa_cache_error says why.
 *
 * One call on a pool at a time; takes time by the number of tiles; does not allocate.
 */
SA_API sa_status sa_cache_restart(sa_cache *cache, int32_t layer, uint64_t position);

/**
 * Begins a step that the host's own threads process: for hosts that run all of their threads through every operation,
 * each with its index, and have a barrier between. The bits are those of sa_step. Thread i of n:
 *
 *     if (i == 0) sa_step_begin(cache, &args, &n_phases);
 *     barrier();
 *     for (p = 0; p < n_phases; p++) {
 *         sa_step_part(cache, p, i, n);
 *         barrier();
 *     }
 *
 * sa_step_begin checks, appends (in the thread that calls it), and gets attention ready.
 *
 * @param cache         the cache
 * @param args          as for sa_step, with at most max_append tokens and 2^24 rows; not kept. The tensors must stay
 *                      until the last part has returned
 * @param n_phases_out  receives 0 (nothing is left to do), 1, 2 (the keys of a row are shared out as well, and put
 *                      together in the second phase), or 3 (with key_mass or value_norms)
 * @return as sa_step; on error nothing has changed, *n_phases_out is 0 (if n_phases_out is not NULL), no step has
 *         begun, and sa_cache_error says why.
 *
 * One call on a cache at a time; does not allocate.
 */
SA_API sa_status sa_step_begin(sa_cache *cache, const sa_step_args *args, int32_t *n_phases_out);

/**
 * One thread's part of a phase of the step that has begun (for a sequence of a pool: of what has begun on the pool, as
 * sa_batch_part). The results are there when all parts of all phases have returned; until then, no other call on the
 * cache. Any other call that changes the cache or attends (not sa_cache_info) ends the step.
 *
 * @param cache  the cache
 * @param phase  0 .. 2; one that the step does not have is empty, so a host may always run as many. A phase may begin
 *               when all parts of the one before have returned: that order is the host's to see to, and not checked
 * @param index  0 .. count-1, each once per phase
 * @param count  >= 1, the same for all parts of a phase. Of more than n_threads parts the last are empty
 * @return SA_SUCCESS, SA_ERR_ARGUMENT (cache is NULL, phase, index or count out of range), SA_ERR_STATE (no step has
 *         begun). sa_cache_error is not changed, since several threads may be here.
 *
 * Parts of one phase may run at the same time in any threads, or one after the other. Does not allocate.
 */
SA_API sa_status sa_step_part(sa_cache *cache, int32_t phase, int32_t index, int32_t count);

/**
 * Begins a batch that the host's own threads process, as sa_step_begin does for one step. The bits are those of
 * sa_batch.
 *
 * @param pool          the pool
 * @param n             0 .. n_sequences
 * @param caches        (n), as for sa_batch
 * @param args          (n), as for sa_batch, with at most max_append tokens each and max(max_append, n_sequences)
 *                      together; not kept. The tensors must stay until the last part has returned
 * @param n_phases_out  receives 0 .. 3, as of sa_step_begin
 * @param failed_out    NULL, or receives the index of the step that was refused, -1 if none was
 * @return as sa_batch; on error nothing has changed, *n_phases_out is 0 (if n_phases_out is not NULL), no batch
 *         has begun, and sa_pool_error says why.
 *
 * One call on a pool at a time; does not allocate.
 */
SA_API sa_status sa_batch_begin(sa_pool *pool, int32_t n, sa_cache *const *caches, const sa_step_args *const *args,
                                int32_t *n_phases_out, int32_t *failed_out);

/**
 * One thread's part of a phase of the batch that has begun, under the terms of sa_step_part.
 *
 * @param pool   the pool
 * @param phase  0 .. 2
 * @param index  0 .. count-1, each once per phase
 * @param count  >= 1, the same for all parts of a phase
 * @return SA_SUCCESS, SA_ERR_ARGUMENT (pool is NULL, phase, index or count out of range), SA_ERR_STATE (nothing has
 *         begun, or the batch was empty). sa_pool_error is not changed, since several threads may be here.
 *
 * Parts of one phase may run at the same time in any threads, or one after the other. Does not allocate.
 */
SA_API sa_status sa_batch_part(sa_pool *pool, int32_t phase, int32_t index, int32_t count);

/* ------------------------------------------------------------------------- */
/* Attention over several caches                                              */
/* ------------------------------------------------------------------------- */

/**
 * Merges the un-normalised states b into a, row by row: the state of attention over both sets of keys (Flash-Decoding;
 * the operation is associative up to rounding). a and b must not overlap.
 *
 * @param n_rows      >= 0
 * @param v_head_dim  dims, >= 1
 * @param max_a       (n_rows); an empty state is max -infinity, sum 0, acc 0
 * @param sum_a       (n_rows)
 * @param acc_a       (n_rows, v_head_dim), contiguous. These three are overwritten
 * @param max_b       (n_rows)
 * @param sum_b       (n_rows)
 * @param acc_b       (n_rows, v_head_dim), contiguous. All six stay the host's; NULL is allowed without rows
 * @return SA_SUCCESS, or SA_ERR_ARGUMENT (n_rows or v_head_dim out of range, or an array is NULL); on error nothing has
 *         changed. That the arrays are as long as said is not checked.
 *
 * Any thread; does not allocate.
 */
SA_API sa_status sa_merge_partial(int64_t n_rows, int32_t v_head_dim, float *max_a, float *sum_a, float *acc_a,
                                  const float *max_b, const float *sum_b, const float *acc_b);

/**
 * Turns states into results, in place: acc /= sum (an empty state gives 0), and lse = max + ln(sum). Bit for bit what
 * sa_step gives for one cache.
 *
 * @param n_rows      >= 0
 * @param v_head_dim  dims, >= 1
 * @param max         (n_rows)
 * @param sum         (n_rows)
 * @param acc         (n_rows, v_head_dim), contiguous; receives the results
 * @param lse         NULL, or (n_rows); receives the log-sum-exp. All stay the host's; NULL is allowed without rows
 * @return SA_SUCCESS or SA_ERR_ARGUMENT; on error nothing has changed.
 *
 * Any thread; does not allocate.
 */
SA_API sa_status sa_finish_partial(int64_t n_rows, int32_t v_head_dim, const float *max, const float *sum, float *acc,
                                   float *lse);

/* ------------------------------------------------------------------------- */
/* Instruction sets                                                           */
/* ------------------------------------------------------------------------- */

/**
 * The instruction set that SA_ISA_AUTO takes on this processor.
 *
 * @return SA_ISA_*
 *
 * Any thread; does not allocate.
 */
SA_API int32_t sa_isa_best(void);

/**
 * Whether this build and processor have an instruction set.
 *
 * @param isa  SA_ISA_*, or any other number
 * @return 1 if they have it, else 0
 *
 * Any thread; does not allocate.
 */
SA_API int32_t sa_isa_available(int32_t isa);

/**
 * The name of an instruction set.
 *
 * @param isa  SA_ISA_*, or any other number
 * @return a short lower-case name, "unknown" for unknown numbers: a constant string that the library owns
 *
 * Any thread; does not allocate.
 */
SA_API const char *sa_isa_name(int32_t isa);

#ifdef __cplusplus
}
#endif
#endif
