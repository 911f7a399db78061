//! The key/value cache and attention of a transformer that never stops: the first tokens of a stream (the attention
//! sinks) and the newest ones, in constant memory and constant time per token.
//!
//! SPDX-License-Identifier: MIT
//!
//! ```
//! use sinkattn::{Cache, Config, DType, Position};
//!
//! let config = Config {
//!     n_kv_heads: 2,
//!     n_sink: 4,
//!     k_dtype: Some(DType::F16),
//!     v_dtype: Some(DType::F16),
//!     ..Config::new(1, 8, 64, 252, Position::Rope) // layers, heads, dims, window
//! };
//! let mut cache = Cache::new(&config)?;
//! let (q, k, v) = (vec![0.5f32; 8 * 64], vec![0.5f32; 2 * 64], vec![0.5f32; 2 * 64]);
//! let mut out = vec![0.0f32; 8 * 64];
//! cache.append_attend(0, &q, &k, &v, &mut out)?;
//! assert_eq!(cache.info(0)?.tokens_seen, 1);
//! # Ok::<(), sinkattn::Error>(())
//! ```
//!
//! What the calls do is said in `sinkattn.h`, the manual of the C library; names are the same here. What Rust adds:
//!
//! - A [`Cache`] or [`Pool`] ends with its value, and a sequence shares its pool's memory, so nothing can be used too
//!   late. Both are `Send` and `Sync`: calls on one pool wait for each other.
//! - Tensors are slices, borrowed for the call. Their lengths are checked against the layer's shape; a tensor that is
//!   written cannot be read at the same time.
//! - Every error is an [`Error`] with the library's sentence.
#![warn(missing_docs)]

mod cache;
mod config;
mod error;
mod executor;
mod home;
mod partial;
mod pool;
mod shared;
mod step;
mod tensor;

pub use cache::{Cache, Facts, Gap, Layers, Span, SpanKind, END};
pub use config::{Config, DType, Isa, Policy, Position, PositionMode, RopeLayout, RopeScaling, SinkKv};
pub use error::{Error, Result};
pub use executor::Executor;
pub use partial::Partial;
pub use pool::{BatchError, Pool, PoolFacts};
pub use shared::SharedStep;
pub use step::{KeyForm, Read, Rows, Step};
pub use tensor::{Bf16, Element, Tensor, TensorMut, F16};

use sinkattn_sys as sys;

/// The version of the C library, "major.minor.patch".
pub fn version() -> &'static str {
    // SAFETY: a constant string of the library.
    unsafe { error::sentence(sys::sa_version_string()) }
}
