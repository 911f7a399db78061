// The job that every language does (examples/job.c): 5,000 tokens far beyond a window, a rollback, a fork, a snapshot and
// a refusal; prints a digest of all outputs, the same number everywhere. Runs in Node and in a browser.
// SPDX-License-Identifier: MIT

const [HEADS, KV_HEADS, HEAD_DIM] = [8, 2, 64];

/** The job's numbers: 32 bits of a generator, as floats in [-1, 1). */
class Draw {
  #state = 1;

  fill(array) {
    let x = this.#state;
    for (let i = 0; i < array.length; i++) {
      x ^= x << 13;
      x ^= x >>> 17;
      x ^= x << 5;
      array[i] = (x >>> 8) * 2 ** -23 - 1;
    }
    this.#state = x;
  }
}

/** FNV-1a of 64 bits, in two halves of 32, since a bigint for each byte would take longer than the attention. */
class Digest {
  #high = 0xcbf29ce4;
  #low = 0x84222325;

  add(bytes) {
    let [high, low] = [this.#high, this.#low];
    for (const byte of bytes) {
      low = (low ^ byte) >>> 0;
      const product = low * 0x1b3; // the prime is 2^40 + 0x1b3
      high = (Math.imul(high, 0x1b3) + Math.floor(product / 2 ** 32) + (low << 8)) >>> 0;
      low = product >>> 0;
    }
    [this.#high, this.#low] = [high, low];
  }

  toString() {
    return [this.#high, this.#low].map((half) => half.toString(16).padStart(8, "0")).join("");
  }
}

/**
 * Runs the job, and returns its two lines.
 * @param {import("./src/index.js").Library} library
 * @param {string} isa
 */
export function job(library, isa = "auto") {
  const pool = library.poolCreate({
    ...{ nLayers: 1, maxAppend: 1, rollback: 32, nSequences: 2, isa },
    ...{ nHeads: HEADS, nKvHeads: KV_HEADS, headDim: HEAD_DIM },
    ...{ nSink: 4, window: 252, kDtype: "f16", vDtype: "f16", position: "rope" },
  });
  const [draw, digest] = [new Draw(), new Digest()];
  const [q, out] = [new Float32Array(HEADS * HEAD_DIM), new Float32Array(HEADS * HEAD_DIM)];
  const [k, v] = [new Float32Array(KV_HEADS * HEAD_DIM), new Float32Array(KV_HEADS * HEAD_DIM)];
  const bytes = new Uint8Array(out.buffer);

  function feed(cache, n) {
    for (let t = 0; t < n; t++) {
      for (const array of [q, k, v]) draw.fill(array);
      cache.appendAttend(0, 1, q, k, v, out);
      digest.add(bytes);
    }
  }

  function refusal(cache) {
    try {
      cache.appendKv(7, 1, k, v);
    } catch (error) {
      return error.message;
    }
    return "nothing";
  }

  try {
    const a = pool.open();
    feed(a, 3000);
    a.rollback(20, 0);
    feed(a, 20);
    const fork = a.fork();
    feed(fork, 500); // a does not see these
    fork.destroy();
    feed(a, 1000);
    const b = pool.open();
    b.load(a.save());
    a.destroy();
    feed(b, 480);
    return [`refused: ${refusal(b)}`, `digest ${digest}`];
  } finally {
    pool.destroy();
  }
}
