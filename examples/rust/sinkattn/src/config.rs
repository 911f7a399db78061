//! What a cache is to be.
//!
//! SPDX-License-Identifier: MIT
use crate::error::{self, Error, Result};
use crate::executor::Executor;
use sinkattn_sys as sys;
use std::sync::Arc;

macro_rules! named {
    ($(#[$about:meta])* $name:ident { $($(#[$what:meta])* $value:ident = $number:ident),* $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(i32)]
        pub enum $name { $($(#[$what])* $value = sys::$number),* }
    };
}

named! {
    /// Element types. Tensors of the host have the first three, stored keys and values all.
    DType {
        /// IEEE binary32.
        F32 = SA_F32,
        /// IEEE binary16.
        F16 = SA_F16,
        /// The upper half of binary32.
        BF16 = SA_BF16,
        /// Integers of 8 bits with scales.
        I8 = SA_I8,
        /// Integers of 4 bits with scales.
        I4 = SA_I4,
    }
}
named! {
    /// What a layer keeps.
    Policy {
        /// The first `n_sink` tokens and the newest `window` ones.
        SinkWindow = SA_POLICY_SINK_WINDOW,
        /// The newest `window` ones.
        Window = SA_POLICY_WINDOW,
        /// All, up to `window` of them.
        Dense = SA_POLICY_DENSE,
    }
}
named! {
    /// How position enters the logit.
    Position {
        /// Not at all.
        None = SA_POSITION_NONE,
        /// The library rotates q and k.
        Rope = SA_POSITION_ROPE,
        /// q and k come in rotated to their stream position.
        RopeApplied = SA_POSITION_ROPE_APPLIED,
        /// A slope times the distance.
        Alibi = SA_POSITION_ALIBI,
    }
}
named! {
    /// Which distance a sink is at.
    PositionMode {
        /// The paper's: sinks stay near.
        InCache = SA_IN_CACHE,
        /// The gap is kept.
        InStream = SA_IN_STREAM,
    }
}
named! {
    /// Which two dims a rotation takes.
    RopeLayout {
        /// i and i + d/2: Llama in Hugging Face layout.
        HalfSplit = SA_ROPE_HALF_SPLIT,
        /// 2i and 2i + 1: GPT-J, Llama in GGUF files.
        Interleaved = SA_ROPE_INTERLEAVED,
    }
}
named! {
    /// How the frequencies are scaled for longer contexts.
    RopeScaling {
        /// As they are.
        None = SA_ROPE_SCALING_NONE,
        /// Frequencies divided by a factor.
        Linear = SA_ROPE_SCALING_LINEAR,
        /// A larger theta.
        Ntk = SA_ROPE_SCALING_NTK,
        /// YaRN, arXiv 2309.00071.
        Yarn = SA_ROPE_SCALING_YARN,
        /// Llama 3's.
        Llama3 = SA_ROPE_SCALING_LLAMA3,
        /// LongRoPE, arXiv 2402.13753.
        LongRope = SA_ROPE_SCALING_LONGROPE,
    }
}
named! {
    /// Where learned sink rows stand.
    SinkKv {
        /// Just before token 0.
        Before = SA_SINK_KV_BEFORE,
        /// All at position 0.
        AtZero = SA_SINK_KV_AT_ZERO,
    }
}

/// An instruction set: a number that the library knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(pub i32);

impl Isa {
    /// The best that the processor and this build have.
    pub const AUTO: Isa = Isa(sys::SA_ISA_AUTO);
    /// C with fused multiply-add: the definition of the bits.
    pub const PLAIN: Isa = Isa(sys::SA_ISA_PLAIN);

    /// What `AUTO` takes here.
    pub fn best() -> Isa {
        // SAFETY: takes nothing, returns a number.
        Isa(unsafe { sys::sa_isa_best() })
    }
    /// Whether this build and processor have it.
    pub fn is_available(self) -> bool {
        // SAFETY: any number is allowed.
        unsafe { sys::sa_isa_available(self.0) != 0 }
    }
    /// A short lower-case name.
    pub fn name(self) -> &'static str {
        // SAFETY: any number is allowed, and a constant string comes back.
        unsafe { error::sentence(sys::sa_isa_name(self.0)) }
    }
}

/// `sa_config`: the same names, units, limits and defaults; 0, `None` and empty mean the default.
#[derive(Clone)]
#[allow(missing_docs)] // sinkattn.h is the manual of each field
pub struct Config {
    pub n_layers: u32,
    pub max_append: u32,
    pub rollback: u32,
    pub isa: Isa,
    pub n_threads: u32,
    pub io_dtype: Option<DType>,
    pub n_heads: u32,
    pub n_kv_heads: u32,
    pub head_dim: u32,
    pub v_head_dim: u32,
    pub policy: Policy,
    pub n_sink: u32,
    pub window: u32,
    pub k_dtype: Option<DType>,
    pub v_dtype: Option<DType>,
    pub scale: f32,
    pub softcap: f32,
    pub n_sink_kv: u32,
    pub sink_kv_position: SinkKv,
    pub position: Position,
    pub position_mode: PositionMode,
    pub rope_layout: RopeLayout,
    pub rope_dims: u32,
    pub rope_offset: u32,
    pub rope_scaling: RopeScaling,
    pub rope_original_context: u32,
    pub rope_theta: f64,
    pub rope_factor: f64,
    pub rope_attention_factor: f64,
    pub rope_beta_fast: f64,
    pub rope_beta_slow: f64,
    pub rope_low_freq_factor: f64,
    pub rope_high_freq_factor: f64,
    /// `rope_dims / 2` or empty.
    pub rope_inv_freq: Vec<f64>,
    /// `rope_dims / 2` or empty.
    pub rope_short_factors: Vec<f32>,
    /// `rope_dims / 2` or empty.
    pub rope_long_factors: Vec<f32>,
    /// `n_heads` or empty.
    pub alibi_slopes: Vec<f32>,
    /// `n_heads` or empty.
    pub sink_logits: Vec<f32>,
    /// `n_layers` or empty; `None`: the layer is as this config says.
    pub layers: Vec<Option<Config>>,
    pub sink_k_dtype: Option<DType>,
    pub sink_v_dtype: Option<DType>,
    pub n_recent: u32,
    pub recent_k_dtype: Option<DType>,
    pub recent_v_dtype: Option<DType>,
    pub query_bits: u32,
    pub weight_bits: u32,
    pub n_sequences: u32,
    pub n_spans: u32,
    pub n_pin: u32,
    pub n_rows: u32,
    pub max_draft: u32,
    pub pool_tokens: u64,
    /// `n_kv_heads` or empty.
    pub head_windows: Vec<i32>,
    /// `n_kv_heads` or empty.
    pub head_sinks: Vec<i32>,
    pub yarn_no_truncate: bool,
    /// Steps will be processed by threads of the host together: see [`crate::Cache::begin`].
    pub cooperative: bool,
    /// The host's thread pool.
    pub executor: Option<Arc<dyn Executor>>,
}

impl Config {
    /// All that has no default; the rest follows by `..Config::new(...)`.
    pub fn new(n_layers: u32, n_heads: u32, head_dim: u32, window: u32, position: Position) -> Config {
        Config {
            n_layers,
            max_append: 0,
            rollback: 0,
            isa: Isa::AUTO,
            n_threads: 0,
            io_dtype: None,
            n_heads,
            n_kv_heads: 0,
            head_dim,
            v_head_dim: 0,
            policy: Policy::SinkWindow,
            n_sink: 0,
            window,
            k_dtype: None,
            v_dtype: None,
            scale: 0.0,
            softcap: 0.0,
            n_sink_kv: 0,
            sink_kv_position: SinkKv::Before,
            position,
            position_mode: PositionMode::InCache,
            rope_layout: RopeLayout::HalfSplit,
            rope_dims: 0,
            rope_offset: 0,
            rope_scaling: RopeScaling::None,
            rope_original_context: 0,
            rope_theta: 0.0,
            rope_factor: 0.0,
            rope_attention_factor: 0.0,
            rope_beta_fast: 0.0,
            rope_beta_slow: 0.0,
            rope_low_freq_factor: 0.0,
            rope_high_freq_factor: 0.0,
            rope_inv_freq: Vec::new(),
            rope_short_factors: Vec::new(),
            rope_long_factors: Vec::new(),
            alibi_slopes: Vec::new(),
            sink_logits: Vec::new(),
            layers: Vec::new(),
            sink_k_dtype: None,
            sink_v_dtype: None,
            n_recent: 0,
            recent_k_dtype: None,
            recent_v_dtype: None,
            query_bits: 0,
            weight_bits: 0,
            n_sequences: 0,
            n_spans: 0,
            n_pin: 0,
            n_rows: 0,
            max_draft: 0,
            pool_tokens: 0,
            head_windows: Vec::new(),
            head_sinks: Vec::new(),
            yarn_no_truncate: false,
            cooperative: false,
            executor: None,
        }
    }

    /// Whether a cache or pool can be made of this.
    pub fn check(&self) -> Result<()> {
        self.with_native(None, check_native)
    }

    /// Calls `then` with the config as the library reads it.
    pub(crate) fn with_native<T>(
        &self,
        parallel: Option<(sys::sa_parallel_for, *mut std::ffi::c_void)>,
        then: impl FnOnce(&sys::sa_config) -> Result<T>,
    ) -> Result<T> {
        self.check_lengths()?;
        if !self.layers.is_empty() && self.layers.len() != self.n_layers as usize {
            return Err(Error::Config { sentence: "layers must be empty or have n_layers elements", layer: None });
        }
        let mut own = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            own.push(layer.as_ref().map(|c| c.check_lengths().map(|()| c.native())).transpose()?);
        }
        let pointers: Vec<*const sys::sa_config> =
            own.iter().map(|c| c.as_ref().map_or(std::ptr::null(), std::ptr::from_ref)).collect();
        let mut whole = self.native();
        whole.layers = if pointers.is_empty() { std::ptr::null() } else { pointers.as_ptr() };
        // Whether a thread pool is there decides what n_threads may be; a check needs none that runs.
        let (parallel_for, context) = match parallel {
            Some(given) => given,
            None if self.executor.is_some() => crate::executor::stand_in(),
            None => (None, std::ptr::null_mut()),
        };
        whole.parallel_for = parallel_for;
        whole.parallel_context = context;
        then(&whole)
    }

    fn check_lengths(&self) -> Result<()> {
        let pairs = if self.rope_dims == 0 { self.head_dim } else { self.rope_dims } / 2;
        let kv_heads = if self.n_kv_heads == 0 { self.n_heads } else { self.n_kv_heads };
        let has = |length: usize, n: u32| length == 0 || length == n as usize;
        let wrong = |sentence| Err(Error::Config { sentence, layer: None });
        let factors = [self.rope_inv_freq.len(), self.rope_short_factors.len(), self.rope_long_factors.len()];
        if !factors.iter().all(|&length| has(length, pairs)) {
            return wrong(
                "rope_inv_freq, rope_short_factors and rope_long_factors must be empty or have rope_dims / 2 elements",
            );
        }
        if !has(self.alibi_slopes.len(), self.n_heads) || !has(self.sink_logits.len(), self.n_heads) {
            return wrong("alibi_slopes and sink_logits must be empty or have n_heads elements");
        }
        if !has(self.head_windows.len(), kv_heads) || !has(self.head_sinks.len(), kv_heads) {
            return wrong("head_windows and head_sinks must be empty or have n_kv_heads elements");
        }
        Ok(())
    }

    /// The fields. Numbers beyond 2^31 - 1 become negative, which the library refuses.
    fn native(&self) -> sys::sa_config {
        fn array<T>(v: &[T]) -> *const T {
            if v.is_empty() {
                std::ptr::null()
            } else {
                v.as_ptr()
            }
        }
        let dtype = |d: Option<DType>| d.map_or(0, |d| d as i32);
        let flag = |is_set, bit| if is_set { bit } else { 0 };
        sys::sa_config {
            struct_size: size_of::<sys::sa_config>() as u32,
            flags: flag(self.yarn_no_truncate, sys::SA_CONFIG_YARN_NO_TRUNCATE)
                | flag(self.cooperative, sys::SA_CONFIG_COOPERATIVE),
            n_layers: self.n_layers as i32,
            max_append: self.max_append as i32,
            rollback: self.rollback as i32,
            isa: self.isa.0,
            n_threads: self.n_threads as i32,
            io_dtype: dtype(self.io_dtype),
            n_heads: self.n_heads as i32,
            n_kv_heads: self.n_kv_heads as i32,
            head_dim: self.head_dim as i32,
            v_head_dim: self.v_head_dim as i32,
            policy: self.policy as i32,
            n_sink: self.n_sink as i32,
            window: self.window as i32,
            k_dtype: dtype(self.k_dtype),
            v_dtype: dtype(self.v_dtype),
            scale: self.scale,
            softcap: self.softcap,
            n_sink_kv: self.n_sink_kv as i32,
            sink_kv_position: self.sink_kv_position as i32,
            position: self.position as i32,
            position_mode: self.position_mode as i32,
            rope_layout: self.rope_layout as i32,
            rope_dims: self.rope_dims as i32,
            rope_offset: self.rope_offset as i32,
            rope_scaling: self.rope_scaling as i32,
            rope_original_context: self.rope_original_context as i32,
            rope_theta: self.rope_theta,
            rope_factor: self.rope_factor,
            rope_attention_factor: self.rope_attention_factor,
            rope_beta_fast: self.rope_beta_fast,
            rope_beta_slow: self.rope_beta_slow,
            rope_low_freq_factor: self.rope_low_freq_factor,
            rope_high_freq_factor: self.rope_high_freq_factor,
            rope_inv_freq: array(&self.rope_inv_freq),
            rope_short_factors: array(&self.rope_short_factors),
            rope_long_factors: array(&self.rope_long_factors),
            alibi_slopes: array(&self.alibi_slopes),
            sink_logits: array(&self.sink_logits),
            parallel_for: None,
            parallel_context: std::ptr::null_mut(),
            layers: std::ptr::null(),
            sink_k_dtype: dtype(self.sink_k_dtype),
            sink_v_dtype: dtype(self.sink_v_dtype),
            n_recent: self.n_recent as i32,
            recent_k_dtype: dtype(self.recent_k_dtype),
            recent_v_dtype: dtype(self.recent_v_dtype),
            query_bits: self.query_bits as i32,
            weight_bits: self.weight_bits as i32,
            n_sequences: self.n_sequences as i32,
            n_spans: self.n_spans as i32,
            n_pin: self.n_pin as i32,
            n_rows: self.n_rows as i32,
            max_draft: self.max_draft as i32,
            pool_tokens: self.pool_tokens as i64,
            head_windows: array(&self.head_windows),
            head_sinks: array(&self.head_sinks),
        }
    }
}

/// What `sa_config_check` says.
pub(crate) fn check_native(native: &sys::sa_config) -> Result<()> {
    let (mut why, mut layer) = (std::ptr::null(), -1);
    // SAFETY: the config and both outputs are there.
    let status = unsafe { sys::sa_config_check(native, &mut why, &mut layer) };
    if status == sys::SA_SUCCESS {
        return Ok(());
    }
    // SAFETY: the library has set `why` to a constant string.
    let sentence = unsafe { error::sentence(why) };
    match Error::of(status, sentence) {
        Error::Config { .. } => Err(Error::Config { sentence, layer: u32::try_from(layer).ok() }),
        other => Err(other),
    }
}
