//! Many sequences of one model.
//!
//! SPDX-License-Identifier: MIT
use crate::cache::Cache;
use crate::config::Config;
use crate::error::{plain, sentence, Error, Result};
use crate::home::Home;
use crate::shared::SharedStep;
use crate::step::Step;
use sinkattn_sys as sys;
use std::alloc::Layout;
use std::fmt;
use std::ptr;
use std::sync::Arc;

/// Sequences that share a model's layers, memory and one workspace. The memory is released when the pool and all its
/// sequences have been dropped. A clone is another handle of the same pool.
#[derive(Clone)]
pub struct Pool {
    home: Arc<Home>,
}

/// Facts of a pool and of a kv head's lane: `sa_pool_facts`.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // sinkattn.h is the manual of each field
pub struct PoolFacts {
    pub n_sequences: u32,
    pub n_open: u32,
    pub pool_size: u64,
    pub tiles: u64,
    pub tiles_free: u64,
    pub tile_size: u64,
}

/// Why a batch was refused; no step of it has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchError {
    /// The step that was refused, or `None`: the batch itself.
    pub index: Option<usize>,
    /// Why.
    pub error: Error,
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(f, "step {index}: {}", self.error),
            None => self.error.fmt(f),
        }
    }
}

impl std::error::Error for BatchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl Pool {
    /// A pool of `config.n_sequences` sequences, none of them open, in one block of Rust's allocator.
    pub fn new(config: &Config) -> Result<Pool> {
        let home = Home::make(config, |block, size, c, pool| {
            // SAFETY: the block is as large and aligned as the library said of this config.
            unsafe { sys::sa_pool_init(block, size, c, pool) }
        })?;
        Ok(Pool { home: Arc::new(home) })
    }

    /// The one block that a pool of this config takes, all it will ever take.
    pub fn layout(config: &Config) -> Result<Layout> {
        config.with_native(None, Home::layout)
    }

    /// Opens an empty sequence.
    pub fn open(&self) -> Result<Cache> {
        let turn = self.home.turn();
        let mut to = ptr::null_mut();
        // SAFETY: the pool lives in this home, and the output is there.
        let status = unsafe { sys::sa_pool_open(self.home.pool, &mut to) };
        self.said(status)?;
        drop(turn);
        // SAFETY: the library has just opened it, in the same block.
        Ok(unsafe { Cache::of(Arc::clone(&self.home), to) })
    }

    /// One step for each of several sequences, all in the same layer; the work is spread evenly over the workers.
    pub fn batch(&self, steps: &mut [(&mut Cache, Step<'_>)]) -> std::result::Result<(), BatchError> {
        let b = self.native(steps)?;
        let turn = self.home.turn();
        let mut failed = -1;
        // SAFETY: as many pointers as steps, all of this pool, to arguments that are checked and borrowed by `steps`.
        let status =
            unsafe { sys::sa_batch(self.home.pool, b.n, b.caches.as_ptr(), b.pointers().as_ptr(), &mut failed) };
        let result = self.said_of(status, failed);
        drop(turn);
        self.home.rethrow();
        result
    }

    /// Whether all of them could append so many tokens now, in every layer; if not, the error says which could not.
    pub fn can_append(&self, needs: &[(&Cache, u32)]) -> std::result::Result<(), BatchError> {
        let mut caches = Vec::with_capacity(needs.len());
        for (i, (cache, _)) in needs.iter().enumerate() {
            if !Arc::ptr_eq(cache.home(), &self.home) {
                return Err(BatchError { index: Some(i), error: ELSEWHERE });
            }
            caches.push(cache.native());
        }
        let tokens: Vec<i32> = needs.iter().map(|&(_, n)| i32::try_from(n).unwrap_or(i32::MAX)).collect();
        let n = i32::try_from(needs.len()).unwrap_or(i32::MAX);
        let turn = self.home.turn();
        let mut failed = -1;
        // SAFETY: as many pointers and numbers as are said, or more than the library takes.
        let status =
            unsafe { sys::sa_pool_can_append(self.home.pool, n, caches.as_ptr(), tokens.as_ptr(), &mut failed) };
        let result = self.said_of(status, failed);
        drop(turn);
        result
    }

    /// Begins a batch that `count` threads of the host process together. Needs `Config::cooperative`.
    pub fn begin<'a>(
        &'a self,
        steps: &'a mut [(&'a mut Cache, Step<'a>)],
        count: u32,
    ) -> std::result::Result<SharedStep<'a>, BatchError> {
        let b = self.native(steps)?;
        let turn = self.home.turn();
        let (mut failed, mut phases, pointers) = (-1, 0, b.pointers());
        // SAFETY: as in `batch`; the returned value keeps the borrow, and the turn.
        let status = unsafe {
            sys::sa_batch_begin(self.home.pool, b.n, b.caches.as_ptr(), pointers.as_ptr(), &mut phases, &mut failed)
        };
        self.said_of(status, failed)?;
        Ok(SharedStep::of_pool(turn, self.home.pool, phases, count))
    }

    /// Facts of the pool, and of the kv heads that keep the same tokens as this one.
    pub fn info(&self, layer: u32, kv_head: u32) -> Result<PoolFacts> {
        // SAFETY: numbers, for which zero is a value.
        let mut f: sys::sa_pool_facts = unsafe { std::mem::zeroed() };
        f.struct_size = size_of::<sys::sa_pool_facts>() as u32;
        let number = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
        let turn = self.home.turn();
        // SAFETY: the output is there, and says how large it is.
        plain(unsafe { sys::sa_pool_info(self.home.pool, number(layer), number(kv_head), &mut f) })?;
        drop(turn);
        Ok(PoolFacts {
            n_sequences: f.n_sequences as u32,
            n_open: f.n_open as u32,
            pool_size: f.pool_size,
            tiles: f.tiles,
            tiles_free: f.tiles_free,
            tile_size: f.tile_size,
        })
    }

    /// For those who have the turn.
    fn said(&self, status: sys::sa_status) -> Result<()> {
        if status == sys::SA_SUCCESS {
            return Ok(());
        }
        // SAFETY: the pool lives in this home; the sentence is a constant string.
        Err(Error::of(status, unsafe { sentence(sys::sa_pool_error(self.home.pool)) }))
    }

    fn said_of(&self, status: sys::sa_status, failed: i32) -> std::result::Result<(), BatchError> {
        self.said(status).map_err(|error| BatchError { index: usize::try_from(failed).ok(), error })
    }

    fn native(&self, steps: &mut [(&mut Cache, Step<'_>)]) -> std::result::Result<NativeBatch, BatchError> {
        let Ok(n) = i32::try_from(steps.len()) else {
            return Err(BatchError { index: None, error: Error::Argument("the batch has more than 2^31 - 1 steps") });
        };
        let mut b = NativeBatch { n, caches: Vec::with_capacity(steps.len()), args: Vec::with_capacity(steps.len()) };
        for (i, (cache, step)) in steps.iter_mut().enumerate() {
            let of = |error| BatchError { index: Some(i), error };
            if !Arc::ptr_eq(cache.home(), &self.home) {
                return Err(of(ELSEWHERE));
            }
            b.args.push(step.native(&self.home).map_err(of)?);
            b.caches.push(cache.native());
        }
        Ok(b)
    }
}

const ELSEWHERE: Error = Error::Argument("the cache is not of this pool");

/// A batch as the library reads it.
struct NativeBatch {
    n: i32,
    caches: Vec<*mut sys::sa_cache>,
    args: Vec<sys::sa_step_args>,
}

impl NativeBatch {
    fn pointers(&self) -> Vec<*const sys::sa_step_args> {
        self.args.iter().map(ptr::from_ref).collect()
    }
}
