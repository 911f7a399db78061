//! Every call of a sequence, and what Rust adds: lengths, types, errors with the library's sentence.
//!
//! SPDX-License-Identifier: MIT
#![forbid(unsafe_code)]

mod common;

use common::{next, small, Tokens, DIM, HEADS, KV_HEADS, WINDOW};
use sinkattn::{
    Bf16, Cache, Config, DType, Error, Gap, Isa, KeyForm, Layers, Partial, Policy, Position, Read, Rows, SpanKind,
    Step, Tensor, TensorMut, END, F16,
};

/// The refusal says this, and is of this kind.
macro_rules! refused {
    ($result:expr, $kind:pat, $part:expr) => {
        match $result {
            Ok(_) => panic!("not refused: {}", stringify!($result)),
            Err(error) => {
                assert!(matches!(error, $kind), "{error:?}");
                assert!(error.sentence().contains($part), "{error}");
            }
        }
    };
}

#[test]
fn configs_are_refused_with_the_field() {
    assert!(small().check().is_ok());
    let bad = Config { head_dim: 0, ..small() };
    refused!(bad.check(), Error::Config { layer: Some(0), .. }, "head_dim");
    refused!(Cache::new(&bad), Error::Config { .. }, "head_dim");
    refused!(Cache::layout(&bad), Error::Config { .. }, "head_dim");
    refused!(Config { n_sink: u32::MAX, ..small() }.check(), Error::Config { .. }, "n_sink");
    refused!(Config { isa: Isa(99), ..small() }.check(), Error::Isa(_), "isa");
    refused!(
        Config { n_sequences: 2, ..small() }.check().and(Cache::new(&Config { n_sequences: 2, ..small() })),
        Error::Config { .. },
        "n_sequences"
    );

    assert!(Config { sink_logits: vec![0.5; HEADS], ..small() }.check().is_ok());
    refused!(Config { sink_logits: vec![0.5; 3], ..small() }.check(), Error::Config { .. }, "n_heads elements");
    refused!(Config { rope_inv_freq: vec![0.5; 3], ..small() }.check(), Error::Config { .. }, "rope_dims / 2");
    refused!(Config { head_windows: vec![9; 3], ..small() }.check(), Error::Config { .. }, "n_kv_heads");
    let layers = vec![None, Some(Config { window: 0, ..small() })];
    refused!(Config { layers, ..small() }.check(), Error::Config { .. }, "n_layers elements");
    let layers = vec![None, Some(Config { window: 0, ..small() })];
    refused!(Config { n_layers: 2, layers, ..small() }.check(), Error::Config { layer: Some(1), .. }, "window");
}

#[test]
fn layers_have_shapes_of_their_own() {
    let local = Config { head_dim: 8, policy: Policy::Window, n_sink: 0, ..small() };
    let config = Config { n_layers: 2, layers: vec![Some(local), None], ..small() };
    let mut cache = Cache::new(&config).unwrap();
    let (narrow, wide) = ([0.0f32; KV_HEADS * 8], [0.0f32; KV_HEADS * DIM]);
    cache.append(0, &narrow, &narrow).unwrap();
    cache.append(1, &wide, &wide).unwrap();
    refused!(cache.append(0, &wide, &narrow), Error::Argument(_), "v must have");
    assert_eq!(cache.info(0).unwrap().tokens_seen, 1);
}

#[test]
fn lengths_are_checked() {
    let mut cache = Cache::new(&small()).unwrap();
    let mut t = Tokens::new(5, 1);
    let mut few = [0.0f32; 3];
    refused!(cache.append(0, &t.k, &t.v[1..]), Error::Argument(_), "v must have");
    refused!(cache.append(0, &few, &few), Error::Argument(_), "n_tokens must be given");
    refused!(cache.append_attend(0, &t.q, &t.k, &t.v, &mut few), Error::Argument(_), "out must have");
    refused!(cache.append(1, &t.k, &t.v), Error::Argument(_), "layer must be");
    refused!(cache.append(u32::MAX, &t.k, &t.v), Error::Argument(_), "layer must be");
    assert_eq!(cache.info(0).unwrap().tokens_seen, 0);
    t.feed(&mut cache).unwrap();

    fn last<'a>(q: Tensor<'a>, out: TensorMut<'a>) -> Step<'a> {
        Step::new(0).n_tokens(5).q_offset(-5).q(q).out(out)
    }
    refused!(
        cache.step(last(Tensor::from(&t.q), TensorMut::from(&mut t.out)).lse(&mut few)),
        Error::Argument(_),
        "lse"
    );
    refused!(cache.step(Step::new(0).k(&t.k).v(&t.v).parents(&[-1])), Error::Argument(_), "parents");
    let (w, d) = ((HEADS * DIM) as isize, DIM as isize);
    let bad = [
        (w, d, 1),
        (w + 1, d, 0),
        (-w, d, 0),
        (isize::MAX, d, 0),
        (isize::MIN, d, 0),
        (w, 2 * d, 0),
        (w, d, usize::MAX),
    ];
    for (token, head, first) in bad {
        let q = Tensor::from(&t.q).strides(token, head, first);
        refused!(cache.step(last(q, TensorMut::from(&mut t.out))), Error::Argument(_), "q must have");
        let out = TensorMut::from(&mut t.out).strides(token, head, first);
        refused!(cache.step(last(Tensor::from(&t.q), out)), Error::Argument(_), "out must have");
    }
    cache.step(last(Tensor::from(&t.q).strides(0, 0, 3), TensorMut::from(&mut t.out))).unwrap();
    refused!(
        cache.step(last(Tensor::from(&t.q), TensorMut::from(&mut t.out).strides(0, d, 0))),
        Error::Argument(_),
        "overlap"
    );
}

#[test]
fn strides_give_the_same_bits() {
    let n = 6;
    let (mut plain, mut other) = (Cache::new(&small()).unwrap(), Cache::new(&small()).unwrap());
    let mut t = Tokens::new(n, 1);
    t.feed(&mut plain).unwrap();
    // The same with heads outermost for q and out, and k from its last token to its first.
    let heads_first = |from: &[f32]| -> Vec<f32> {
        let row = |i: usize| &from[i * DIM..(i + 1) * DIM];
        (0..HEADS).flat_map(|h| (0..n).flat_map(move |i| row(i * HEADS + h))).copied().collect()
    };
    let q = heads_first(&t.q);
    let k: Vec<f32> = t.k.chunks(KV_HEADS * DIM).rev().flatten().copied().collect();
    let mut out = vec![0.0f32; t.out.len()];
    let (d, width) = (DIM as isize, (KV_HEADS * DIM) as isize);
    other
        .step(
            Step::new(0)
                .n_tokens(n as u32)
                .q(Tensor::from(&q).strides(d, n as isize * d, 0))
                .k(Tensor::from(&k).strides(-width, d, (n - 1) * KV_HEADS * DIM))
                .v(&t.v)
                .out(TensorMut::from(&mut out).strides(d, n as isize * d, 0)),
        )
        .unwrap();
    assert_eq!(out, heads_first(&t.out));
}

#[test]
fn elements_of_16_bits() {
    let mut cache = Cache::new(&small()).unwrap();
    let (q, kv) = ([F16(0x3c00); HEADS * DIM], [Bf16(0x3f80); KV_HEADS * DIM]);
    let mut out = [F16(0); HEADS * DIM];
    cache.append_attend(0, &q, &kv, &kv, &mut out).unwrap();
    assert!(out.iter().all(|&x| x == F16(0x3c00)));
}

#[test]
fn three_calls_are_one() {
    let (mut one, mut two) = (Cache::new(&small()).unwrap(), Cache::new(&small()).unwrap());
    for i in 0..20 {
        let mut t = Tokens::new(7, i);
        let mut out = vec![0.0f32; t.out.len()];
        t.feed(&mut one).unwrap();
        two.append(0, &t.k, &t.v).unwrap();
        two.attend(0, &t.q, &mut out).unwrap();
        assert_eq!(out, t.out);
    }
    assert_eq!(one.info(0).unwrap().positions_held, 4 + WINDOW as u64);
    let mut many = Tokens::new(17, 3);
    refused!(one.attend(0, &many.q, &mut many.out), Error::Argument(_), "max_append");
    assert_eq!(one.info(0).unwrap().cache_size as usize, Cache::layout(&small()).unwrap().size());
}

#[test]
fn going_back_and_jumping() {
    let mut cache = Cache::new(&small()).unwrap();
    Tokens::new(30, 1).feed(&mut cache).unwrap();
    let before = next(&mut cache);
    Tokens::new(10, 5).feed(&mut cache).unwrap();
    assert_ne!(next(&mut cache), before);
    cache.rollback(Layers::All, 10).unwrap();
    assert_eq!(next(&mut cache), before);
    refused!(cache.rollback(0, 1000), Error::Argument(_), "tokens_seen");
    refused!(cache.rollback(7, 1), Error::Argument(_), "layer");
    cache.seek(Layers::All, 100).unwrap();
    assert_eq!(cache.info(0).unwrap().tokens_seen, 100);
    cache.restart(0, 100).unwrap();
    cache.reset(Layers::All).unwrap();
    assert_eq!(cache.info(0).unwrap().tokens_seen, 0);
}

#[test]
fn removals_pins_and_spans() {
    let mut cache = Cache::new(&Config { n_spans: 8, n_pin: 32, ..small() }).unwrap();
    Tokens::new(100, 1).feed(&mut cache).unwrap();
    refused!(cache.pin(Layers::All, 10..12), Error::Depth(_), "no longer holds");
    cache.pin(Layers::All, 80..85).unwrap();
    cache.remove(Layers::All, 90..92, Gap::Close).unwrap();
    cache.anchor(Layers::All, 82..84).unwrap();
    let spans = cache.spans(0, 0).unwrap();
    assert!(spans.iter().any(|s| s.kind == SpanKind::Sink && s.positions == (82..84)), "{spans:?}");
    let last = spans.last().unwrap();
    assert_eq!((last.positions.end, last.shift, last.masked), (100, 2, false));
    let held = cache.positions(0, 1).unwrap();
    assert!(held.ends_with(&[98, 99]) && !held.contains(&90));
    cache.unpin(Layers::All, 80..END).unwrap();
    refused!(cache.positions(0, 2), Error::Argument(_), "");
    refused!(cache.spans(1, 0), Error::Argument(_), "");
}

#[test]
fn reading_back() {
    let mut cache = Cache::new(&small()).unwrap();
    let mut t = Tokens::new(3, 1);
    t.feed(&mut cache).unwrap();
    let (mut k, mut v) = ([0.0f32; 2 * DIM], [0.0f32; 2 * DIM]);
    let read = Read::new(0, &[2, 0]).heads(1, 1).form(KeyForm::Unrotated);
    cache.read(read.k(&mut k).v(&mut v)).unwrap();
    let row = (2 * KV_HEADS + 1) * DIM;
    assert_eq!(v[..DIM], t.v[row..row + DIM]);
    assert!((k[5] - t.k[row + 5]).abs() < 1e-6);
    cache.read(Read::new(0, &[2, 0]).heads(0, 1).form(KeyForm::AtPlace(&[0, 0])).k(&mut k)).unwrap();
    refused!(cache.read(Read::new(0, &[2, 0]).k(&mut k)), Error::Argument(_), "k and v must have");
    refused!(cache.read(Read::new(0, &[2]).heads(2, 1).k(&mut k)), Error::Argument(_), "kv heads");
    refused!(cache.read(Read::new(0, &[2, 9]).heads(1, 1).k(&mut k)), Error::Depth(_), "");
}

#[test]
fn drafts_are_appends() {
    let config = Config { max_draft: 8, ..small() };
    let (mut drafted, mut plain) = (Cache::new(&config).unwrap(), Cache::new(&config).unwrap());
    for cache in [&mut drafted, &mut plain] {
        Tokens::new(20, 1).feed(cache).unwrap();
    }
    let mut t = Tokens::new(3, 4);
    drafted.step(t.step().parents(&[-1, -1, 0])).unwrap();
    assert_eq!(drafted.info(0).unwrap().n_draft, 3);
    let mut again = vec![0.0f32; 2 * HEADS * DIM];
    drafted.step(Step::new(0).nodes(1).q(&t.q[HEADS * DIM..]).out(&mut again)).unwrap();
    assert_eq!(again, t.out[HEADS * DIM..]);
    refused!(drafted.rollback(Layers::All, 1), Error::State(_), "draft is open");
    refused!(drafted.accept(Layers::All, &[0, 1]), Error::Argument(_), "path");
    drafted.accept(Layers::All, &[0, 2]).unwrap();
    for node in [0, 2] {
        let row = |x: &[f32], heads: usize| x[node * heads * DIM..(node + 1) * heads * DIM].to_vec();
        plain.append(0, &row(&t.k, KV_HEADS), &row(&t.v, KV_HEADS)).unwrap();
    }
    assert_eq!(next(&mut plain), next(&mut drafted));
}

#[test]
fn states_of_two_caches_merge() {
    let config = Config { position: Position::None, ..small() };
    let mut caches: Vec<Cache> = (0..3).map(|_| Cache::new(&config).unwrap()).collect();
    for i in 0..20 {
        let t = Tokens::new(1, i as u32);
        caches[i % 2].append(0, &t.k, &t.v).unwrap();
        caches[2].append(0, &t.k, &t.v).unwrap();
    }
    let mut t = Tokens::new(1, 99);
    let mut states = Vec::new();
    for cache in &mut caches[..2] {
        let (mut max, mut sum, mut acc) = ([0.0; HEADS], [0.0; HEADS], vec![0.0f32; HEADS * DIM]);
        cache.step(Step::new(0).q(&t.q).out(&mut acc).partial(&mut max, &mut sum)).unwrap();
        states.push((max, sum, acc));
    }
    let (a, b) = states.split_at_mut(1);
    let (mut lse, mut own) = ([0.0; HEADS], [0.0; HEADS]);
    let mut left = Partial::new(&mut a[0].0, &mut a[0].1, &mut a[0].2, DIM as u32).unwrap();
    let right = Partial::new(&mut b[0].0, &mut b[0].1, &mut b[0].2, DIM as u32).unwrap();
    left.merge(&right).unwrap();
    left.finish(Some(&mut lse)).unwrap();
    caches[2].step(Step::new(0).q(&t.q).out(&mut t.out).lse(&mut own)).unwrap();
    assert!(a[0].2.iter().zip(&t.out).all(|(x, y)| (x - y).abs() < 1e-6));
    assert!((lse[0] - own[0]).abs() < 1e-6);
    refused!(Partial::new(&mut lse, &mut own, &mut t.out, 15), Error::Argument(_), "acc");
}

#[test]
fn weights_of_keys() {
    let mut cache = Cache::new(&small()).unwrap();
    let mut t = Tokens::new(16, 1);
    t.feed(&mut cache).unwrap();
    let stride = cache.info(0).unwrap().keys_most as usize;
    let (mut mass, mut norms, mut sinks) = (vec![0.0; stride * HEADS], vec![0.0; stride * KV_HEADS], [0.0; 16 * HEADS]);
    let last = Step::new(0).q(&t.q).out(&mut t.out).q_offset(-16).sink_mass(&mut sinks);
    cache.step(last.key_mass_per_head(&mut mass, stride).value_norms(&mut norms, stride)).unwrap();
    assert!((mass[..stride].iter().sum::<f32>() - 16.0).abs() < 1e-3);
    assert!(norms[0] > 0.0 && (sinks[0] - 1.0).abs() < 1e-6);
    let short = Step::new(0).q(&t.q).out(&mut t.out).q_offset(-16).key_mass_per_head(&mut norms, stride);
    refused!(cache.step(short), Error::Argument(_), "key_stride");
}

#[test]
fn narrower_views() {
    let mut cache = Cache::new(&small()).unwrap();
    Tokens::new(30, 1).feed(&mut cache).unwrap();
    let t = Tokens::new(1, 3);
    let mut view = |step: fn(Step) -> Step| {
        let mut out = vec![0.0f32; HEADS * DIM];
        cache.step(step(Step::new(0).q(&t.q).out(&mut out))).unwrap();
        out
    };
    let (all, few, none) = (view(|s| s), view(|s| s.view_window(8)), view(|s| s.view_window(8).view_sinks(0)));
    assert!(all != few && few != none);
}

#[test]
fn rows_of_the_host() {
    let mut cache = Cache::new(&Config { n_rows: 2, n_sink_kv: 1, ..small() }).unwrap();
    let (mut t, two) = (Tokens::new(1, 1), Tokens::new(2, 3));
    refused!(t.feed(&mut cache), Error::State(_), "learned sink rows are missing");
    refused!(cache.set_sink_kv(0, &two.k, &t.v), Error::Argument(_), "n_sink_kv");
    refused!(cache.set_sink_kv(0, &[F16(0); KV_HEADS * DIM], &t.v), Error::Argument(_), "io_dtype");
    cache.set_sink_kv(0, &t.k, &t.v).unwrap();
    t.feed(&mut cache).unwrap();
    let before = next(&mut cache);
    refused!(cache.set_rows(&Rows::new(0, 0, 1, &two.k, &two.v)), Error::Argument(_), "k and v must have");
    refused!(cache.set_rows(&Rows::new(0, 0, 2, &two.k, &two.v).biases(&[0.0])), Error::Argument(_), "biases");
    cache.set_rows(&Rows::new(0, 0, 2, &two.k, &two.v).biases(&[1.0; 4]).places(&[5; 4]).at_distance()).unwrap();
    assert_eq!(cache.info(0).unwrap().rows_used, 2);
    assert_ne!(next(&mut cache), before);
    cache.set_rows(&Rows::none(0, 0, 2)).unwrap();
    assert_eq!(next(&mut cache), before);
}

#[test]
fn snapshots() {
    let (mut a, mut b) = (Cache::new(&small()).unwrap(), Cache::new(&small()).unwrap());
    Tokens::new(60, 1).feed(&mut a).unwrap();
    let mut snapshot = a.save(0).unwrap();
    assert_eq!(snapshot.len(), a.save_size(0).unwrap());
    b.load(&snapshot).unwrap();
    let expected = next(&mut a);
    assert_eq!(next(&mut b), expected);
    snapshot[200] ^= 1;
    refused!(b.load(&snapshot), Error::Format(_), "damaged");
    refused!(b.load(&[]), Error::Format(_), "");
    assert_eq!(next(&mut b), expected);
    refused!(a.save_into(0, &mut snapshot[..100]), Error::Buffer(_), "sa_cache_save_size");
    refused!(a.save(1000), Error::Argument(_), "from");
    let mut other = Cache::new(&Config { k_dtype: Some(DType::F16), ..small() }).unwrap();
    refused!(other.load(&a.save(0).unwrap()), Error::Config { layer: None, .. }, "dtype");
}

#[test]
fn instruction_sets() {
    assert!(Isa::best().is_available() && Isa::PLAIN.is_available() && !Isa(99).is_available());
    assert_eq!(Isa::PLAIN.name(), "plain");
    assert_eq!(Cache::new(&small()).unwrap().info(0).unwrap().isa, Isa::best());
    assert!(!sinkattn::version().is_empty());
}
