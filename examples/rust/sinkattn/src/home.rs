//! What the sequences of a pool share: one block of memory, the shapes of the layers, and whose turn it is.
//!
//! SPDX-License-Identifier: MIT
use crate::config::{check_native, Config, DType};
use crate::error::{plain, Error, Result};
use crate::executor::Running;
use sinkattn_sys as sys;
use std::alloc::{alloc, dealloc, Layout};
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the lengths of a layer's tensors follow from.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub n_heads: usize,
    pub n_kv_heads: usize,
    pub head_dim: usize,
    pub v_head_dim: usize,
    pub n_sink_kv: usize,
}

impl Shape {
    fn of(c: &Config) -> Shape {
        let or = |n: u32, default: u32| if n == 0 { default as usize } else { n as usize };
        Shape {
            n_heads: c.n_heads as usize,
            n_kv_heads: or(c.n_kv_heads, c.n_heads),
            head_dim: c.head_dim as usize,
            v_head_dim: or(c.v_head_dim, c.head_dim),
            n_sink_kv: c.n_sink_kv as usize,
        }
    }

    /// How many kv heads (first, count) are, or all of them.
    pub(crate) fn kv_heads(&self, heads: Option<(u32, u32)>) -> Result<usize> {
        let (first, count) = heads.map_or((0, self.n_kv_heads), |(first, count)| (first as usize, count as usize));
        if count == 0 || first + count > self.n_kv_heads {
            return Err(Error::Argument("first and count must be kv heads that the layer has"));
        }
        Ok(count)
    }
}

/// A block with a pool in it, or with a cache of its own (then `pool` is null).
pub(crate) struct Home {
    block: NonNull<u8>,
    layout: Layout,
    pub pool: *mut sys::sa_pool,
    shapes: Vec<Shape>,
    pub io: DType,
    running: Option<Box<Running>>,
    turn: Mutex<()>,
}

// SAFETY: the block belongs to the home alone, and calls of the library on it are made by whoever has the turn.
unsafe impl Send for Home {}
// SAFETY: likewise.
unsafe impl Sync for Home {}

impl Home {
    /// The bytes that a config takes, and their alignment.
    pub fn layout(native: &sys::sa_config) -> Result<Layout> {
        let (mut size, mut alignment) = (0, 0);
        check_native(native)?;
        // SAFETY: the config and both outputs are there.
        plain(unsafe { sys::sa_pool_size(native, &mut size, &mut alignment) })?;
        Layout::from_size_align(size, alignment)
            .map_err(|_| Error::Overflow("the cache would be larger than memory can be"))
    }

    /// Makes a home by `init(block, size, config)`, which makes a pool or a cache in it and gives its status.
    pub fn make(
        config: &Config,
        init: impl FnOnce(*mut c_void, usize, &sys::sa_config, &mut *mut sys::sa_pool) -> sys::sa_status,
    ) -> Result<Home> {
        let running = config.executor.clone().map(Running::new);
        let (block, layout, pool) = config.with_native(running.as_ref().map(|r| r.native()), |native| {
            let layout = Home::layout(native)?;
            // SAFETY: the library's sizes are never 0.
            let block =
                NonNull::new(unsafe { alloc(layout) }).ok_or(Error::Memory("the allocator returned no memory"))?;
            let mut pool = std::ptr::null_mut();
            let status = init(block.as_ptr().cast(), layout.size(), native, &mut pool);
            if status != sys::SA_SUCCESS {
                // SAFETY: from just above, and nothing lies in it.
                unsafe { dealloc(block.as_ptr(), layout) };
                check_native(native)?;
                plain(status)?;
            }
            Ok((block, layout, pool))
        })?;
        let shapes = (0..config.n_layers as usize)
            .map(|l| Shape::of(config.layers.get(l).and_then(Option::as_ref).unwrap_or(config)))
            .collect();
        let io = config.io_dtype.unwrap_or(DType::F32);
        Ok(Home { block, layout, pool, shapes, io, running, turn: Mutex::new(()) })
    }

    pub fn shape(&self, layer: u32) -> Option<Shape> {
        self.shapes.get(layer as usize).copied()
    }

    /// The right to call the library on this block. (After a panic the block is as any call leaves it: in order.)
    pub fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After a call of the library: goes on with a panic of the executor, if there was one.
    pub fn rethrow(&self) {
        if let Some(running) = &self.running {
            running.rethrow();
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // SAFETY: nothing refers to the block any more; a pool in a host's block frees nothing itself, null is allowed.
        unsafe {
            sys::sa_pool_destroy(self.pool);
            dealloc(self.block.as_ptr(), self.layout);
        }
    }
}
