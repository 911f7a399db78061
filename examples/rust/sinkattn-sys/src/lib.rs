//! sinkattn.h in Rust: the structs, numbers and functions of the C library, with nothing added. Use the crate `sinkattn`.
//!
//! SPDX-License-Identifier: MIT
//!
//! `tests/layout.rs` compares every size, place and number with the table that the C library checks itself by.
#![no_std]
#![allow(non_camel_case_types)]

use core::ffi::{c_char, c_void};

pub type sa_status = i32;
pub type sa_task = unsafe extern "C" fn(task_context: *mut c_void, index: i32);
pub type sa_parallel_for =
    Option<unsafe extern "C" fn(context: *mut c_void, n_tasks: i32, task: sa_task, task_context: *mut c_void)>;

pub const SA_SUCCESS: sa_status = 0;
pub const SA_ERR_ARGUMENT: sa_status = -1;
pub const SA_ERR_CONFIG: sa_status = -2;
pub const SA_ERR_STRUCT_SIZE: sa_status = -3;
pub const SA_ERR_MEMORY: sa_status = -4;
pub const SA_ERR_BUFFER: sa_status = -5;
pub const SA_ERR_ALIGNMENT: sa_status = -6;
pub const SA_ERR_ISA: sa_status = -7;
pub const SA_ERR_FORMAT: sa_status = -8;
pub const SA_ERR_STATE: sa_status = -9;
pub const SA_ERR_OVERFLOW: sa_status = -10;
pub const SA_ERR_FULL: sa_status = -11;
pub const SA_ERR_DEPTH: sa_status = -12;
pub const SA_ERR_POOL: sa_status = -13;
pub const SA_F32: i32 = 1;
pub const SA_F16: i32 = 2;
pub const SA_BF16: i32 = 3;
pub const SA_I8: i32 = 4;
pub const SA_I4: i32 = 5;
pub const SA_POLICY_SINK_WINDOW: i32 = 0;
pub const SA_POLICY_WINDOW: i32 = 1;
pub const SA_POLICY_DENSE: i32 = 2;
pub const SA_POSITION_NONE: i32 = 1;
pub const SA_POSITION_ROPE: i32 = 2;
pub const SA_POSITION_ROPE_APPLIED: i32 = 3;
pub const SA_POSITION_ALIBI: i32 = 4;
pub const SA_IN_CACHE: i32 = 0;
pub const SA_IN_STREAM: i32 = 1;
pub const SA_ROPE_HALF_SPLIT: i32 = 0;
pub const SA_ROPE_INTERLEAVED: i32 = 1;
pub const SA_ROPE_SCALING_NONE: i32 = 0;
pub const SA_ROPE_SCALING_LINEAR: i32 = 1;
pub const SA_ROPE_SCALING_NTK: i32 = 2;
pub const SA_ROPE_SCALING_YARN: i32 = 3;
pub const SA_ROPE_SCALING_LLAMA3: i32 = 4;
pub const SA_ROPE_SCALING_LONGROPE: i32 = 5;
pub const SA_SINK_KV_BEFORE: i32 = 0;
pub const SA_SINK_KV_AT_ZERO: i32 = 1;
pub const SA_ISA_AUTO: i32 = 0;
pub const SA_ISA_PLAIN: i32 = 1;
pub const SA_ISA_PLAIN_NOFMA: i32 = 2;
pub const SA_ISA_AVX2: i32 = 3;
pub const SA_ISA_AVX512: i32 = 4;
pub const SA_ISA_NEON: i32 = 5;
pub const SA_ISA_WASM: i32 = 6;
pub const SA_ISA_WASM_RELAXED: i32 = 7;
pub const SA_ISA_RVV: i32 = 8;
pub const SA_ISA_VSX: i32 = 9;
pub const SA_ISA_VXE: i32 = 10;
pub const SA_ISA_AVX512_VNNI: i32 = 11;
pub const SA_ISA_AVX2_VNNI: i32 = 12;
pub const SA_ISA_NEON_DOT: i32 = 13;
pub const SA_CONFIG_YARN_NO_TRUNCATE: u32 = 1;
pub const SA_CONFIG_COOPERATIVE: u32 = 2;
pub const SA_TENSOR_STRIDES_GIVEN: u32 = 1;
pub const SA_STEP_NODES: u32 = 1;
pub const SA_STEP_MASS_PER_HEAD: u32 = 2;
pub const SA_READ_ROWS: u32 = 1;
pub const SA_ALL_LAYERS: i32 = -1;
pub const SA_END: u64 = u64::MAX;
pub const SA_GAP_CLOSE: i32 = 0;
pub const SA_GAP_KEEP: i32 = 1;
pub const SA_SPAN_WINDOW: i32 = 0;
pub const SA_SPAN_SINK: i32 = 1;
pub const SA_SPAN_PIN: i32 = 2;
pub const SA_KEY_AS_STORED: i32 = 0;
pub const SA_KEY_UNROTATED: i32 = 1;
pub const SA_KEY_AT_PLACE: i32 = 2;
pub const SA_ROWS_AT_DISTANCE: u32 = 1;

/// Opaque: only the library looks inside.
#[repr(C)]
pub struct sa_cache {
    _opaque: [u8; 0],
    _not_send_nor_sync: core::marker::PhantomData<*mut u8>,
}

/// Opaque: only the library looks inside.
#[repr(C)]
pub struct sa_pool {
    _opaque: [u8; 0],
    _not_send_nor_sync: core::marker::PhantomData<*mut u8>,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct sa_config {
    pub struct_size: u32,
    pub flags: u32,
    pub n_layers: i32,
    pub max_append: i32,
    pub rollback: i32,
    pub isa: i32,
    pub n_threads: i32,
    pub io_dtype: i32,
    pub n_heads: i32,
    pub n_kv_heads: i32,
    pub head_dim: i32,
    pub v_head_dim: i32,
    pub policy: i32,
    pub n_sink: i32,
    pub window: i32,
    pub k_dtype: i32,
    pub v_dtype: i32,
    pub scale: f32,
    pub softcap: f32,
    pub n_sink_kv: i32,
    pub sink_kv_position: i32,
    pub position: i32,
    pub position_mode: i32,
    pub rope_layout: i32,
    pub rope_dims: i32,
    pub rope_offset: i32,
    pub rope_scaling: i32,
    pub rope_original_context: i32,
    pub rope_theta: f64,
    pub rope_factor: f64,
    pub rope_attention_factor: f64,
    pub rope_beta_fast: f64,
    pub rope_beta_slow: f64,
    pub rope_low_freq_factor: f64,
    pub rope_high_freq_factor: f64,
    pub rope_inv_freq: *const f64,
    pub rope_short_factors: *const f32,
    pub rope_long_factors: *const f32,
    pub alibi_slopes: *const f32,
    pub sink_logits: *const f32,
    pub parallel_for: sa_parallel_for,
    pub parallel_context: *mut c_void,
    pub layers: *const *const sa_config,
    pub sink_k_dtype: i32,
    pub sink_v_dtype: i32,
    pub n_recent: i32,
    pub recent_k_dtype: i32,
    pub recent_v_dtype: i32,
    pub query_bits: i32,
    pub weight_bits: i32,
    pub n_sequences: i32,
    pub n_spans: i32,
    pub n_pin: i32,
    pub n_rows: i32,
    pub max_draft: i32,
    pub pool_tokens: i64,
    pub head_windows: *const i32,
    pub head_sinks: *const i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct sa_allocator {
    pub struct_size: u32,
    pub reserved: u32,
    pub alloc: Option<unsafe extern "C" fn(user: *mut c_void, size: usize, alignment: usize) -> *mut c_void>,
    pub free: Option<unsafe extern "C" fn(user: *mut c_void, memory: *mut c_void, size: usize)>,
    pub user: *mut c_void,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct sa_cache_facts {
    pub struct_size: u32,
    pub isa: i32,
    pub tokens_seen: u64,
    pub tokens_held: u64,
    pub positions_held: u64,
    pub rollback_now: u64,
    pub cache_size: u64,
    pub kv_size: u64,
    pub n_threads: i32,
    pub max_append: i32,
    pub n_lanes: i32,
    pub n_draft: i32,
    pub rows_used: u64,
    pub keys_in_front: u64,
    pub keys_most: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct sa_tensor {
    pub data: *mut c_void,
    pub token_stride: i64,
    pub head_stride: i64,
    pub dtype: i32,
    pub flags: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct sa_step_args {
    pub struct_size: u32,
    pub flags: u32,
    pub layer: i32,
    pub n_tokens: i32,
    pub q: sa_tensor,
    pub k: sa_tensor,
    pub v: sa_tensor,
    pub out: sa_tensor,
    pub q_offset: i64,
    pub lse: *mut f32,
    pub sink_mass: *mut f32,
    pub partial_max: *mut f32,
    pub partial_sum: *mut f32,
    pub view_window: i32,
    pub view_sinks: i32,
    pub parents: *const i32,
    pub key_mass: *mut f32,
    pub value_norms: *mut f32,
    pub key_stride: i64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct sa_span {
    pub from: u64,
    pub end: u64,
    pub shift: u64,
    pub kind: i32,
    pub masked: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct sa_read_args {
    pub struct_size: u32,
    pub flags: u32,
    pub layer: i32,
    pub n_tokens: i32,
    pub kv_head: i32,
    pub n_kv_heads: i32,
    pub key_form: i32,
    pub reserved: i32,
    pub positions: *const u64,
    pub k: sa_tensor,
    pub v: sa_tensor,
    pub places: *const i64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct sa_pool_facts {
    pub struct_size: u32,
    pub n_sequences: i32,
    pub n_open: i32,
    pub reserved: i32,
    pub pool_size: u64,
    pub tiles: u64,
    pub tiles_free: u64,
    pub tile_size: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct sa_rows {
    pub struct_size: u32,
    pub flags: u32,
    pub layer: i32,
    pub first: i32,
    pub n_rows: i32,
    pub kv_head: i32,
    pub n_kv_heads: i32,
    pub reserved: i32,
    pub k: sa_tensor,
    pub v: sa_tensor,
    pub places: *const i64,
    pub biases: *const f32,
}

extern "C" {
    pub fn sa_version() -> i32;
    pub fn sa_version_string() -> *const c_char;
    pub fn sa_status_string(status: sa_status) -> *const c_char;
    pub fn sa_config_check(config: *const sa_config, why_out: *mut *const c_char, layer_out: *mut i32) -> sa_status;
    pub fn sa_cache_size(config: *const sa_config, size_out: *mut usize, alignment_out: *mut usize) -> sa_status;
    pub fn sa_cache_init(
        memory: *mut c_void,
        size: usize,
        config: *const sa_config,
        cache_out: *mut *mut sa_cache,
    ) -> sa_status;
    pub fn sa_cache_create(
        config: *const sa_config,
        allocator: *const sa_allocator,
        cache_out: *mut *mut sa_cache,
    ) -> sa_status;
    pub fn sa_cache_destroy(cache: *mut sa_cache);
    pub fn sa_append_kv(
        cache: *mut sa_cache,
        layer: i32,
        n_tokens: i32,
        k: *const c_void,
        v: *const c_void,
    ) -> sa_status;
    pub fn sa_attend(cache: *mut sa_cache, layer: i32, n_tokens: i32, q: *const c_void, out: *mut c_void) -> sa_status;
    pub fn sa_append_attend(
        cache: *mut sa_cache,
        layer: i32,
        n_tokens: i32,
        q: *const c_void,
        k: *const c_void,
        v: *const c_void,
        out: *mut c_void,
    ) -> sa_status;
    pub fn sa_cache_error(cache: *const sa_cache) -> *const c_char;
    pub fn sa_cache_info(cache: *const sa_cache, layer: i32, info_out: *mut sa_cache_facts) -> sa_status;
    pub fn sa_step(cache: *mut sa_cache, args: *const sa_step_args) -> sa_status;
    pub fn sa_cache_reset(cache: *mut sa_cache, layer: i32) -> sa_status;
    pub fn sa_cache_rollback(cache: *mut sa_cache, layer: i32, n_tokens: i64) -> sa_status;
    pub fn sa_cache_seek(cache: *mut sa_cache, layer: i32, position: u64) -> sa_status;
    pub fn sa_cache_remove(cache: *mut sa_cache, layer: i32, from: u64, end: u64, gap: i32) -> sa_status;
    pub fn sa_cache_pin(cache: *mut sa_cache, layer: i32, from: u64, end: u64) -> sa_status;
    pub fn sa_cache_unpin(cache: *mut sa_cache, layer: i32, from: u64, end: u64) -> sa_status;
    pub fn sa_cache_anchor(cache: *mut sa_cache, layer: i32, from: u64, end: u64) -> sa_status;
    pub fn sa_cache_spans(
        cache: *const sa_cache,
        layer: i32,
        kv_head: i32,
        capacity: i32,
        spans_out: *mut sa_span,
        n_out: *mut i32,
    ) -> sa_status;
    pub fn sa_cache_positions(
        cache: *const sa_cache,
        layer: i32,
        kv_head: i32,
        capacity: i64,
        positions_out: *mut u64,
        n_out: *mut i64,
    ) -> sa_status;
    pub fn sa_cache_read(cache: *mut sa_cache, args: *const sa_read_args) -> sa_status;
    pub fn sa_draft_accept(cache: *mut sa_cache, layer: i32, n: i32, path: *const i32) -> sa_status;
    pub fn sa_pool_size(config: *const sa_config, size_out: *mut usize, alignment_out: *mut usize) -> sa_status;
    pub fn sa_pool_init(
        memory: *mut c_void,
        size: usize,
        config: *const sa_config,
        pool_out: *mut *mut sa_pool,
    ) -> sa_status;
    pub fn sa_pool_create(
        config: *const sa_config,
        allocator: *const sa_allocator,
        pool_out: *mut *mut sa_pool,
    ) -> sa_status;
    pub fn sa_pool_destroy(pool: *mut sa_pool);
    pub fn sa_pool_open(pool: *mut sa_pool, cache_out: *mut *mut sa_cache) -> sa_status;
    pub fn sa_cache_fork(cache: *mut sa_cache, fork_out: *mut *mut sa_cache) -> sa_status;
    pub fn sa_batch(
        pool: *mut sa_pool,
        n: i32,
        caches: *const *mut sa_cache,
        args: *const *const sa_step_args,
        failed_out: *mut i32,
    ) -> sa_status;
    pub fn sa_pool_can_append(
        pool: *mut sa_pool,
        n: i32,
        caches: *const *mut sa_cache,
        n_tokens: *const i32,
        failed_out: *mut i32,
    ) -> sa_status;
    pub fn sa_pool_info(pool: *const sa_pool, layer: i32, kv_head: i32, info_out: *mut sa_pool_facts) -> sa_status;
    pub fn sa_pool_error(pool: *const sa_pool) -> *const c_char;
    pub fn sa_cache_save_size(cache: *mut sa_cache, from: u64, size_out: *mut usize) -> sa_status;
    pub fn sa_cache_save(
        cache: *mut sa_cache,
        from: u64,
        data: *mut c_void,
        size: usize,
        written_out: *mut usize,
    ) -> sa_status;
    pub fn sa_cache_load(cache: *mut sa_cache, data: *const c_void, size: usize) -> sa_status;
    pub fn sa_set_sink_kv(cache: *mut sa_cache, layer: i32, k: *const c_void, v: *const c_void) -> sa_status;
    pub fn sa_set_rows(cache: *mut sa_cache, rows: *const sa_rows) -> sa_status;
    pub fn sa_cache_restart(cache: *mut sa_cache, layer: i32, position: u64) -> sa_status;
    pub fn sa_step_begin(cache: *mut sa_cache, args: *const sa_step_args, n_phases_out: *mut i32) -> sa_status;
    pub fn sa_step_part(cache: *mut sa_cache, phase: i32, index: i32, count: i32) -> sa_status;
    pub fn sa_batch_begin(
        pool: *mut sa_pool,
        n: i32,
        caches: *const *mut sa_cache,
        args: *const *const sa_step_args,
        n_phases_out: *mut i32,
        failed_out: *mut i32,
    ) -> sa_status;
    pub fn sa_batch_part(pool: *mut sa_pool, phase: i32, index: i32, count: i32) -> sa_status;
    pub fn sa_merge_partial(
        n_rows: i64,
        v_head_dim: i32,
        max_a: *mut f32,
        sum_a: *mut f32,
        acc_a: *mut f32,
        max_b: *const f32,
        sum_b: *const f32,
        acc_b: *const f32,
    ) -> sa_status;
    pub fn sa_finish_partial(
        n_rows: i64,
        v_head_dim: i32,
        max: *const f32,
        sum: *const f32,
        acc: *mut f32,
        lse: *mut f32,
    ) -> sa_status;
    pub fn sa_isa_best() -> i32;
    pub fn sa_isa_available(isa: i32) -> i32;
    pub fn sa_isa_name(isa: i32) -> *const c_char;
}
