//! The job of examples/job.c in Rust: 5,000 tokens, a rollback, a fork, a snapshot, a refusal, and the same digest.
//!
//! SPDX-License-Identifier: MIT
#![forbid(unsafe_code)]

use sinkattn::{Cache, Config, DType, Layers, Pool, Position, Result};

const HEADS: usize = 8;
const KV_HEADS: usize = 2;
const HEAD_DIM: usize = 64;

/// Draws the tokens, and takes the digest of what comes out.
struct Stream {
    random: u32,
    digest: u64,
    q: [f32; HEADS * HEAD_DIM],
    k: [f32; KV_HEADS * HEAD_DIM],
    v: [f32; KV_HEADS * HEAD_DIM],
    out: [f32; HEADS * HEAD_DIM],
}

fn draw(random: &mut u32, x: &mut [f32]) {
    for f in x {
        *random ^= *random << 13;
        *random ^= *random >> 17;
        *random ^= *random << 5;
        *f = (*random >> 8) as f32 / 8_388_608.0 - 1.0;
    }
}

impl Stream {
    fn new() -> Self {
        Stream {
            random: 1,
            digest: 0xcbf2_9ce4_8422_2325,
            q: [0.0; HEADS * HEAD_DIM],
            k: [0.0; KV_HEADS * HEAD_DIM],
            v: [0.0; KV_HEADS * HEAD_DIM],
            out: [0.0; HEADS * HEAD_DIM],
        }
    }

    fn feed(&mut self, cache: &mut Cache, n_tokens: usize) -> Result<()> {
        for _ in 0..n_tokens {
            draw(&mut self.random, &mut self.q);
            draw(&mut self.random, &mut self.k);
            draw(&mut self.random, &mut self.v);
            cache.append_attend(0, &self.q, &self.k, &self.v, &mut self.out)?;
            for byte in self.out.iter().flat_map(|f| f.to_le_bytes()) {
                self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
            }
        }
        Ok(())
    }
}

fn main() -> Result<()> {
    let config = Config {
        max_append: 1,
        rollback: 32,
        n_kv_heads: KV_HEADS as u32,
        n_sink: 4,
        k_dtype: Some(DType::F16),
        v_dtype: Some(DType::F16),
        n_sequences: 2,
        ..Config::new(1, HEADS as u32, HEAD_DIM as u32, 252, Position::Rope)
    };
    let mut tokens = Stream::new();
    let pool = Pool::new(&config)?;
    let mut a = pool.open()?;
    tokens.feed(&mut a, 3000)?;
    a.rollback(Layers::All, 20)?;
    tokens.feed(&mut a, 20)?;
    {
        let mut fork = a.fork()?;
        tokens.feed(&mut fork, 500)?; // a does not see these
    }
    tokens.feed(&mut a, 1000)?;
    let mut b = pool.open()?;
    b.load(&a.save(0)?)?;
    drop(a);
    tokens.feed(&mut b, 480)?;
    match b.append(7, &tokens.k, &tokens.v) {
        Err(error) => println!("refused: {error}"),
        Ok(()) => println!("refused: nothing"),
    }
    println!("digest {:016x}", tokens.digest);
    Ok(())
}
