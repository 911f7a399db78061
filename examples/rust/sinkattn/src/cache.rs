//! A sequence: a cache of its own, or one of a pool.
//!
//! SPDX-License-Identifier: MIT
use crate::config::{Config, Isa};
use crate::error::{plain, sentence, Error, Result};
use crate::home::Home;
use crate::shared::SharedStep;
use crate::step::{Read, Rows, Step};
use crate::tensor::{Tensor, TensorMut};
use sinkattn_sys as sys;
use std::alloc::Layout;
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::sync::Arc;

/// A sequence: a cache of its own, or one of a [`crate::Pool`], whose memory it shares. It closes when it is dropped;
/// [`Cache::fork`] is what a clone would be, and may be refused.
///
/// A tensor that is written is borrowed alone:
///
/// ```compile_fail
/// # use sinkattn::*;
/// # let mut cache = Cache::new(&Config::new(1, 1, 4, 8, Position::None)).unwrap();
/// let mut x = [0.0f32; 4];
/// cache.append_attend(0, &x, &x, &x, &mut x);
/// ```
pub struct Cache {
    home: Arc<Home>,
    native: NonNull<sys::sa_cache>,
}

// SAFETY: the sequence is this value's alone, and whoever calls the library on it has the turn of its home.
unsafe impl Send for Cache {}
// SAFETY: also calls with a shared reference take the turn.
unsafe impl Sync for Cache {}

/// In place of the end of a range of positions: the newest token of each layer meant is its last.
pub const END: u64 = sys::SA_END;

/// Which layers a call changes: one (`3.into()`), or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layers {
    /// All of them.
    All,
    /// This one.
    One(u32),
}

impl From<u32> for Layers {
    fn from(layer: u32) -> Self {
        Layers::One(layer)
    }
}

impl Layers {
    /// A number that is no layer's is none in the library either.
    fn native(self) -> i32 {
        match self {
            Layers::All => sys::SA_ALL_LAYERS,
            Layers::One(layer) => i32::try_from(layer).unwrap_or(i32::MAX),
        }
    }
}

/// What becomes of the positions of a removed range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// Later tokens count as if the range had never come.
    Close,
    /// Its positions go on counting.
    Keep,
}

/// Why the tokens of a span are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// As long as the window, or rollback, needs them.
    Window,
    /// For ever.
    Sink,
    /// Until they are unpinned.
    Pin,
}

/// A run of stream positions that a layer holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The positions.
    pub positions: Range<u64>,
    /// Removed positions before it, whose gaps were closed.
    pub shift: u64,
    /// Why it is held.
    pub kind: SpanKind,
    /// The positions count, but hold no token.
    pub masked: bool,
}

/// Facts of a layer, and of its cache: `sa_cache_facts`.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // sinkattn.h is the manual of each field
pub struct Facts {
    pub isa: Isa,
    pub tokens_seen: u64,
    pub tokens_held: u64,
    pub positions_held: u64,
    pub rollback_now: u64,
    pub cache_size: u64,
    pub kv_size: u64,
    pub n_threads: u32,
    pub max_append: u32,
    pub n_lanes: u32,
    pub n_draft: u32,
    pub rows_used: u64,
    pub keys_in_front: u64,
    pub keys_most: u64,
}

impl Cache {
    /// A cache of its own, in one block of Rust's allocator.
    pub fn new(config: &Config) -> Result<Cache> {
        if config.n_sequences > 1 {
            let sentence = "n_sequences must be 0 or 1 for a cache of its own: more are a pool's";
            return Err(Error::Config { sentence, layer: None });
        }
        let mut native = ptr::null_mut();
        let home = Home::make(config, |block, size, c, _pool| {
            // SAFETY: the block is as large and aligned as the library said of this config.
            unsafe { sys::sa_cache_init(block, size, c, &mut native) }
        })?;
        // SAFETY: just made, in the block of this home.
        Ok(unsafe { Cache::of(Arc::new(home), native) })
    }

    /// The one block that a cache of this config takes, all it will ever take.
    pub fn layout(config: &Config) -> Result<Layout> {
        config.with_native(None, Home::layout)
    }

    /// # Safety
    /// `native` is an open sequence in the home's block, and nobody else's.
    pub(crate) unsafe fn of(home: Arc<Home>, native: *mut sys::sa_cache) -> Cache {
        Cache { home, native: NonNull::new(native).expect("the library gives a sequence with success") }
    }

    pub(crate) fn home(&self) -> &Arc<Home> {
        &self.home
    }

    pub(crate) fn native(&self) -> *mut sys::sa_cache {
        self.native.as_ptr()
    }

    /// Calls the library, whose reason for a refusal is in the cache.
    fn call(&self, f: impl FnOnce(*mut sys::sa_cache) -> sys::sa_status) -> Result<()> {
        let turn = self.home.turn();
        let result = self.said(f(self.native.as_ptr()));
        drop(turn);
        self.home.rethrow();
        result
    }

    /// For those who have the turn.
    fn said(&self, status: sys::sa_status) -> Result<()> {
        if status == sys::SA_SUCCESS {
            return Ok(());
        }
        // SAFETY: the sequence is open; the sentence is a constant string.
        Err(Error::of(status, unsafe { sentence(sys::sa_cache_error(self.native.as_ptr())) }))
    }

    /// Appends the tokens of k and v, which are contiguous.
    pub fn append<'a>(&mut self, layer: u32, k: impl Into<Tensor<'a>>, v: impl Into<Tensor<'a>>) -> Result<()> {
        self.step(Step::new(layer).k(k).v(v))
    }

    /// Attention of the last tokens appended, as many as q has.
    pub fn attend<'a>(&mut self, layer: u32, q: impl Into<Tensor<'a>>, out: impl Into<TensorMut<'a>>) -> Result<()> {
        let q = q.into();
        let n = self.home.shape(layer).and_then(|s| q.parts.tokens(s.n_heads, s.head_dim)).unwrap_or(0);
        self.step(Step::new(layer).q(q).out(out).q_offset(-(n as i64)))
    }

    /// Both in one: any number of tokens.
    pub fn append_attend<'a>(
        &mut self,
        layer: u32,
        q: impl Into<Tensor<'a>>,
        k: impl Into<Tensor<'a>>,
        v: impl Into<Tensor<'a>>,
        out: impl Into<TensorMut<'a>>,
    ) -> Result<()> {
        self.step(Step::new(layer).q(q).k(k).v(v).out(out))
    }

    /// The general call.
    pub fn step(&mut self, mut step: Step<'_>) -> Result<()> {
        let native = step.native(&self.home)?;
        // SAFETY: all lengths are checked, and `step` borrows what the pointers refer to.
        self.call(|c| unsafe { sys::sa_step(c, &native) })
    }

    /// Begins a step that `count` threads of the host process together. Needs `Config::cooperative`.
    pub fn begin<'a>(&'a mut self, mut step: Step<'a>, count: u32) -> Result<SharedStep<'a>> {
        let native = step.native(&self.home)?;
        let turn = self.home.turn();
        let mut phases = 0;
        // SAFETY: as in `step`; the returned value keeps the borrow, and the turn.
        self.said(unsafe { sys::sa_step_begin(self.native.as_ptr(), &native, &mut phases) })?;
        Ok(SharedStep::of_cache(turn, self.native.as_ptr(), phases, count))
    }

    /// Forgets the tokens of the stream.
    pub fn reset(&mut self, layers: impl Into<Layers>) -> Result<()> {
        let layer = layers.into().native();
        // SAFETY: takes numbers.
        self.call(|c| unsafe { sys::sa_cache_reset(c, layer) })
    }

    /// Takes back the newest tokens, as if they had never come.
    pub fn rollback(&mut self, layers: impl Into<Layers>, n_tokens: u64) -> Result<()> {
        let (layer, n) = (layers.into().native(), i64::try_from(n_tokens).unwrap_or(i64::MAX));
        // SAFETY: takes numbers.
        self.call(|c| unsafe { sys::sa_cache_rollback(c, layer, n) })
    }

    /// Jumps ahead to a stream position.
    pub fn seek(&mut self, layers: impl Into<Layers>, position: u64) -> Result<()> {
        let layer = layers.into().native();
        // SAFETY: takes numbers.
        self.call(|c| unsafe { sys::sa_cache_seek(c, layer, position) })
    }

    /// As `seek`, but empties the window in any case.
    pub fn restart(&mut self, layers: impl Into<Layers>, position: u64) -> Result<()> {
        let layer = layers.into().native();
        // SAFETY: takes numbers.
        self.call(|c| unsafe { sys::sa_cache_restart(c, layer, position) })
    }

    /// Removes the tokens at these positions.
    pub fn remove(&mut self, layers: impl Into<Layers>, positions: Range<u64>, gap: Gap) -> Result<()> {
        let layer = layers.into().native();
        let gap = if gap == Gap::Close { sys::SA_GAP_CLOSE } else { sys::SA_GAP_KEEP };
        // SAFETY: takes numbers.
        self.call(|c| unsafe { sys::sa_cache_remove(c, layer, positions.start, positions.end, gap) })
    }

    /// Pins them: every later query sees them.
    pub fn pin(&mut self, layers: impl Into<Layers>, positions: Range<u64>) -> Result<()> {
        let layer = layers.into().native();
        // SAFETY: takes numbers.
        self.call(|c| unsafe { sys::sa_cache_pin(c, layer, positions.start, positions.end) })
    }

    /// Takes pins back.
    pub fn unpin(&mut self, layers: impl Into<Layers>, positions: Range<u64>) -> Result<()> {
        let layer = layers.into().native();
        // SAFETY: takes numbers.
        self.call(|c| unsafe { sys::sa_cache_unpin(c, layer, positions.start, positions.end) })
    }

    /// Makes them the sinks.
    pub fn anchor(&mut self, layers: impl Into<Layers>, positions: Range<u64>) -> Result<()> {
        let layer = layers.into().native();
        // SAFETY: takes numbers.
        self.call(|c| unsafe { sys::sa_cache_anchor(c, layer, positions.start, positions.end) })
    }

    /// Ends a draft: the nodes of the path become the newest tokens.
    pub fn accept(&mut self, layers: impl Into<Layers>, path: &[i32]) -> Result<()> {
        let (layer, n) = (layers.into().native(), i32::try_from(path.len()).unwrap_or(i32::MAX));
        // SAFETY: `path` has n numbers, or more than the library takes.
        self.call(|c| unsafe { sys::sa_draft_accept(c, layer, n, path.as_ptr()) })
    }

    /// Another sequence of the pool that is the equal of this one; no key or value is copied.
    pub fn fork(&mut self) -> Result<Cache> {
        let mut to = ptr::null_mut();
        // SAFETY: the output is there.
        self.call(|c| unsafe { sys::sa_cache_fork(c, &mut to) })?;
        // SAFETY: the library has just opened it, in the same block.
        Ok(unsafe { Cache::of(Arc::clone(&self.home), to) })
    }

    /// Facts of a layer.
    pub fn info(&self, layer: u32) -> Result<Facts> {
        // SAFETY: numbers, for which zero is a value.
        let mut f: sys::sa_cache_facts = unsafe { std::mem::zeroed() };
        f.struct_size = size_of::<sys::sa_cache_facts>() as u32;
        let turn = self.home.turn();
        // SAFETY: the output is there, and says how large it is.
        plain(unsafe { sys::sa_cache_info(self.native.as_ptr(), Layers::One(layer).native(), &mut f) })?;
        drop(turn);
        Ok(Facts {
            isa: Isa(f.isa),
            tokens_seen: f.tokens_seen,
            tokens_held: f.tokens_held,
            positions_held: f.positions_held,
            rollback_now: f.rollback_now,
            cache_size: f.cache_size,
            kv_size: f.kv_size,
            n_threads: f.n_threads as u32,
            max_append: f.max_append as u32,
            n_lanes: f.n_lanes as u32,
            n_draft: f.n_draft as u32,
            rows_used: f.rows_used,
            keys_in_front: f.keys_in_front,
            keys_most: f.keys_most,
        })
    }

    /// What a kv head of a layer holds, oldest first.
    pub fn spans(&self, layer: u32, kv_head: u32) -> Result<Vec<Span>> {
        let turn = self.home.turn();
        let (c, layer, head) = (self.native.as_ptr(), Layers::One(layer).native(), Layers::One(kv_head).native());
        let mut n = 0;
        // SAFETY: room for none is asked for.
        plain(unsafe { sys::sa_cache_spans(c, layer, head, 0, ptr::null_mut(), &mut n) })?;
        let mut list: Vec<sys::sa_span> = Vec::with_capacity(n as usize);
        // SAFETY: there is room for n, and n of them are written, since nothing has changed in between.
        unsafe {
            plain(sys::sa_cache_spans(c, layer, head, n, list.as_mut_ptr(), &mut n))?;
            list.set_len(n as usize);
        }
        drop(turn);
        Ok(list.iter().map(Span::of).collect())
    }

    /// The stream positions of the tokens that a kv head of a layer holds, oldest first.
    pub fn positions(&self, layer: u32, kv_head: u32) -> Result<Vec<u64>> {
        let _turn = self.home.turn();
        let (c, layer, head) = (self.native.as_ptr(), Layers::One(layer).native(), Layers::One(kv_head).native());
        let mut n = 0;
        // SAFETY: room for none is asked for.
        plain(unsafe { sys::sa_cache_positions(c, layer, head, 0, ptr::null_mut(), &mut n) })?;
        let mut list: Vec<u64> = Vec::with_capacity(n as usize);
        // SAFETY: as in `spans`.
        unsafe {
            plain(sys::sa_cache_positions(c, layer, head, n, list.as_mut_ptr(), &mut n))?;
            list.set_len(n as usize);
        }
        Ok(list)
    }

    /// Reads keys and values of tokens that are held.
    pub fn read(&mut self, mut read: Read<'_>) -> Result<()> {
        let native = read.native(&self.home)?;
        // SAFETY: all lengths are checked, and `read` borrows what the pointers refer to.
        self.call(|c| unsafe { sys::sa_cache_read(c, &native) })
    }

    /// A layer's learned sink rows, (n_sink_kv, n_kv_heads, dims), contiguous, of `Config::io_dtype`.
    pub fn set_sink_kv<'a>(&mut self, layer: u32, k: impl Into<Tensor<'a>>, v: impl Into<Tensor<'a>>) -> Result<()> {
        let (k, v) = (k.into().parts, v.into().parts);
        if let Some(s) = self.home.shape(layer) {
            let good = |t: &crate::tensor::Parts, dim| {
                t.dtype == self.home.io && t.strides.is_none() && t.fits(s.n_sink_kv, s.n_kv_heads, dim)
            };
            if !good(&k, s.head_dim) || !good(&v, s.v_head_dim) {
                return Err(Error::Argument(
                    "k and v must be contiguous, of config.io_dtype, with n_sink_kv * n_kv_heads rows",
                ));
            }
        }
        // SAFETY: the lengths are checked; of a layer that there is not, nothing is read.
        self.call(|c| unsafe { sys::sa_set_sink_kv(c, Layers::One(layer).native(), k.data(), v.data()) })
    }

    /// Replaces rows of the host.
    pub fn set_rows(&mut self, rows: &Rows<'_>) -> Result<()> {
        let native = rows.native(&self.home)?;
        // SAFETY: all lengths are checked, and `rows` borrows what the pointers refer to.
        self.call(|c| unsafe { sys::sa_set_rows(c, &native) })
    }

    /// The bytes that `save` would give now.
    pub fn save_size(&mut self, from: u64) -> Result<usize> {
        let mut size = 0;
        // SAFETY: the output is there.
        self.call(|c| unsafe { sys::sa_cache_save_size(c, from, &mut size) })?;
        Ok(size)
    }

    /// A snapshot of the tokens at positions `from` and later; 0: all.
    pub fn save(&mut self, from: u64) -> Result<Vec<u8>> {
        let mut to = vec![0; self.save_size(from)?];
        let written = self.save_into(from, &mut to)?;
        to.truncate(written);
        Ok(to)
    }

    /// The same into a slice; gives the length.
    pub fn save_into(&mut self, from: u64, to: &mut [u8]) -> Result<usize> {
        let mut written = 0;
        // SAFETY: the slice is as long as is said.
        self.call(|c| unsafe { sys::sa_cache_save(c, from, to.as_mut_ptr().cast(), to.len(), &mut written) })?;
        Ok(written)
    }

    /// Makes this sequence what it was when the snapshot was saved. The data need not be trusted.
    pub fn load(&mut self, snapshot: &[u8]) -> Result<()> {
        // SAFETY: the slice is as long as is said.
        self.call(|c| unsafe { sys::sa_cache_load(c, snapshot.as_ptr().cast(), snapshot.len()) })
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        let _turn = self.home.turn();
        // SAFETY: nobody else has this sequence.
        unsafe { sys::sa_cache_destroy(self.native.as_ptr()) };
    }
}

impl Span {
    fn of(s: &sys::sa_span) -> Span {
        let kind = match s.kind {
            sys::SA_SPAN_SINK => SpanKind::Sink,
            sys::SA_SPAN_PIN => SpanKind::Pin,
            _ => SpanKind::Window,
        };
        Span { positions: s.from..s.end, shift: s.shift, kind, masked: s.masked != 0 }
    }
}
