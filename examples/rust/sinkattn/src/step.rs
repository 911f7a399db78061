//! The arguments of calls. Lengths are checked here, before the library sees a pointer.
//!
//! SPDX-License-Identifier: MIT
use crate::error::{Error, Result};
use crate::home::{Home, Shape};
use crate::tensor::{Parts, Tensor, TensorMut, ABSENT};
use sinkattn_sys as sys;
use std::ptr;

/// What one call does: append (with k and v), attend (with q and out), or both. `sa_step_args`, as a builder:
///
/// ```
/// # use sinkattn::*;
/// # let mut cache = Cache::new(&Config::new(1, 1, 4, 8, Position::None))?;
/// # let (q, k, v, mut out) = ([0.5f32; 4], [0.5f32; 4], [0.5f32; 4], [0.0f32; 4]);
/// let mut lse = [0.0];
/// cache.step(Step::new(0).q(&q).k(&k).v(&v).out(&mut out).lse(&mut lse))?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Default)]
pub struct Step<'a> {
    layer: u32,
    n_tokens: Option<u32>,
    q: Option<Tensor<'a>>,
    k: Option<Tensor<'a>>,
    v: Option<Tensor<'a>>,
    out: Option<TensorMut<'a>>,
    q_offset: i64,
    lse: Option<&'a mut [f32]>,
    sink_mass: Option<&'a mut [f32]>,
    partial: Option<(&'a mut [f32], &'a mut [f32])>,
    view_window: u32,
    view_sinks: i32,
    parents: Option<&'a [i32]>,
    nodes: bool,
    key_mass: Option<&'a mut [f32]>,
    mass_per_head: bool,
    value_norms: Option<&'a mut [f32]>,
    key_stride: usize,
}

impl<'a> Step<'a> {
    /// Nothing, in a layer.
    pub fn new(layer: u32) -> Self {
        Step { layer, ..Step::default() }
    }
    /// How many tokens; without it as many as k has, or q without k, which must be contiguous then.
    #[must_use]
    pub fn n_tokens(mut self, n: u32) -> Self {
        self.n_tokens = Some(n);
        self
    }
    /// Queries (n_tokens, n_heads, head_dim).
    #[must_use]
    pub fn q(mut self, q: impl Into<Tensor<'a>>) -> Self {
        self.q = Some(q.into());
        self
    }
    /// Keys (n_tokens, n_kv_heads, head_dim).
    #[must_use]
    pub fn k(mut self, k: impl Into<Tensor<'a>>) -> Self {
        self.k = Some(k.into());
        self
    }
    /// Values (n_tokens, n_kv_heads, v_head_dim).
    #[must_use]
    pub fn v(mut self, v: impl Into<Tensor<'a>>) -> Self {
        self.v = Some(v.into());
        self
    }
    /// Receives (n_tokens, n_heads, v_head_dim).
    #[must_use]
    pub fn out(mut self, out: impl Into<TensorMut<'a>>) -> Self {
        self.out = Some(out.into());
        self
    }
    /// With q alone, where the first query stands, from the next token on: -n_tokens are the last tokens appended.
    #[must_use]
    pub fn q_offset(mut self, tokens: i64) -> Self {
        self.q_offset = tokens;
        self
    }
    /// Receives the log of the sum of exp(logit), (n_tokens, n_heads).
    #[must_use]
    pub fn lse(mut self, lse: &'a mut [f32]) -> Self {
        self.lse = Some(lse);
        self
    }
    /// Receives the share of the softmax that sinks take, (n_tokens, n_heads).
    #[must_use]
    pub fn sink_mass(mut self, mass: &'a mut [f32]) -> Self {
        self.sink_mass = Some(mass);
        self
    }
    /// Asks for the un-normalised state, (n_tokens, n_heads) each: see [`crate::Partial`].
    #[must_use]
    pub fn partial(mut self, max: &'a mut [f32], sum: &'a mut [f32]) -> Self {
        self.partial = Some((max, sum));
        self
    }
    /// A smaller window for this call.
    #[must_use]
    pub fn view_window(mut self, tokens: u32) -> Self {
        self.view_window = tokens;
        self
    }
    /// Fewer sinks for this call, also none.
    #[must_use]
    pub fn view_sinks(mut self, tokens: u32) -> Self {
        self.view_sinks = if tokens == 0 { -1 } else { i32::try_from(tokens).unwrap_or(i32::MAX) };
        self
    }
    /// The tokens are drafted and not appended: the parent of each (n_tokens).
    #[must_use]
    pub fn parents(mut self, parents: &'a [i32]) -> Self {
        self.parents = Some(parents);
        self
    }
    /// With q alone: the queries are those of the draft's nodes from `first` on.
    #[must_use]
    pub fn nodes(mut self, first: u32) -> Self {
        self.nodes = true;
        self.q_offset = i64::from(first);
        self
    }
    /// Receives what each key weighs, (n_kv_heads, key_stride).
    #[must_use]
    pub fn key_mass(mut self, mass: &'a mut [f32], key_stride: usize) -> Self {
        (self.key_mass, self.key_stride) = (Some(mass), key_stride);
        self
    }
    /// The same for each query head, (n_heads, key_stride).
    #[must_use]
    pub fn key_mass_per_head(mut self, mass: &'a mut [f32], key_stride: usize) -> Self {
        self.mass_per_head = true;
        self.key_mass(mass, key_stride)
    }
    /// Receives the length of each value, (n_kv_heads, key_stride), with the stride of `key_mass`.
    #[must_use]
    pub fn value_norms(mut self, norms: &'a mut [f32], key_stride: usize) -> Self {
        (self.value_norms, self.key_stride) = (Some(norms), key_stride);
        self
    }

    /// As the library reads it. Of a layer that there is not, nothing but its number: the library then says so.
    pub(crate) fn native(&mut self, home: &Home) -> Result<sys::sa_step_args> {
        let mut to = empty();
        to.layer = self.layer as i32;
        let Some(shape) = home.shape(self.layer) else { return Ok(to) };
        let n = self.count(&shape)?;
        self.check_tensors(&shape, n)?;
        self.check_arrays(&shape, n)?;
        to.n_tokens = n as i32;
        to.flags = (if self.nodes { sys::SA_STEP_NODES } else { 0 })
            | (if self.mass_per_head { sys::SA_STEP_MASS_PER_HEAD } else { 0 });
        to.q = read(&self.q, n, shape.n_heads);
        to.k = read(&self.k, n, shape.n_kv_heads);
        to.v = read(&self.v, n, shape.n_kv_heads);
        to.out = written(&self.out, n, shape.n_heads);
        to.q_offset = self.q_offset;
        to.lse = array(&mut self.lse);
        to.sink_mass = array(&mut self.sink_mass);
        if let Some((max, sum)) = &mut self.partial {
            (to.partial_max, to.partial_sum) = (max.as_mut_ptr(), sum.as_mut_ptr());
        }
        to.view_window = self.view_window as i32;
        to.view_sinks = self.view_sinks;
        to.parents = self.parents.map_or(ptr::null(), <[i32]>::as_ptr);
        to.key_mass = array(&mut self.key_mass);
        to.value_norms = array(&mut self.value_norms);
        to.key_stride = i64::try_from(self.key_stride).unwrap_or(i64::MAX);
        Ok(to)
    }

    fn count(&self, shape: &Shape) -> Result<usize> {
        let counted = match (&self.k, &self.q) {
            (Some(k), _) => k.parts.tokens(shape.n_kv_heads, shape.head_dim),
            (None, Some(q)) => q.parts.tokens(shape.n_heads, shape.head_dim),
            (None, None) => Some(0),
        };
        match self.n_tokens.map(|n| n as usize).or(counted) {
            Some(n) if n <= i32::MAX as usize => Ok(n),
            _ => {
                Err(Error::Argument("n_tokens must be given, since k, or q without k, is not a whole number of tokens"))
            }
        }
    }

    fn check_tensors(&self, s: &Shape, n: usize) -> Result<()> {
        let fits = |t: &Option<Tensor>, heads, dim| t.as_ref().map_or(true, |t| t.parts.fits(n, heads, dim));
        if !fits(&self.k, s.n_kv_heads, s.head_dim) {
            return wrong("k must have n_tokens * n_kv_heads * head_dim elements, or strides that stay in its slice");
        }
        if !fits(&self.v, s.n_kv_heads, s.v_head_dim) {
            return wrong("v must have n_tokens * n_kv_heads * v_head_dim elements, or strides that stay in its slice");
        }
        if !fits(&self.q, s.n_heads, s.head_dim) {
            return wrong("q must have n_tokens * n_heads * head_dim elements, or strides that stay in its slice");
        }
        if !self.out.as_ref().map_or(true, |t| t.parts.fits(n, s.n_heads, s.v_head_dim)) {
            return wrong("out must have n_tokens * n_heads * v_head_dim elements, or strides that stay in its slice");
        }
        Ok(())
    }

    fn check_arrays(&self, s: &Shape, n: usize) -> Result<()> {
        let rows = n * s.n_heads;
        let has = |a: &Option<&mut [f32]>| a.as_ref().map_or(true, |a| a.len() == rows);
        if !has(&self.lse) || !has(&self.sink_mass) {
            return wrong("lse and sink_mass must have n_tokens * n_heads elements");
        }
        if self.partial.as_ref().is_some_and(|(max, sum)| max.len() != rows || sum.len() != rows) {
            return wrong("partial_max and partial_sum must have n_tokens * n_heads elements");
        }
        if self.parents.is_some_and(|p| p.len() != n) {
            return wrong("parents must have n_tokens elements");
        }
        let mass_heads = if self.mass_per_head { s.n_heads } else { s.n_kv_heads };
        let keys = |a: &Option<&mut [f32]>, heads| a.as_ref().map_or(true, |a| self.key_stride <= a.len() / heads);
        if !keys(&self.key_mass, mass_heads) || !keys(&self.value_norms, s.n_kv_heads) {
            return wrong("key_mass and value_norms must have key_stride elements for each head");
        }
        Ok(())
    }
}

/// In which form [`Read`] gives keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyForm<'a> {
    /// As they are stored, in f32.
    AsStored,
    /// As `Position::Rope` takes them.
    Unrotated,
    /// Turned from their stream positions to these places, one for each position.
    AtPlace(&'a [i64]),
}

/// What to read out. `sa_read_args`, as a builder.
pub struct Read<'a> {
    layer: u32,
    positions: &'a [u64],
    heads: Option<(u32, u32)>,
    rows: bool,
    form: KeyForm<'a>,
    k: Option<TensorMut<'a>>,
    v: Option<TensorMut<'a>>,
}

impl<'a> Read<'a> {
    /// Tokens at these positions of the stream, of all kv heads, keys as they are stored.
    pub fn new(layer: u32, positions: &'a [u64]) -> Self {
        Read { layer, positions, heads: None, rows: false, form: KeyForm::AsStored, k: None, v: None }
    }
    /// Only these kv heads.
    #[must_use]
    pub fn heads(mut self, first: u32, count: u32) -> Self {
        self.heads = Some((first, count));
        self
    }
    /// Positions are numbers of rows of the host.
    #[must_use]
    pub fn rows(mut self) -> Self {
        self.rows = true;
        self
    }
    /// In which form keys are given.
    #[must_use]
    pub fn form(mut self, form: KeyForm<'a>) -> Self {
        self.form = form;
        self
    }
    /// Receives (positions, heads read, head_dim).
    #[must_use]
    pub fn k(mut self, k: impl Into<TensorMut<'a>>) -> Self {
        self.k = Some(k.into());
        self
    }
    /// Receives (positions, heads read, v_head_dim).
    #[must_use]
    pub fn v(mut self, v: impl Into<TensorMut<'a>>) -> Self {
        self.v = Some(v.into());
        self
    }

    pub(crate) fn native(&mut self, home: &Home) -> Result<sys::sa_read_args> {
        let n = self.positions.len();
        let head = self.heads.map_or(0, |(first, _)| first);
        let (key_form, places) = match self.form {
            KeyForm::AsStored => (sys::SA_KEY_AS_STORED, None),
            KeyForm::Unrotated => (sys::SA_KEY_UNROTATED, None),
            KeyForm::AtPlace(places) => (sys::SA_KEY_AT_PLACE, Some(places)),
        };
        let mut heads = 0;
        if let Some(shape) = home.shape(self.layer) {
            heads = shape.kv_heads(self.heads)?;
            let fits = |t: &Option<TensorMut>, dim| t.as_ref().map_or(true, |t| t.parts.fits(n, heads, dim));
            if !fits(&self.k, shape.head_dim) || !fits(&self.v, shape.v_head_dim) {
                return wrong("k and v must have a row for each position and kv head that is read");
            }
        }
        if n > i32::MAX as usize || places.is_some_and(|p| p.len() != n) {
            return wrong("places must have one element for each position, and there must be fewer than 2^31");
        }
        Ok(sys::sa_read_args {
            struct_size: size_of::<sys::sa_read_args>() as u32,
            flags: if self.rows { sys::SA_READ_ROWS } else { 0 },
            layer: self.layer as i32,
            n_tokens: n as i32,
            kv_head: head as i32,
            n_kv_heads: heads as i32,
            key_form,
            reserved: 0,
            positions: self.positions.as_ptr(),
            k: written(&self.k, n, heads),
            v: written(&self.v, n, heads),
            places: places.map_or(ptr::null(), <[i64]>::as_ptr),
        })
    }
}

/// Rows that are no tokens and that every query sees. `sa_rows`, as a builder.
pub struct Rows<'a> {
    layer: u32,
    first: u32,
    n: u32,
    heads: Option<(u32, u32)>,
    kv: Option<(Tensor<'a>, Tensor<'a>)>,
    places: Option<&'a [i64]>,
    biases: Option<&'a [f32]>,
    at_distance: bool,
}

impl<'a> Rows<'a> {
    /// Takes `n` rows away, from number `first` on.
    pub fn none(layer: u32, first: u32, n: u32) -> Self {
        Rows { layer, first, n, heads: None, kv: None, places: None, biases: None, at_distance: false }
    }
    /// Replaces them: k (n, n_kv_heads, head_dim), v (n, n_kv_heads, v_head_dim).
    pub fn new(layer: u32, first: u32, n: u32, k: impl Into<Tensor<'a>>, v: impl Into<Tensor<'a>>) -> Self {
        Rows { kv: Some((k.into(), v.into())), ..Rows::none(layer, first, n) }
    }
    /// Only these kv heads; others keep their rows. Tensors, places and biases are then of these heads alone.
    #[must_use]
    pub fn heads(mut self, first: u32, count: u32) -> Self {
        self.heads = Some((first, count));
        self
    }
    /// (n, n_kv_heads): where they stand; without it at 0.
    #[must_use]
    pub fn places(mut self, places: &'a [i64]) -> Self {
        self.places = Some(places);
        self
    }
    /// (n, n_kv_heads): what is added to their logits.
    #[must_use]
    pub fn biases(mut self, biases: &'a [f32]) -> Self {
        self.biases = Some(biases);
        self
    }
    /// Places are distances that stay.
    #[must_use]
    pub fn at_distance(mut self) -> Self {
        self.at_distance = true;
        self
    }

    pub(crate) fn native(&self, home: &Home) -> Result<sys::sa_rows> {
        let (n, mut k, mut v) = (self.n as usize, ABSENT, ABSENT);
        let head = self.heads.map_or(0, |(first, _)| first);
        let mut heads = 0;
        if let Some(shape) = home.shape(self.layer) {
            heads = shape.kv_heads(self.heads)?;
            if let Some((from_k, from_v)) = &self.kv {
                let fits = |t: &Parts, dim| t.fits(n, heads, dim);
                if !fits(&from_k.parts, shape.head_dim) || !fits(&from_v.parts, shape.v_head_dim) {
                    return wrong("k and v must have a row for each row and kv head that is replaced");
                }
                (k, v) = (from_k.parts.native(n, heads), from_v.parts.native(n, heads));
            }
            let pairs = n * heads;
            if self.places.is_some_and(|p| p.len() != pairs) || self.biases.is_some_and(|b| b.len() != pairs) {
                return wrong("places and biases must have an element for each row and kv head that is replaced");
            }
        }
        Ok(sys::sa_rows {
            struct_size: size_of::<sys::sa_rows>() as u32,
            flags: if self.at_distance { sys::SA_ROWS_AT_DISTANCE } else { 0 },
            layer: self.layer as i32,
            first: self.first as i32,
            n_rows: self.n as i32,
            kv_head: head as i32,
            n_kv_heads: heads as i32,
            reserved: 0,
            k,
            v,
            places: self.places.map_or(ptr::null(), <[i64]>::as_ptr),
            biases: self.biases.map_or(ptr::null(), <[f32]>::as_ptr),
        })
    }
}

/// A step that does nothing.
fn empty() -> sys::sa_step_args {
    sys::sa_step_args {
        struct_size: size_of::<sys::sa_step_args>() as u32,
        flags: 0,
        layer: 0,
        n_tokens: 0,
        q: ABSENT,
        k: ABSENT,
        v: ABSENT,
        out: ABSENT,
        q_offset: 0,
        lse: ptr::null_mut(),
        sink_mass: ptr::null_mut(),
        partial_max: ptr::null_mut(),
        partial_sum: ptr::null_mut(),
        view_window: 0,
        view_sinks: 0,
        parents: ptr::null(),
        key_mass: ptr::null_mut(),
        value_norms: ptr::null_mut(),
        key_stride: 0,
    }
}

fn wrong<T>(sentence: &'static str) -> Result<T> {
    Err(Error::Argument(sentence))
}

fn read(tensor: &Option<Tensor>, n: usize, heads: usize) -> sys::sa_tensor {
    tensor.as_ref().map_or(ABSENT, |t| t.parts.native(n, heads))
}

fn written(tensor: &Option<TensorMut>, n: usize, heads: usize) -> sys::sa_tensor {
    tensor.as_ref().map_or(ABSENT, |t| t.parts.native(n, heads))
}

fn array(a: &mut Option<&mut [f32]>) -> *mut f32 {
    a.as_mut().map_or(ptr::null_mut(), |a| a.as_mut_ptr())
}
