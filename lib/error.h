/* Why a call was refused: a number that the cache keeps, with a status and a constant sentence for each.
 *
 * SPDX-License-Identifier: MIT
 *
 * The block of a cache may be copied into another process, so it holds the number and not the sentence.
 */
#ifndef SAI_ERROR_H
#define SAI_ERROR_H

#include "pool.h"

/* Of a host tensor: five, in this order for every tensor, so that step.c can count from the first one. */
#define SAI_TENSOR_ERRORS(X, NAME, name)                                                                               \
    X(NAME##_DTYPE, SA_ERR_ARGUMENT, name ".dtype must be 0 (config.io_dtype), SA_F32, SA_F16 or SA_BF16")             \
    X(NAME##_FLAGS, SA_ERR_ARGUMENT, name ".flags has unknown bits: SA_TENSOR_STRIDES_GIVEN is the only one")          \
    X(NAME##_ADDRESS, SA_ERR_ALIGNMENT, name " is misaligned: its address must be a multiple of its element size")     \
    X(NAME##_STRIDE, SA_ERR_ALIGNMENT,                                                                                 \
      name ".token_stride and " name ".head_stride must be multiples of its element size")                             \
    X(NAME##_EXTENT, SA_ERR_OVERFLOW, name " reaches beyond the address space: n_tokens or a stride is too large")

/* Of an array of floats beside the result: three, in this order. */
#define SAI_ARRAY_ERRORS(X, NAME, name)                                                                                \
    X(NAME##_ALONE, SA_ERR_ARGUMENT, name " is set, but q.data is NULL: there is nothing to attend")                   \
    X(NAME##_ADDRESS, SA_ERR_ALIGNMENT, name " is misaligned: its address must be a multiple of sizeof(float)")        \
    X(NAME##_EXTENT, SA_ERR_OVERFLOW, name " reaches beyond the address space: n_tokens is too large")

#define SAI_ERRORS(X)                                                                                                  \
    X(NONE, SA_SUCCESS, "")                                                                                            \
    SAI_TENSOR_ERRORS(X, Q, "q")                                                                                       \
    SAI_TENSOR_ERRORS(X, K, "k")                                                                                       \
    SAI_TENSOR_ERRORS(X, V, "v")                                                                                       \
    SAI_TENSOR_ERRORS(X, OUT, "out")                                                                                   \
    SAI_ARRAY_ERRORS(X, LSE, "lse")                                                                                    \
    SAI_ARRAY_ERRORS(X, SINK_MASS, "sink_mass")                                                                        \
    SAI_ARRAY_ERRORS(X, PARTIAL_MAX, "partial_max")                                                                    \
    SAI_ARRAY_ERRORS(X, PARTIAL_SUM, "partial_sum")                                                                    \
    X(KEY_MASS_ALONE, SA_ERR_ARGUMENT, "key_mass is set, but q.data is NULL: there is nothing to attend")              \
    X(VALUE_NORMS_ALONE, SA_ERR_ARGUMENT, "value_norms is set, but q.data is NULL: there is nothing to attend")        \
    X(KEY_MASS_ADDRESS, SA_ERR_ALIGNMENT, "key_mass is misaligned: its address must be a multiple of sizeof(float)")   \
    X(KEY_MASS_EXTENT, SA_ERR_OVERFLOW, "key_mass reaches beyond the address space: key_stride is too large")          \
    X(VALUE_NORMS_ADDRESS, SA_ERR_ALIGNMENT,                                                                           \
      "value_norms is misaligned: its address must be a multiple of sizeof(float)")                                    \
    X(VALUE_NORMS_EXTENT, SA_ERR_OVERFLOW, "value_norms reaches beyond the address space: key_stride is too large")    \
    X(KEY_STRIDE, SA_ERR_ARGUMENT,                                                                                     \
      "key_stride is smaller than the number of keys after the step: keys_most of sa_cache_info always suffices")      \
    X(KEY_NODES, SA_ERR_ARGUMENT, "key_mass and value_norms cannot be asked for with nodes of a draft")                \
    X(KEY_TOKENS, SA_ERR_ARGUMENT,                                                                                     \
      "n_tokens is too large for key_mass and value_norms: such a step is one piece, of at most max_append tokens")    \
    X(OUT_OVERLAPS, SA_ERR_ARGUMENT, "out has rows that overlap each other: a stride is 0 or smaller than a row")      \
    X(ARGS_NULL, SA_ERR_ARGUMENT, "args is NULL")                                                                      \
    X(ARGS_SIZE, SA_ERR_STRUCT_SIZE,                                                                                   \
      "args.struct_size must be sizeof(sa_step_args), and fields beyond this library's version must be 0")             \
    X(ARGS_FLAGS, SA_ERR_ARGUMENT, "args.flags has unknown bits: only those of SA_STEP_* are allowed")                 \
    X(READ_SIZE, SA_ERR_STRUCT_SIZE,                                                                                   \
      "args.struct_size must be sizeof(sa_read_args), and fields beyond this library's version must be 0")             \
    X(READ_RESERVED, SA_ERR_ARGUMENT,                                                                                  \
      "args.flags has unknown bits (SA_READ_ROWS is the only one), or args.reserved is not 0")                         \
    X(READ_NOTHING, SA_ERR_ARGUMENT, "n_tokens is not 0, but neither k.data nor v.data is set")                        \
    X(KV_HEADS, SA_ERR_ARGUMENT, "kv_head and n_kv_heads must be heads of the layer: 0 .. n_kv_heads - 1")             \
    X(READ_OVERLAPS, SA_ERR_ARGUMENT, "k or v has rows that overlap each other: a stride is 0 or smaller than a row")  \
    X(KEY_FORM, SA_ERR_ARGUMENT, "key_form must be one of SA_KEY_*")                                                   \
    X(POSITIONS_NULL, SA_ERR_ARGUMENT, "positions is NULL, but n_tokens is not 0")                                     \
    X(PLACES, SA_ERR_ARGUMENT, "places must be set with SA_KEY_AT_PLACE, and NULL with any other key_form")            \
    X(POSITION_LOST, SA_ERR_DEPTH, "positions has one that the layer does not hold: sa_cache_positions lists them")    \
    X(ROW_ABSENT, SA_ERR_DEPTH, "positions has the number of a row that a kv head does not have")                      \
    X(LAYER, SA_ERR_ARGUMENT, "layer must be 0 .. n_layers - 1")                                                       \
    X(N_TOKENS, SA_ERR_ARGUMENT, "n_tokens must not be negative")                                                      \
    X(Q_NULL, SA_ERR_ARGUMENT, "q is NULL, but n_tokens is not 0")                                                     \
    X(K_NULL, SA_ERR_ARGUMENT, "k is NULL, but n_tokens is not 0")                                                     \
    X(V_NULL, SA_ERR_ARGUMENT, "v is NULL, but n_tokens is not 0")                                                     \
    X(OUT_NULL, SA_ERR_ARGUMENT, "out is NULL, but n_tokens is not 0")                                                 \
    X(Q_ALONE, SA_ERR_ARGUMENT, "q.data is set, but out.data is NULL")                                                 \
    X(OUT_ALONE, SA_ERR_ARGUMENT, "out.data is set, but q.data is NULL")                                               \
    X(K_ALONE, SA_ERR_ARGUMENT, "k.data is set, but v.data is NULL")                                                   \
    X(V_ALONE, SA_ERR_ARGUMENT, "v.data is set, but k.data is NULL")                                                   \
    X(NOTHING, SA_ERR_ARGUMENT, "n_tokens is not 0, but neither k.data nor q.data is set")                             \
    X(MAX_WITHOUT_SUM, SA_ERR_ARGUMENT, "partial_max is set, but partial_sum is NULL")                                 \
    X(SUM_WITHOUT_MAX, SA_ERR_ARGUMENT, "partial_sum is set, but partial_max is NULL")                                 \
    X(PARTIAL_DTYPE, SA_ERR_ARGUMENT, "out.dtype must be SA_F32 with partial_max and partial_sum")                     \
    X(Q_OFFSET_UNUSED, SA_ERR_ARGUMENT, "q_offset must be 0, unless q is set and k is not")                            \
    X(Q_OFFSET_RANGE, SA_ERR_ARGUMENT, "q_offset must be -2^62 .. 2^62")                                               \
    X(MAX_APPEND, SA_ERR_ARGUMENT,                                                                                     \
      "n_tokens is larger than max_append: sa_attend, and sa_step without k, take at most max_append tokens")          \
    X(BEGIN_TOKENS, SA_ERR_ARGUMENT,                                                                                   \
      "n_tokens is too large for sa_step_begin: at most max_append tokens, and n_tokens * n_heads at most 2^24")       \
    X(N_PHASES_OUT, SA_ERR_ARGUMENT, "n_phases_out is NULL")                                                           \
    X(SINK_KV_MISSING, SA_ERR_STATE,                                                                                   \
      "the layer's learned sink rows are missing: n_sink_kv is not 0, so attention needs sa_set_sink_kv before")       \
    X(FULL, SA_ERR_FULL, "n_tokens is more than the dense layer has room for: it holds `window` tokens")               \
    X(STREAM_END, SA_ERR_OVERFLOW, "n_tokens would take the stream to position 2^62")                                  \
    X(QUERY_BEFORE, SA_ERR_DEPTH,                                                                                      \
      "n_tokens or -q_offset is larger than tokens_seen: a query would stand before position 0")                       \
    X(QUERY_END, SA_ERR_OVERFLOW, "q_offset would put a query at position 2^62 or beyond")                             \
    X(QUERY_LOST, SA_ERR_DEPTH,                                                                                        \
      "n_tokens or -q_offset reaches too far back: a query's own token, or keys that it would see, are no longer held" \
      " (the window has left them, they were removed, or they came before a jump)")                                    \
    X(NO_SINK_KV, SA_ERR_ARGUMENT, "the layer has no learned sink rows to set: n_sink_kv of its config is 0")          \
    X(SINK_K_NULL, SA_ERR_ARGUMENT, "k is NULL: sa_set_sink_kv takes n_sink_kv keys")                                  \
    X(SINK_V_NULL, SA_ERR_ARGUMENT, "v is NULL: sa_set_sink_kv takes n_sink_kv values")                                \
    X(ROWS_NULL, SA_ERR_ARGUMENT, "rows is NULL")                                                                      \
    X(ROWS_SIZE, SA_ERR_STRUCT_SIZE,                                                                                   \
      "rows.struct_size must be sizeof(sa_rows), and fields beyond this library's version must be 0")                  \
    X(ROWS_FLAGS, SA_ERR_ARGUMENT,                                                                                     \
      "rows.flags has unknown bits (SA_ROWS_AT_DISTANCE is the only one), or rows.reserved is not 0")                  \
    X(ROWS_RANGE, SA_ERR_ARGUMENT,                                                                                     \
      "rows.first .. rows.first + rows.n_rows must lie within the rows that the layer has: n_rows of its config")      \
    X(ROWS_TAKEN, SA_ERR_ARGUMENT,                                                                                     \
      "rows.places, rows.biases and rows.flags must be 0 without k.data: such rows are taken away")                    \
    X(ROWS_PLACE, SA_ERR_OVERFLOW, "a number of rows.places is 2^62 or beyond, in either direction")                   \
    X(ROWS_BIAS, SA_ERR_ARGUMENT, "a number of rows.biases is NaN or above 1e30")                                      \
    X(PLACES_ADDRESS, SA_ERR_ALIGNMENT,                                                                                \
      "rows.places is misaligned: its address must be a multiple of sizeof(int64_t)")                                  \
    X(PLACES_EXTENT, SA_ERR_OVERFLOW, "rows.places reaches beyond the address space: rows.n_rows is too large")        \
    X(BIASES_ADDRESS, SA_ERR_ALIGNMENT, "rows.biases is misaligned: its address must be a multiple of sizeof(float)")  \
    X(BIASES_EXTENT, SA_ERR_OVERFLOW, "rows.biases reaches beyond the address space: rows.n_rows is too large")        \
    X(ROLLBACK_LENGTH, SA_ERR_ARGUMENT, "n_tokens is larger than the largest tokens_seen of all layers")               \
    X(ROLLBACK_LOST, SA_ERR_DEPTH,                                                                                     \
      "n_tokens reaches too far back: the next token would see tokens that are no longer held (rollback_now)")         \
    X(POSITION_LIMIT, SA_ERR_OVERFLOW, "position must be below 2^62")                                                  \
    X(POSITION_BEHIND, SA_ERR_ARGUMENT, "position is behind tokens that have come: it must be at least tokens_seen")   \
    X(ANY_LAYER, SA_ERR_ARGUMENT, "layer must be 0 .. n_layers - 1, or SA_ALL_LAYERS")                                 \
    X(CLOSED, SA_ERR_STATE, "the sequence is closed: sa_pool_open or sa_cache_fork gives another one")                 \
    X(NO_TILE, SA_ERR_POOL,                                                                                            \
      "n_tokens is more than the pool has free tiles for: close or shorten a sequence, or give pool_tokens more")      \
    X(NO_SEQUENCE, SA_ERR_POOL, "all sequences of the pool are open: close one, or give n_sequences more")             \
    X(CACHE_OUT, SA_ERR_ARGUMENT, "cache_out or fork_out is NULL")                                                     \
    X(RANGE, SA_ERR_ARGUMENT, "from and end must be 0 <= from < end <= tokens_seen of every layer meant")              \
    X(GAP, SA_ERR_ARGUMENT, "gap must be SA_GAP_CLOSE or SA_GAP_KEEP")                                                 \
    X(RANGE_LOST, SA_ERR_DEPTH, "from .. end has tokens that a layer meant no longer holds")                           \
    X(NO_SPAN, SA_ERR_FULL,                                                                                            \
      "the layer has no room for another span (config.n_spans) or for so many pinned tokens (config.n_pin)")           \
    X(VIEW_WINDOW, SA_ERR_ARGUMENT, "args.view_window must be 0 (the layer's) .. window")                              \
    X(VIEW_SINKS, SA_ERR_ARGUMENT, "args.view_sinks must be -1 (none), 0 (the layer's) or a number of sink tokens")    \
    X(VIEW_ALONE, SA_ERR_ARGUMENT, "args.view_window or args.view_sinks is set, but q.data is NULL")                   \
    X(PARENTS_ALONE, SA_ERR_ARGUMENT, "args.parents is set, but k.data is NULL: there is nothing to draft")            \
    X(NODES_UNUSED, SA_ERR_ARGUMENT, "SA_STEP_NODES needs q without k: the nodes have been drafted before")            \
    X(NODES, SA_ERR_ARGUMENT, "q_offset .. q_offset + n_tokens - 1 are not all nodes of the layer's draft")            \
    X(NO_DRAFT, SA_ERR_ARGUMENT, "the cache keeps no drafts: max_draft of its config is 0")                            \
    X(DRAFT_SINKS, SA_ERR_STATE, "sinks are still to come: a draft begins behind the first n_sink tokens")             \
    X(DRAFT_FULL, SA_ERR_FULL, "n_tokens is more than the layer's draft has room for: max_draft of its config")        \
    X(PARENT, SA_ERR_ARGUMENT, "args.parents must be -1 or numbers of nodes that were drafted before")                 \
    X(NODE_DEPTH, SA_ERR_ARGUMENT, "a node is too deep: its path, itself included, may be max_append tokens long")     \
    X(DRAFT_OPEN, SA_ERR_STATE, "a draft is open in a layer meant: sa_draft_accept ends it, with n = 0 too")           \
    X(PATH_LENGTH, SA_ERR_ARGUMENT, "n must be 0 .. max_append, and path is NULL only with n = 0")                     \
    X(PATH, SA_ERR_ARGUMENT,                                                                                           \
      "path must be nodes of the draft of every layer meant, the first's parent -1, each the next one's parent")       \
    X(BATCH_LENGTH, SA_ERR_ARGUMENT, "n must be 0 .. n_sequences")                                                     \
    X(BATCH_NULL, SA_ERR_ARGUMENT, "caches, or args or n_tokens, is NULL")                                             \
    X(BATCH_CACHE, SA_ERR_ARGUMENT, "a cache of the batch is NULL or not of this pool")                                \
    X(BATCH_TWICE, SA_ERR_ARGUMENT, "the cache stands in the batch twice")                                             \
    X(BATCH_LAYER, SA_ERR_ARGUMENT, "all calls of a batch must have the same layer")                                   \
    X(BATCH_TOKENS, SA_ERR_ARGUMENT,                                                                                   \
      "the batch has too many tokens for sa_batch_begin: max_append each, and the larger of that and n_sequences in "  \
      "all")                                                                                                           \
    X(SAVE_FROM, SA_ERR_ARGUMENT, "from must not be larger than tokens_seen of any layer")                             \
    X(SAVE_OUT, SA_ERR_ARGUMENT, "data, size_out or written_out is NULL")                                              \
    X(SAVE_ROOM, SA_ERR_BUFFER, "size is smaller than sa_cache_save_size says")                                        \
    X(SAVE_SIZE, SA_ERR_OVERFLOW, "the snapshot would be larger than memory can be")                                   \
    X(LOAD_DATA, SA_ERR_ARGUMENT, "data is NULL")                                                                      \
    X(LOAD_FOREIGN, SA_ERR_FORMAT, "the data is no snapshot: it does not begin as one")                                \
    X(LOAD_VERSION, SA_ERR_FORMAT, "the snapshot has a version that this library does not know")                       \
    X(LOAD_DAMAGED, SA_ERR_FORMAT, "the snapshot is damaged: its size or its checksum is not what it says")            \
    X(LOAD_FIELDS, SA_ERR_FORMAT, "the snapshot says what no cache can hold")                                          \
    X(LOAD_SECTION, SA_ERR_FORMAT, "the snapshot has a section that this library does not know and must not skip")     \
    X(LOAD_LAYERS, SA_ERR_CONFIG, "the snapshot has another number of layers")                                         \
    X(LOAD_LANES, SA_ERR_CONFIG,                                                                                       \
      "the snapshot has other kv heads of a layer keep the same tokens: head_sinks or head_windows differ")            \
    X(LOAD_GEOMETRY, SA_ERR_CONFIG,                                                                                    \
      "the snapshot is of another geometry: n_heads, n_kv_heads, head_dim, v_head_dim or n_sink_kv of a layer differ") \
    X(LOAD_DTYPES, SA_ERR_CONFIG, "the snapshot stores keys or values of a layer in another dtype")                    \
    X(LOAD_POSITION, SA_ERR_CONFIG,                                                                                    \
      "the snapshot is of another position scheme: position, position_mode, sink_kv_position, rope_* or alibi_slopes " \
      "of a layer differ")                                                                                             \
    X(LOAD_SOFTMAX, SA_ERR_CONFIG,                                                                                     \
      "the snapshot is of another softmax: scale, softcap or sink_logits of a layer differ")                           \
    X(LOAD_RULES, SA_ERR_CONFIG,                                                                                       \
      "the snapshot is of other rules: n_sink, n_recent, or whether a layer is dense, differ")                         \
    X(LOAD_LEARNED, SA_ERR_STATE,                                                                                      \
      "the snapshot was saved with other learned sink rows, with some or without: sa_set_sink_kv comes before "        \
      "loading")                                                                                                       \
    X(LOAD_WINDOW, SA_ERR_DEPTH,                                                                                       \
      "the snapshot lacks tokens that the next one would see here: this layer's window is larger than the saved one")  \
    X(LOAD_FULL, SA_ERR_FULL,                                                                                          \
      "the layer has no room for the snapshot's spans (config.n_spans), pinned tokens (config.n_pin) or, dense, "      \
      "tokens (window)")                                                                                               \
    X(LOAD_ROWS, SA_ERR_FULL, "the snapshot has more rows of the host than there is room for (config.n_rows)")         \
    X(LOAD_POOL, SA_ERR_POOL, "the pool has not as many free tiles as the snapshot needs")                             \
    X(LOAD_BASE, SA_ERR_DEPTH,                                                                                         \
      "the snapshot is of the tokens from a position on: each layer must have seen just those before, and hold those " \
      "of them that the snapshot lists")

#define SAI_ERROR_NAME(name, status, sentence) SAI_ERROR_##name,
typedef enum sai_error { SAI_ERRORS(SAI_ERROR_NAME) SAI_N_ERRORS } sai_error;
#undef SAI_ERROR_NAME

/* Ends a call that has the cache, or the pool, to itself: keeps the reason, and returns its status. */
sa_status sai_error_keep(sa_cache *cache, sai_error error);
sa_status sai_error_keep_pool(sa_pool *pool, sai_error error);

#endif
