// What the package does with arrays, memory, errors and lifetimes; and each call once, against a law of the library.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";

import { Block, SinkattnError, load } from "../src/index.js";

const sa = await load();
const base = {
  nLayers: 1,
  nHeads: 4,
  nKvHeads: 2,
  headDim: 8,
  nSink: 2,
  window: 14,
  position: "rope",
  maxAppend: 8,
  rollback: 8,
};

let state = 1;
/** n numbers in [-1, 1). */
function draw(n) {
  return Float32Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}
/** The tensors of n tokens. */
const tokens = (n) => ({
  nTokens: n,
  q: draw(n * 32),
  k: draw(n * 16),
  v: draw(n * 16),
  out: new Float32Array(n * 32),
});
/** Appends and attends n new tokens. */
const feed = (cache, n) => {
  const step = tokens(n);
  cache.step(step);
  return step;
};
const refusal = (code, message) => (error) => {
  assert.ok(error instanceof SinkattnError, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, message);
  return true;
};

test("three calls, one call and the general step have the same bits", () => {
  const [a, b, c] = [1, 2, 3].map(() => sa.cacheCreate(base));
  for (let t = 0; t < 40; t++) {
    const { q, k, v } = tokens(1);
    a.appendKv(0, 1, k, v);
    const first = a.attend(0, 1, q);
    assert.deepEqual(b.appendAttend(0, 1, q, k, v), first);
    const out = new Float32Array(32);
    c.step({ q, k, v, out });
    assert.deepEqual(out, first);
    assert.ok(first.every(Number.isFinite) && first.some((x) => x !== 0));
  }
  assert.equal(a.info().tokensSeen, 40n);
  assert.equal(a.info().positionsHeld, 16);
});

test("strides, offsets and blocks", () => {
  const [a, b, c] = [1, 2, 3].map(() => sa.cacheCreate(base));
  const { nTokens, q, k, v } = tokens(5);
  const expected = a.appendAttend(0, nTokens, q, k, v);

  // Heads first, then tokens, three numbers in, and results into every second row.
  const turned = (x, heads) => {
    const to = new Float32Array(3 + x.length);
    for (let t = 0; t < 5; t++) {
      for (let h = 0; h < heads; h++)
        to.set(x.subarray((t * heads + h) * 8, (t * heads + h + 1) * 8), 3 + (h * 5 + t) * 8);
    }
    return { data: to, offset: 3, tokenStride: 8, headStride: 40 };
  };
  const wide = new Float32Array(5 * 64).fill(7);
  b.step({ nTokens, q: turned(q, 4), k: turned(k, 2), v: turned(v, 2), out: { data: wide, headStride: 16 } });
  for (let i = 0; i < 160; i++) assert.equal(wide[Math.floor(i / 8) * 16 + (i % 8)], expected[i]);
  assert.ok(wide.filter((_, i) => i % 16 >= 8).every((x) => x === 7));

  const [inside, result] = [sa.block(Float32Array, 160), sa.block(Float32Array, 160)];
  inside.array.set(q);
  sa.block(Uint8Array, 3e6); // memory grows: views from before are dead, blocks are not
  c.appendAttend(0, nTokens, inside, k, v, result);
  assert.deepEqual(result.array, expected);
  inside.free();
  assert.throws(() => inside.array, /has been closed/);
});

test("f16 tensors are arrays of 16 bits", () => {
  const cache = sa.cacheCreate({ ...base, ioDtype: "f16" });
  const half = (n) => new Uint16Array(n).fill(0x3c00); // 1.0
  const out = cache.appendAttend(0, 1, half(32), half(16), half(16));
  assert.ok(out instanceof Uint16Array && out.every((x) => x === 0x3c00));
  assert.throws(() => sa.cacheCreate(base).appendKv(0, 1, half(16), half(16)), /needs a dtype/);
});

test("what is refused, and by which sentence", () => {
  const cache = sa.cacheCreate(base);
  const { q, k, v } = tokens(1);
  assert.throws(() => cache.appendKv(7, 1, k, v), refusal("SA_ERR_ARGUMENT", /^layer must be 0/));
  assert.equal(cache.error, "layer must be 0 .. n_layers - 1");
  assert.throws(() => cache.attend(0, 1, q), refusal("SA_ERR_DEPTH", /./));
  assert.throws(() => cache.rollback(1), refusal("SA_ERR_ARGUMENT", /./));
  assert.throws(() => cache.info(1), refusal("SA_ERR_ARGUMENT", /./));
  assert.throws(() => sa.cacheCreate({ ...base, window: 0 }), refusal("SA_ERR_CONFIG", /window/));
  assert.throws(
    () => sa.configCheck({ ...base, nLayers: 2, layers: [null, { ...base, nLayers: undefined, headDim: 0 }] }),
    (error) => refusal("SA_ERR_CONFIG", /head_dim/)(error) && error.layer === 1,
  );
  assert.throws(() => cache.load(new Uint8Array(128)), refusal("SA_ERR_FORMAT", /./));
  assert.throws(() => cache.fork(), refusal("SA_ERR_POOL", /./));
  assert.throws(() => sa.cacheCreate({ ...base, window: 2 ** 30 }), SinkattnError);
});

test("what never reaches the library", () => {
  const cache = sa.cacheCreate(base);
  const { q, k, v } = tokens(1);
  assert.throws(() => cache.appendKv(0, 1, k.subarray(1), v), RangeError);
  assert.throws(() => cache.appendKv(0, 2, k, v), /k has 16 numbers/);
  assert.throws(() => cache.appendKv(0, 1.5, k, v), RangeError);
  assert.throws(() => cache.seek(2n ** 64n), RangeError);
  assert.throws(() => cache.seek(-1), RangeError);
  assert.throws(() => cache.seek(2 ** 60), /bigint/);
  assert.throws(() => cache.step({ q, out: { data: new Float32Array(32), headStride: 9 }, qOffset: 0 }), RangeError);
  assert.throws(() => cache.step({ query: q }), /no field query/);
  assert.throws(() => sa.cacheCreate({ ...base, policy: "lru" }), /policy is one of sinkWindow, window, dense/);
  assert.throws(() => sa.cacheCreate({ ...base, sinkLogits: [1, 2] }), RangeError);
  assert.throws(() => cache.stepBegin({ ...tokens(1) }), /must be a block/);
  const block = sa.block(Float32Array, 16);
  assert.throws(() => cache.appendKv(0, 1, block.array, v), /the block itself/);
  assert.equal(cache.info().tokensSeen, 0n);
});

test("going back, jumping, removing and pinning", () => {
  const cache = sa.cacheCreate({ ...base, nSpans: 4, nPin: 4 });
  feed(cache, 30);
  const saved = cache.save();
  feed(cache, 3);
  cache.rollback(3);
  assert.deepEqual(cache.save(), saved);
  cache.pin(20, 22);
  cache.remove(25n, 27n);
  assert.deepEqual(
    cache
      .spans()
      .map((s) => s.kind)
      .filter((kind) => kind !== "window"),
    ["sink", "pin"],
  );
  cache.remove(29, Infinity);
  cache.remove(27, 28, "keep");
  assert.ok(cache.spans().some((s) => s.masked));
  assert.ok(!cache.positions().includes(26n) && cache.positions().includes(20n));
  cache.unpin(20, 22);
  cache.anchor(22, 24);
  assert.equal(cache.spans().find((s) => s.kind === "sink").from, 22n);
  cache.seek(10n ** 15n);
  feed(cache, 1);
  assert.equal(cache.info().tokensSeen, 10n ** 15n + 1n);
  cache.restart(10n ** 15n + 1n);
  cache.reset();
  assert.equal(cache.info().tokensSeen, 0n);
});

test("pools: forks, budgets, batches", () => {
  const pool = sa.poolCreate({ ...base, nSequences: 3 });
  const a = pool.open();
  feed(a, 20);
  const b = a.fork();
  const [one, two] = [tokens(1), tokens(1)];
  const alone = a.fork();
  alone.step(one);
  const expected = one.out.slice();
  alone.destroy();
  pool.batch([
    { cache: a, ...one },
    { cache: b, ...two },
  ]);
  assert.deepEqual(one.out, expected);
  assert.equal(pool.info().nOpen, 2);
  assert.ok(
    pool.canAppend([
      { cache: a, nTokens: 9 },
      { cache: b, nTokens: 0 },
    ]),
  );
  assert.throws(() => pool.canAppend([{ cache: a, nTokens: -1 }]), refusal("SA_ERR_ARGUMENT", /./));
  const tight = sa.poolCreate({ ...base, policy: "dense", nSink: 0, rollback: 0, nSequences: 1 });
  assert.ok(!tight.canAppend([{ cache: tight.open(), nTokens: 15 }]));
  assert.match(tight.error, /./);
  assert.throws(
    () =>
      pool.batch([
        { cache: a, ...tokens(1) },
        { cache: b, ...tokens(1), layer: 5 },
      ]),
    (error) => error instanceof SinkattnError && error.index === 1,
  );
  const whole = pool.info();
  b.destroy();
  assert.ok(pool.info().tilesFree >= whole.tilesFree);
  assert.throws(() => feed(b, 1), /has been closed/);
  pool.open();
  pool.open();
  assert.throws(() => pool.open(), refusal("SA_ERR_POOL", /./));
  pool.destroy();
  assert.throws(() => feed(a, 1), /has been closed/);
  a.destroy(); // harmless
});

test("save in one, load in another, and go on with the same bits", () => {
  const pool = sa.poolCreate({ ...base, nSequences: 2, vDtype: "f16" });
  const [a, b] = [pool.open(), pool.open()];
  feed(a, 8);
  const first = a.save();
  feed(a, 9);
  assert.equal(a.saveSize(), a.save().length);
  b.load(first);
  const later = sa.block(Uint8Array, a.saveSize());
  later.array.set(a.save());
  b.load(later);
  const { q, k, v } = tokens(1);
  assert.deepEqual(a.appendAttend(0, 1, q, k, v), b.appendAttend(0, 1, q, k, v));
});

test("drafts: a path that is accepted is a path that was appended", () => {
  const [a, b] = [1, 2].map(() => sa.cacheCreate({ ...base, maxDraft: 4 }));
  const before = tokens(4);
  a.step(before);
  b.step(before);
  const draft = tokens(3);
  a.step({ ...draft, parents: [-1, 0, 0] });
  const pick = (x, each) => Float32Array.from([...x.subarray(0, each), ...x.subarray(2 * each)]);
  const out = b.appendAttend(0, 2, pick(draft.q, 32), pick(draft.k, 16), pick(draft.v, 16));
  assert.deepEqual(pick(draft.out, 32), out);
  assert.equal(a.info().nDraft, 3);
  const again = new Float32Array(32);
  a.step({ q: draft.q.subarray(0, 32), out: again, nodes: true, qOffset: 0 });
  assert.deepEqual(again, draft.out.subarray(0, 32));
  a.draftAccept([0, 2]);
  assert.deepEqual(a.positions(), b.positions());
});

test("telemetry: masses, log-sum-exp, partial states", () => {
  const [whole, left, right] = [base, { ...base, nSink: 0 }, { ...base, nSink: 0 }].map((c) =>
    sa.cacheCreate({ ...c, position: "none" }),
  );
  const n = 6;
  const { q, k, v } = tokens(n);
  whole.appendKv(0, n, k, v);
  const [lse, sinkMass] = [new Float32Array(4), new Float32Array(4)];
  const keyStride = whole.info().keysMost;
  const [keyMass, valueNorms] = [new Float32Array(2 * keyStride), new Float32Array(2 * keyStride)];
  const probe = { q: q.subarray(0, 32), out: new Float32Array(32) };
  whole.step({ ...probe, lse, sinkMass, keyMass, valueNorms, keyStride });
  assert.ok(sinkMass.every((x) => x > 0 && x < 1));
  assert.ok(Math.abs(keyMass.subarray(0, n).reduce((a, b) => a + b) - 2) < 1e-5);
  assert.ok(valueNorms[0] > 0);

  const states = [left, right].map((cache, i) => {
    cache.appendKv(0, 3, k.subarray(i * 48, i * 48 + 48), v.subarray(i * 48, i * 48 + 48));
    const state = { max: new Float32Array(4), sum: new Float32Array(4), acc: new Float32Array(32) };
    cache.step({ q: probe.q, out: state.acc, partialMax: state.max, partialSum: state.sum });
    return state;
  });
  sa.mergePartial(8, states[0], states[1]);
  const together = new Float32Array(4);
  sa.finishPartial(8, states[0], together);
  for (let i = 0; i < 32; i++) assert.ok(Math.abs(states[0].acc[i] - probe.out[i]) < 1e-6);
  for (let i = 0; i < 4; i++) assert.ok(Math.abs(together[i] - lse[i]) < 1e-6);
  assert.throws(() => sa.mergePartial(0, states[0], states[1]), RangeError);
});

test("reading back, learned sinks, rows of the host", () => {
  const cache = sa.cacheCreate({ ...base, nSinkKv: 1, nRows: 2 });
  assert.throws(() => feed(cache, 1), refusal("SA_ERR_STATE", /./));
  cache.setSinkKv(0, draw(16), draw(16));
  const { k, v } = feed(cache, 5);
  const [back, values] = [new Float32Array(48), new Float32Array(48)];
  cache.read({ positions: [0n, 4n, 2n], keyForm: "unrotated", k: back, v: values });
  assert.deepEqual(values.subarray(16, 32), v.subarray(64, 80));
  for (let i = 0; i < 16; i++) assert.ok(Math.abs(back[16 + i] - k[64 + i]) < 1e-5);
  const turned = new Float32Array(24);
  cache.read({ positions: [0n, 1n, 2n], kvHead: 1, keyForm: "atPlace", places: [-3n, 0n, 3n], k: turned });
  assert.ok(turned.some((x) => x !== 0));
  assert.throws(() => cache.read({ positions: [9n], v: new Float32Array(16) }), refusal("SA_ERR_DEPTH", /./));

  const probe = () => {
    const out = new Float32Array(32);
    cache.step({ q: new Float32Array(32).fill(0.5), out });
    return out;
  };
  const without = probe();
  cache.setRows({ nRows: 1, k: draw(16), v: draw(16), places: [-1n, -1n], biases: [0, Math.log(3)] });
  assert.notDeepEqual(probe(), without);
  assert.equal(cache.info().rowsUsed, 1);
  cache.setRows({ nRows: 1 });
  assert.deepEqual(probe(), without);
});

test("a step in parts, and a batch in parts", () => {
  const config = { ...base, cooperative: true, nThreads: 4, nSequences: 2 };
  const pool = sa.poolCreate(config);
  const [a, b] = [pool.open(), pool.open()];
  const given = tokens(8);
  a.step(given);
  const blocks = Object.fromEntries(
    ["q", "k", "v", "out"].map((name) => {
      const block = sa.block(Float32Array, given[name].length);
      if (name !== "out") block.array.set(given[name]);
      return [name, block];
    }),
  );
  const all = (part, phases) => {
    for (let phase = 0; phase < phases; phase++) for (let i = 0; i < 4; i++) part(phase, i, 4);
  };
  all((...part) => b.stepPart(...part), b.stepBegin({ nTokens: 8, ...blocks }));
  assert.deepEqual(blocks.out.array, given.out);
  b.reset();
  blocks.out.array.fill(0);
  all((...part) => pool.batchPart(...part), pool.batchBegin([{ cache: b, nTokens: 8, ...blocks }]));
  assert.deepEqual(blocks.out.array, given.out);
  assert.throws(() => b.stepPart(9, 0, 1), refusal("SA_ERR_ARGUMENT", /./));
});

test("layers of their own, and every kind of array behind a config", () => {
  const { nLayers, maxAppend, rollback, ...layer } = base;
  const configs = [
    { ...layer, policy: "dense", nSink: 0, headWindows: [0, 4], headSinks: [0, 1] },
    { ...layer, position: "alibi", alibiSlopes: [0.5, 0.25, 0.125, 0], sinkLogits: [0, -Infinity, 1, 0] },
    { ...layer, ropeInvFreq: [1, 0.1, 0.01, 0.001], headDim: 8, vHeadDim: 4 },
    {
      ...layer,
      ropeScaling: "longrope",
      ropeOriginalContext: 8,
      ropeFactor: 2,
      ropeShortFactors: [1, 1, 1, 1],
      ropeLongFactors: [1, 2, 3, 4],
    },
    { ...layer, ropeScaling: "yarn", ropeFactor: 4, ropeOriginalContext: 64, yarnNoTruncate: true },
    {
      ...layer,
      kDtype: "i8",
      vDtype: "i4",
      headDim: 32,
      sinkKDtype: "f32",
      nRecent: 4,
      recentKDtype: "bf16",
      position: "none",
    },
  ];
  const cache = sa.cacheCreate({ ...layer, nLayers: 6, maxAppend: 1, layers: configs, poolTokens: 0n });
  for (const [i, c] of configs.entries()) {
    const out = cache.appendAttend(i, 1, draw(4 * c.headDim), draw(2 * c.headDim), draw(2 * (c.vHeadDim ?? c.headDim)));
    assert.equal(out.length, 4 * (c.vHeadDim ?? c.headDim));
    assert.ok(out.every(Number.isFinite));
  }
});

test("caches in a block of one's own", () => {
  const { size, alignment } = sa.cacheSize(base);
  assert.ok(alignment >= 1 && sa.poolSize({ ...base, nSequences: 2 }).size > size);
  const block = sa.block(Uint8Array, size + alignment);
  assert.throws(() => sa.cacheInit(sa.block(Uint8Array, 16), base), SinkattnError);
  const aligned = block.pointer % alignment === 0;
  const cache = aligned ? sa.cacheInit(block, base) : undefined;
  if (cache) {
    feed(cache, 20);
    block.free();
    assert.throws(() => feed(cache, 1), /has been closed/);
  } else {
    assert.throws(() => sa.cacheInit(block, base), refusal("SA_ERR_ALIGNMENT", /./));
  }
});

test("what is forgotten is given back, and memory does not grow with the stream", async (t) => {
  const cache = sa.cacheCreate(base);
  feed(cache, 8);
  const bytes = sa.memory.buffer.byteLength;
  for (let i = 0; i < 20000; i++) feed(cache, 1);
  assert.equal(sa.memory.buffer.byteLength, bytes);
  if (globalThis.gc === undefined) return t.skip("node has no --expose-gc");
  const large = { ...base, window: 20000 };
  for (let i = 0; i < 200; i++) {
    sa.cacheCreate(large);
    globalThis.gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(sa.memory.buffer.byteLength < bytes + 20 * sa.cacheSize(large).size);
  assert.ok(sa.block(Float32Array, 1) instanceof Block);
});

test("facts of the library", () => {
  assert.match(sa.version, /^\d+\.\d+\.\d+$/);
  assert.ok(sa.versionNumber > 0);
  assert.ok(sa.isasAvailable.includes(sa.isaBest) && sa.isasAvailable.includes("plain"));
  assert.equal(sa.isaName("plain"), "plain");
  assert.match(sa.statusSentence(-11), /room|full/);
});
