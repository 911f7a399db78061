//! What the tests share: a small config, and tokens that can be had anew.
//!
//! SPDX-License-Identifier: MIT
#![allow(dead_code)] // not every test uses all

use sinkattn::{Cache, Config, Position, Result, Step};

pub const HEADS: usize = 4;
pub const KV_HEADS: usize = 2;
pub const DIM: usize = 16;
pub const WINDOW: usize = 40;

pub fn small() -> Config {
    Config {
        max_append: 16,
        rollback: 16,
        n_kv_heads: KV_HEADS as u32,
        n_sink: 4,
        ..Config::new(1, HEADS as u32, DIM as u32, WINDOW as u32, Position::Rope)
    }
}

pub struct Tokens {
    pub q: Vec<f32>,
    pub k: Vec<f32>,
    pub v: Vec<f32>,
    pub out: Vec<f32>,
}

fn draw(n: usize, seed: u32) -> Vec<f32> {
    let mut x = seed.wrapping_mul(2_654_435_761).wrapping_add(12345);
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        (x >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

impl Tokens {
    pub fn new(n: usize, seed: u32) -> Self {
        Tokens {
            q: draw(n * HEADS * DIM, seed),
            k: draw(n * KV_HEADS * DIM, seed + 1),
            v: draw(n * KV_HEADS * DIM, seed + 2),
            out: vec![9.0; n * HEADS * DIM],
        }
    }
    pub fn feed(&mut self, cache: &mut Cache) -> Result<()> {
        cache.append_attend(0, &self.q, &self.k, &self.v, &mut self.out)
    }
    pub fn step(&mut self) -> Step<'_> {
        Step::new(0).q(&self.q).k(&self.k).v(&self.v).out(&mut self.out)
    }
}

/// What the next token would get.
pub fn next(cache: &mut Cache) -> Vec<f32> {
    let mut t = Tokens::new(1, 77);
    cache.step(Step::new(0).q(&t.q).out(&mut t.out)).unwrap();
    t.out
}
