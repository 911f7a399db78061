//! The trait's promises, against attention computed by candle.
//!
//! SPDX-License-Identifier: MIT
#![forbid(unsafe_code)]

use candle_core::{DType, Device, IndexOp, Result, Tensor};
use mistralrs_kv_cache::{AttendConfig, CompressedKVCache, DecodeOutput};
use sinkattn::{Config, Position};
use sinkattn_mistralrs::SinkCache;

const HEADS: usize = 4;
const KV_HEADS: usize = 2;
const DIM: usize = 16;
const SINKS: usize = 4;
const WINDOW: usize = 28;

fn config() -> Config {
    Config {
        n_kv_heads: KV_HEADS as u32,
        n_sink: SINKS as u32,
        max_append: 16,
        ..Config::new(2, HEADS as u32, DIM as u32, WINDOW as u32, Position::None)
    }
}

fn attend() -> AttendConfig {
    AttendConfig { softmax_scale: 1.0 / (DIM as f32).sqrt(), n_kv_groups: HEADS / KV_HEADS }
}

fn random(batch: usize, heads: usize, n: usize) -> Tensor {
    Tensor::rand(-1f32, 1f32, (batch, heads, n, DIM), &Device::Cpu).unwrap()
}

/// Attention of queries (b, h, n, d) over all of k and v, each up to its own token.
fn reference(q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
    let (batch, _, n, _) = q.dims4()?;
    let seen = k.dim(2)?;
    let repeat = |t: &Tensor| -> Result<Tensor> {
        t.unsqueeze(2)?.expand((batch, KV_HEADS, HEADS / KV_HEADS, seen, DIM))?.reshape((batch, HEADS, seen, DIM))
    };
    let logits = (q.matmul(&repeat(k)?.transpose(2, 3)?.contiguous()?)? / (DIM as f64).sqrt())?;
    let mask: Vec<f32> =
        (0..n).flat_map(|i| (0..seen).map(move |u| if u <= seen - n + i { 0.0 } else { f32::NEG_INFINITY })).collect();
    let logits = logits.broadcast_add(&Tensor::from_vec(mask, (1, 1, n, seen), &Device::Cpu)?)?;
    let weights = logits.broadcast_sub(&logits.max_keepdim(3)?)?.exp()?;
    weights.broadcast_div(&weights.sum_keepdim(3)?)?.matmul(&repeat(v)?)
}

fn close(a: &Tensor, b: &Tensor, bound: f32) {
    let (a, b) = (a.to_dtype(DType::F32).unwrap(), b.to_dtype(DType::F32).unwrap());
    let worst = (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap();
    assert!(worst <= bound, "{worst}");
}

fn fused(output: DecodeOutput) -> Tensor {
    match output {
        DecodeOutput::Fused(out) => out,
        DecodeOutput::Dequantized(_) => panic!("attention is the cache's"),
    }
}

#[test]
fn a_prompt_and_then_token_by_token() -> Result<()> {
    let (batch, prompt, total) = (2, 10, 100);
    let cache = SinkCache::new(config(), batch as u32)?;
    // (tokens, heads) in memory, as engines have them: read where they lie.
    let k = random(batch, total, KV_HEADS).transpose(1, 2)?;
    let v = random(batch, total, KV_HEADS).transpose(1, 2)?;
    let q = random(batch, total, HEADS).transpose(1, 2)?;
    let first = cache.prefill(0, &k.narrow(2, 0, prompt)?, &v.narrow(2, 0, prompt)?, &q.narrow(2, 0, prompt)?)?;
    close(&first.k, &k.narrow(2, 0, prompt)?, 0.0);
    for t in prompt..total {
        let one = |x: &Tensor| x.narrow(2, t, 1);
        let out = fused(cache.decode(0, &one(&k)?, &one(&v)?, &one(&q)?, &attend())?);
        let seen: Vec<u32> = (0..=t).filter(|&u| u < SINKS || u + WINDOW > t).map(|u| u as u32).collect();
        let index = Tensor::from_vec(seen.clone(), seen.len(), &Device::Cpu)?;
        let visible = |x: &Tensor| x.contiguous()?.index_select(&index, 2);
        close(&out, &reference(&one(&q)?.contiguous()?, &visible(&k)?, &visible(&v)?)?, 2e-6);
        assert_eq!(cache.seq_len(0), seen.len());
    }
    assert_eq!((cache.tokens_seen(0), cache.tokens_seen(1), cache.seq_len(1)), (total as u64, 0, 0));
    cache.reset()?;
    assert_eq!(cache.seq_len(0), 0);
    assert!(cache.memory_usage() > 1000);
    Ok(())
}

/// A prompt in two chunks within the window: what prefill hands out is what attention needs.
#[test]
fn chunks_of_a_prompt() -> Result<()> {
    let cache = SinkCache::new(Config { position: Position::RopeApplied, ..config() }, 1)?;
    let (k, v, q) = (random(1, KV_HEADS, 24), random(1, KV_HEADS, 24), random(1, HEADS, 24));
    cache.prefill(0, &k.narrow(2, 0, 12)?, &v.narrow(2, 0, 12)?, &q)?;
    let second = cache.prefill(0, &k.narrow(2, 12, 12)?, &v.narrow(2, 12, 12)?, &q)?;
    close(&second.k, &k, 0.0);
    close(&second.v, &v, 0.0);
    assert!(second.logit_bias.is_none());
    // Far behind the window: sinks first, then the newest, then the chunk.
    for _ in 0..10 {
        cache.prefill(0, &k.narrow(2, 0, 12)?, &v.narrow(2, 0, 12)?, &q)?;
    }
    let later = cache.prefill(0, &k.narrow(2, 0, 1)?, &v.narrow(2, 0, 1)?, &q)?;
    assert_eq!(later.k.dim(2)?, SINKS + WINDOW);
    close(&later.v.narrow(2, 0, SINKS)?, &v.narrow(2, 0, SINKS)?, 0.0);
    Ok(())
}

#[test]
fn sixteen_bits() -> Result<()> {
    for dtype in [DType::F16, DType::BF16] {
        let cache = SinkCache::new(config(), 1)?;
        let (k, v, q) = (random(1, KV_HEADS, 1), random(1, KV_HEADS, 1), random(1, HEADS, 1));
        let (k, v, q) = (k.to_dtype(dtype)?, v.to_dtype(dtype)?, q.to_dtype(dtype)?);
        let out = fused(cache.decode(0, &k, &v, &q, &attend())?);
        assert_eq!(out.dtype(), dtype);
        close(&out.i((0, 3, 0))?, &v.i((0, 1, 0))?, 0.0); // one token: its own value
    }
    Ok(())
}

#[test]
fn refusals() -> Result<()> {
    let cache = SinkCache::new(config(), 1)?;
    let (k, v, q) = (random(1, KV_HEADS, 1), random(1, KV_HEADS, 1), random(1, HEADS, 1));
    let said = |r: Result<DecodeOutput>| r.err().unwrap().to_string();
    assert!(said(cache.decode(7, &k, &v, &q, &attend())).contains("layer must be"));
    assert!(
        said(cache.decode(0, &k, &v, &q, &AttendConfig { softmax_scale: 1.0, ..attend() })).contains("softmax_scale")
    );
    assert!(said(cache.decode(0, &k, &v, &q, &AttendConfig { n_kv_groups: 1, ..attend() })).contains("n_kv_groups"));
    assert!(said(cache.decode(0, &q, &v, &q, &attend())).starts_with("k is [1, 4, 1, 16]"));
    let two = random(2, KV_HEADS, 1);
    assert!(said(cache.decode(0, &two, &two, &random(2, HEADS, 1), &attend())).contains("sequences"));
    assert!(SinkCache::new(Config { position: Position::Rope, ..config() }, 1).is_err());
    assert!(SinkCache::new(Config { window: 0, ..config() }, 1).err().unwrap().to_string().contains("window"));
    assert_eq!(cache.seq_len(0), 0);
    Ok(())
}
