//! sinkattn as a [`CompressedKVCache`], the trait by which mistral.rs takes a cache.
//!
//! SPDX-License-Identifier: MIT
//!
//! `decode` computes attention itself ([`DecodeOutput::Fused`]): each new token sees the sinks and its window, for ever,
//! and no key is copied. `prefill` leaves attention to the engine, as the trait wants it, and hands out the keys and
//! values that the chunk's first token sees, then the chunk's own. That is exact as long as a layer has seen no more
//! than `n_sink + window` tokens. A longer prompt is best fed in chunks below the window: the engine's causal mask does
//! not end a window, so later tokens of a chunk see somewhat more than theirs, and sinks stand as near to all of a chunk
//! as to its last token.
//!
//! Tensors are (batch, heads, tokens, dims) of f32, f16 or bf16. On the CPU they are read where they lie.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

use candle_core::{bail, CpuStorage, DType, Device, Error, Layout, Result, Storage, StorageRef, Tensor, WithDType};
use mistralrs_kv_cache::{AttendConfig, CompressedKVCache, DecodeOutput, DequantResult};
use sinkattn::{Cache, Config, Element, KeyForm, Layers, Pool, Position, Read, Step};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A cache for some number of sequences that go in step.
pub struct SinkCache {
    pool: Pool,
    rows: Mutex<Vec<Cache>>,
    config: Config,
}

impl SinkCache {
    /// For `batch` sequences. mistral.rs rotates before it caches: `config.position` is [`Position::RopeApplied`], or one
    /// without rotation. All layers have the config's own shape.
    pub fn new(config: Config, batch: u32) -> Result<SinkCache> {
        if config.position == Position::Rope || !config.layers.is_empty() {
            bail!("config.position must not be Rope, since the engine rotates, and config.layers must be empty");
        }
        let config = Config { n_sequences: batch, ..config };
        let pool = Pool::new(&config).map_err(Error::wrap)?;
        let rows = (0..batch).map(|_| pool.open()).collect::<sinkattn::Result<_>>().map_err(Error::wrap)?;
        Ok(SinkCache { pool, rows: Mutex::new(rows), config })
    }

    /// How many tokens a layer has seen: where the engine's next token stands.
    pub fn tokens_seen(&self, layer: usize) -> u64 {
        self.facts(layer).map_or(0, |f| f.tokens_seen)
    }

    fn rows(&self) -> MutexGuard<'_, Vec<Cache>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn facts(&self, layer: usize) -> Option<sinkattn::Facts> {
        self.rows().first()?.info(number(layer)).ok()
    }

    fn n_kv_heads(&self) -> usize {
        if self.config.n_kv_heads == 0 {
            self.config.n_heads as usize
        } else {
            self.config.n_kv_heads as usize
        }
    }

    fn v_head_dim(&self) -> usize {
        if self.config.v_head_dim == 0 {
            self.config.head_dim as usize
        } else {
            self.config.v_head_dim as usize
        }
    }

    /// What the engine would compute must be what the config says.
    fn check(&self, attend: &AttendConfig) -> Result<()> {
        let usual = 1.0 / (self.config.head_dim as f32).sqrt();
        let scale = if self.config.scale == 0.0 { usual } else { self.config.scale };
        if (attend.softmax_scale - scale).abs() > 1e-5 * scale {
            bail!("softmax_scale is {}, but the cache was made for {scale}", attend.softmax_scale);
        }
        if attend.n_kv_groups * self.n_kv_heads() != self.config.n_heads as usize {
            bail!("n_kv_groups is {}, but n_heads / n_kv_heads is not", attend.n_kv_groups);
        }
        Ok(())
    }

    /// The sequences, if there are as many as a tensor's batch.
    fn rows_for(&self, t: &Tensor) -> Result<MutexGuard<'_, Vec<Cache>>> {
        let (batch, _, n, _) = t.dims4()?;
        let rows = self.rows();
        if rows.len() != batch || batch == 0 || n == 0 {
            bail!("the batch has {batch} sequences of {n} tokens, the cache {} sequences", rows.len());
        }
        Ok(rows)
    }

    fn lend_kv<'a>(&self, k: &'a Tensor, v: &'a Tensor) -> Result<(Lent<'a>, Lent<'a>)> {
        let (batch, _, n, _) = k.dims4()?;
        let of = |t, name, dim| Lent::of(t, name, [batch, self.n_kv_heads(), n, dim]);
        Ok((of(k, "k", self.config.head_dim as usize)?, of(v, "v", self.v_head_dim())?))
    }

    fn decode_as<T: Value>(&self, layer: usize, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
        let mut rows = self.rows_for(k)?;
        let (batch, n, heads, dim) = (k.dim(0)?, k.dim(2)?, self.config.n_heads as usize, self.v_head_dim());
        let (k, v) = self.lend_kv(k, v)?;
        let q = Lent::of(q, "q", [batch, heads, n, self.config.head_dim as usize])?;
        let mut out = vec![T::default(); batch * heads * n * dim];
        let outs = out.chunks_mut(heads * n * dim);
        let mut steps = Vec::with_capacity(batch);
        for (b, (cache, out)) in rows.iter_mut().zip(outs).enumerate() {
            let out = sinkattn::TensorMut::from(out).strides(dim as isize, (n * dim) as isize, 0);
            let step = Step::new(number(layer)).n_tokens(n as u32).out(out);
            steps.push((cache, step.q(q.row::<T>(b)?).k(k.row::<T>(b)?).v(v.row::<T>(b)?)));
        }
        self.pool.batch(&mut steps).map_err(Error::wrap)?;
        Tensor::from_vec(out, (batch, heads, n, dim), &Device::Cpu)
    }

    fn prefill_as<T: Value>(&self, layer: usize, k: &Tensor, v: &Tensor) -> Result<DequantResult> {
        let mut rows = self.rows_for(k)?;
        let n = k.dim(2)?;
        let (lent_k, lent_v) = self.lend_kv(k, v)?;
        let before: Vec<_> = rows.iter_mut().map(|c| self.visible(c, layer, n)).collect::<Result<_>>()?;
        let mut steps = Vec::with_capacity(rows.len());
        for (b, cache) in rows.iter_mut().enumerate() {
            let step = Step::new(number(layer)).n_tokens(n as u32);
            steps.push((cache, step.k(lent_k.row::<T>(b)?).v(lent_v.row::<T>(b)?)));
        }
        self.pool.batch(&mut steps).map_err(Error::wrap)?;
        let (old_k, old_v): (Vec<_>, Vec<_>) = before.into_iter().unzip();
        Ok(DequantResult { k: join(&old_k, k)?, v: join(&old_v, v)?, logit_bias: None })
    }

    /// The keys and values that the next token sees, (kv heads, tokens, dims); sinks as far away as the last of n tokens
    /// will have them.
    fn visible(&self, cache: &mut Cache, layer: usize, n: usize) -> Result<(Tensor, Tensor)> {
        let layer = number(layer);
        let (sinks, window) = (u64::from(self.config.n_sink), u64::from(self.config.window));
        let next = cache.info(layer).map_err(Error::wrap)?.tokens_seen;
        let last = (next + n as u64).saturating_sub(1);
        let sees = |&p: &u64| p < sinks || p + window > next;
        let positions: Vec<u64> = cache.positions(layer, 0).map_err(Error::wrap)?.into_iter().filter(sees).collect();
        let behind = last.saturating_sub(sinks + window - 1);
        let places: Vec<i64> = positions.iter().map(|&p| if p < sinks { p + behind } else { p } as i64).collect();
        let (heads, held) = (self.n_kv_heads(), positions.len());
        let (k_dim, v_dim) = (self.config.head_dim as usize, self.v_head_dim());
        let (mut k, mut v) = (vec![0f32; held * heads * k_dim], vec![0f32; held * heads * v_dim]);
        if held > 0 {
            let read = Read::new(layer, &positions).form(KeyForm::AtPlace(&places));
            cache.read(read.k(&mut k).v(&mut v)).map_err(Error::wrap)?;
        }
        let shaped = |x: Vec<f32>, dim| Tensor::from_vec(x, (held, heads, dim), &Device::Cpu)?.transpose(0, 1);
        Ok((shaped(k, k_dim)?, shaped(v, v_dim)?))
    }
}

impl CompressedKVCache for SinkCache {
    fn prefill(&self, layer: usize, k: &Tensor, v: &Tensor, _q: &Tensor) -> Result<DequantResult> {
        let device = k.device().clone();
        let (k, v) = (on_cpu(k)?, on_cpu(v)?);
        let r = match k.dtype() {
            DType::F32 => self.prefill_as::<f32>(layer, &k, &v)?,
            DType::F16 => self.prefill_as::<half::f16>(layer, &k, &v)?,
            DType::BF16 => self.prefill_as::<half::bf16>(layer, &k, &v)?,
            other => bail!("keys and values of {other:?} are not supported: f32, f16 and bf16 are"),
        };
        Ok(DequantResult { k: r.k.to_device(&device)?, v: r.v.to_device(&device)?, logit_bias: None })
    }

    fn decode(&self, layer: usize, k: &Tensor, v: &Tensor, q: &Tensor, config: &AttendConfig) -> Result<DecodeOutput> {
        self.check(config)?;
        let device = q.device().clone();
        let (q, k, v) = (on_cpu(q)?, on_cpu(k)?, on_cpu(v)?);
        let out = match q.dtype() {
            DType::F32 => self.decode_as::<f32>(layer, &q, &k, &v)?,
            DType::F16 => self.decode_as::<half::f16>(layer, &q, &k, &v)?,
            DType::BF16 => self.decode_as::<half::bf16>(layer, &q, &k, &v)?,
            other => bail!("queries of {other:?} are not supported: f32, f16 and bf16 are"),
        };
        Ok(DecodeOutput::Fused(out.to_device(&device)?))
    }

    fn seq_len(&self, layer: usize) -> usize {
        self.facts(layer).map_or(0, |f| f.positions_held as usize)
    }

    fn reset(&self) -> Result<()> {
        self.rows().iter_mut().try_for_each(|cache| cache.reset(Layers::All)).map_err(Error::wrap)
    }

    fn memory_usage(&self) -> usize {
        self.pool.info(0, 0).map_or(0, |f| f.pool_size as usize)
    }
}

/// What a layer held, each sequence (heads, tokens, dims), and the chunk behind it.
fn join(old: &[Tensor], new: &Tensor) -> Result<Tensor> {
    if old[0].dim(1)? == 0 {
        return Ok(new.clone());
    }
    Tensor::cat(&[&Tensor::stack(old, 0)?.to_dtype(new.dtype())?, new], 2)
}

/// An element type of both libraries.
trait Value: Element + WithDType + Default {}
impl Value for f32 {}
impl Value for half::f16 {}
impl Value for half::bf16 {}

/// A layer that there is not, the library refuses.
fn number(layer: usize) -> u32 {
    u32::try_from(layer).unwrap_or(u32::MAX)
}

/// On the CPU, with the dims of a head side by side.
fn on_cpu(t: &Tensor) -> Result<Tensor> {
    let t = t.to_device(&Device::Cpu)?;
    if t.rank() == 4 && t.stride()[3] == 1 {
        Ok(t)
    } else {
        t.contiguous()
    }
}

/// A tensor of candle, held so that its elements can be lent.
struct Lent<'a> {
    storage: StorageRef<'a>,
    layout: &'a Layout,
}

impl<'a> Lent<'a> {
    fn of(t: &'a Tensor, name: &str, dims: [usize; 4]) -> Result<Self> {
        if t.dims() != dims.as_slice() {
            bail!("{name} is {:?}, not (batch, heads, tokens, dims) = {dims:?}", t.dims());
        }
        let (storage, layout) = t.storage_and_layout();
        Ok(Lent { storage, layout })
    }

    /// One sequence of the batch: (heads, tokens, dims), as the library's (tokens, heads, dims).
    fn row<T: Value>(&self, b: usize) -> Result<sinkattn::Tensor<'_>> {
        let Storage::Cpu(storage) = &*self.storage else { bail!("the tensor is not on the CPU") };
        let elements: &[T] = CpuStorage::as_slice(storage)?;
        let strides = self.layout.stride();
        let first = self.layout.start_offset() + b * strides[0];
        Ok(sinkattn::Tensor::from(elements).strides(strides[2] as isize, strides[1] as isize, first))
    }
}
