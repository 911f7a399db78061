//! Pools: lifetimes, threads, batches, executors.
//!
//! SPDX-License-Identifier: MIT
#![forbid(unsafe_code)]

mod common;

use common::{next, small, Tokens};
use sinkattn::{Cache, Config, Error, Executor, Policy, Pool, SharedStep};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

fn pool_of(n_sequences: u32) -> Pool {
    Pool::new(&Config { n_sequences, ..small() }).unwrap()
}

#[test]
fn a_sequence_keeps_the_memory() {
    let pool = pool_of(2);
    let mut a = pool.open().unwrap();
    Tokens::new(50, 1).feed(&mut a).unwrap();
    let mut fork = a.fork().unwrap();
    let full = pool.open().err().unwrap();
    assert!(matches!(full, Error::Pool(_)) && full.to_string().starts_with("all sequences of the pool are open"));
    assert!(matches!(a.fork(), Err(Error::Pool(_))));
    assert_eq!(pool.info(0, 0).unwrap().n_open, 2);
    let (mut more, mut again) = (Tokens::new(3, 9), Tokens::new(3, 9));
    more.feed(&mut fork).unwrap();
    again.feed(&mut a).unwrap();
    assert_eq!(more.out, again.out);
    drop(a);
    assert_eq!(pool.info(0, 0).unwrap().n_open, 1);
    drop(pool);
    more.feed(&mut fork).unwrap();
    assert_eq!(fork.info(0).unwrap().tokens_seen, 56);
}

#[test]
fn all_memory_comes_back() {
    let pool = pool_of(3);
    let free = pool.info(0, 0).unwrap().tiles_free;
    {
        let mut a = pool.open().unwrap();
        Tokens::new(50, 1).feed(&mut a).unwrap();
        let _fork = a.fork().unwrap();
        assert!(pool.info(0, 0).unwrap().tiles_free < free);
    }
    assert_eq!(pool.info(0, 0).unwrap().tiles_free, free);
    assert_eq!(
        pool.info(0, 0).unwrap().pool_size as usize,
        Pool::layout(&Config { n_sequences: 3, ..small() }).unwrap().size()
    );
}

/// Sequences of one pool in many threads: calls wait for each other, and the bits are those of a thread alone.
#[test]
fn sequences_go_to_threads() {
    let pool = pool_of(4);
    let outs: Vec<Vec<f32>> = thread::scope(|s| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let pool = pool.clone();
                s.spawn(move || {
                    let mut cache = pool.open().unwrap();
                    (0..30).for_each(|i| Tokens::new(3, i).feed(&mut cache).unwrap());
                    let out = next(&mut cache);
                    let _fork = cache.fork(); // may find the pool full
                    out
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(outs.iter().all(|out| *out == outs[0]));
    assert_eq!(pool.info(0, 0).unwrap().n_open, 0);
}

#[test]
fn batches_are_single_steps() {
    let pool = pool_of(3);
    let (mut a, mut b) = (pool.open().unwrap(), pool.open().unwrap());
    let mut alone = Cache::new(&small()).unwrap();
    let (mut one, mut two, mut single) = (Tokens::new(5, 1), Tokens::new(9, 2), Tokens::new(9, 2));
    pool.batch(&mut [(&mut a, one.step()), (&mut b, two.step())]).unwrap();
    single.feed(&mut alone).unwrap();
    assert_eq!(two.out, single.out);
    pool.batch(&mut []).unwrap();

    let short = two.step().parents(&[]);
    let refused = pool.batch(&mut [(&mut a, one.step()), (&mut b, short)]).unwrap_err();
    assert_eq!(refused.index, Some(1));
    assert!(refused.to_string().starts_with("step 1: parents"), "{refused}");
    let elsewhere = pool.batch(&mut [(&mut a, one.step()), (&mut alone, two.step())]).unwrap_err();
    assert!(elsewhere.index == Some(1) && elsewhere.error.sentence().contains("of this pool"));
    assert_eq!(a.info(0).unwrap().tokens_seen, 5);
}

#[test]
fn pools_tell_whether_there_is_room() {
    let config = Config { n_sequences: 2, policy: Policy::Dense, n_sink: 0, ..small() };
    let pool = Pool::new(&config).unwrap();
    let (a, b) = (pool.open().unwrap(), pool.open().unwrap());
    let window = config.window;
    pool.can_append(&[(&a, window), (&b, window)]).unwrap();
    let refused = pool.can_append(&[(&a, window), (&b, window + 1)]).unwrap_err();
    assert!(refused.index == Some(1) && matches!(refused.error, Error::Full(_)), "{refused}");
    assert!(pool.can_append(&[(&a, 1), (&a, 1)]).is_err());
    let alone = Cache::new(&small()).unwrap();
    assert_eq!(pool.can_append(&[(&alone, 1)]).unwrap_err().index, Some(0));
}

/// Runs each task in a thread of its own; some it leaves out, some it does twice, and once it panics.
struct Crowd {
    calls: AtomicUsize,
    panics: bool,
}

impl Executor for Crowd {
    fn run(&self, n: usize, task: &(dyn Fn(usize) + Sync)) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        thread::scope(|s| {
            for i in 0..n {
                s.spawn(move || task(i));
                s.spawn(move || {
                    if i % 2 == 0 {
                        task(i)
                    }
                });
            }
        });
        task(n + 5);
        assert!(!self.panics, "the executor gives up");
    }
}

#[test]
fn executors_do_the_work() {
    for panics in [false, true] {
        let crowd = Arc::new(Crowd { calls: AtomicUsize::new(0), panics });
        let executor: Arc<dyn Executor> = crowd.clone();
        let config = Config { n_threads: 3, executor: Some(executor), ..small() };
        config.check().unwrap();
        let mut cache = Cache::new(&config).unwrap();
        let mut alone = Cache::new(&small()).unwrap();
        let (mut t, mut single) = (Tokens::new(16, 1), Tokens::new(16, 1));
        let ended = catch_unwind(AssertUnwindSafe(|| t.feed(&mut cache).unwrap()));
        assert_eq!(ended.is_err(), panics);
        single.feed(&mut alone).unwrap();
        assert_eq!(t.out, single.out); // all was done all the same
        assert!(crowd.calls.load(Ordering::Relaxed) > 0);
        assert_eq!(cache.info(0).unwrap().tokens_seen, 16);
    }
    assert!(
        matches!(Cache::new(&Config { n_threads: 3, ..small() }), Err(Error::Config { .. }))
            || cfg!(feature = "openmp")
    );
}

fn together(shared: &SharedStep, count: u32) {
    let barrier = Barrier::new(count as usize);
    thread::scope(|s| {
        for i in 0..count {
            let barrier = &barrier;
            s.spawn(move || {
                for phase in 0..shared.phases() {
                    shared.part(phase, i).unwrap();
                    barrier.wait();
                }
            });
        }
    });
}

#[test]
fn threads_of_the_host_share_a_step() {
    let config = Config { n_threads: 3, cooperative: true, n_sequences: 2, ..small() };
    let pool = Pool::new(&config).unwrap();
    let (mut a, mut b) = (pool.open().unwrap(), pool.open().unwrap());
    let mut alone = Cache::new(&small()).unwrap();
    let (mut t, mut single) = (Tokens::new(16, 1), Tokens::new(16, 1));
    {
        let shared = a.begin(t.step(), 3).unwrap();
        assert!(shared.phases() > 0);
        assert!(matches!(shared.part(0, 3), Err(Error::Argument(_))));
        if shared.phases() > 1 {
            assert!(matches!(shared.part(1, 0), Err(Error::State(_))));
        }
        together(&shared, 3);
        assert!(matches!(shared.part(0, 0), Err(Error::Argument(_))));
    }
    single.feed(&mut alone).unwrap();
    assert_eq!(t.out, single.out);

    let (mut one, mut two) = (Tokens::new(2, 5), Tokens::new(7, 1));
    {
        let mut steps = [(&mut a, one.step()), (&mut b, two.step())];
        let shared = pool.begin(&mut steps, 2).unwrap();
        together(&shared, 2);
    }
    assert_eq!(two.out, single.out[..two.out.len()]);
}

#[test]
fn what_is_begun_may_be_left() {
    let config = Config { n_threads: 2, cooperative: true, ..small() };
    let (mut cache, mut alone) = (Cache::new(&config).unwrap(), Cache::new(&small()).unwrap());
    drop(cache.begin(Tokens::new(4, 1).step(), 2).unwrap());
    Tokens::new(4, 1).feed(&mut alone).unwrap();
    assert_eq!(next(&mut cache), next(&mut alone));
}

#[test]
fn all_is_send_and_sync() {
    fn check<T: Send + Sync>() {}
    check::<Cache>();
    check::<Pool>();
    check::<Config>();
    check::<Error>();
}
