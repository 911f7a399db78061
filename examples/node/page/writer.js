// A model that writes without end: writer.c's functions and the library's, both in one WebAssembly module.
// SPDX-License-Identifier: MIT

/** A small generator of numbers in [0, 1): the same text for the same seed, everywhere. (mulberry32) */
function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Draws a token by its probability at a temperature; the likeliest one if that is 0. */
function choose(logits, temperature, share) {
  const most = logits.reduce((a, b) => Math.max(a, b));
  if (!(temperature > 0)) return logits.indexOf(most);
  const weights = Float64Array.from(logits, (x) => Math.exp((x - most) / temperature));
  let left = share * weights.reduce((a, b) => a + b);
  const chosen = weights.findIndex((weight) => (left -= weight) < 0);
  return chosen < 0 ? logits.indexOf(most) : chosen;
}

export class Writer {
  #library;
  #c;
  #pointer;
  #share;
  #logits;
  #decoder = new TextDecoder();

  /** @param library what load() gave for writer.wasm  @param {Uint8Array} model a GGUF file */
  constructor(library, model, { sinks = 4, window = 252, seed = 1 } = {}) {
    this.#library = library;
    this.#c = library.exports;
    this.#share = random(seed);
    const bytes = library.memory.allocate(model.length);
    new Uint8Array(library.memory.buffer).set(model, bytes);
    this.#pointer = this.#c.writer_open(bytes, model.length, sinks, window);
    if (this.#pointer === 0) throw new Error("out of memory");
    this.#check(this.#why === "");
    this.cache = library.cacheAt(this.#c.writer_cache(this.#pointer), {
      nLayers: this.#c.writer_layers(this.#pointer),
      nHeads: this.#c.writer_heads(this.#pointer),
      nKvHeads: this.#c.writer_kv_heads(this.#pointer),
      headDim: this.#c.writer_head_dim(this.#pointer),
    });
  }

  /** Reads a text. */
  read(text) {
    const { memory } = this.#library;
    const bytes = new TextEncoder().encode(text);
    const count = memory.during(() => this.#c.writer_encode(this.#pointer, memory.copyIn(bytes), bytes.length));
    this.#check(count >= 0);
    const ids = new Int32Array(memory.buffer, this.#c.writer_prompt(this.#pointer), count).slice();
    for (const id of ids) this.#feed(id);
  }

  /** Writes one more token; returns what it stands for, which may be half a character and so nothing yet. */
  write(temperature) {
    const count = this.#c.writer_vocabulary(this.#pointer);
    const logits = new Float32Array(this.#library.memory.buffer, this.#logits, count);
    if (!logits.every(Number.isFinite)) throw new Error("a logit is no number");
    const id = choose(logits, temperature, this.#share());
    this.#feed(id);
    return this.#decoder.decode(this.#bytes(id), { stream: true });
  }

  close() {
    this.#c.writer_close(this.#pointer);
  }

  #feed(id) {
    this.#logits = this.#c.writer_feed(this.#pointer, id);
    this.#check(this.#logits !== 0);
  }

  #bytes(id) {
    const { memory } = this.#library;
    return memory.during(() => {
      const out = memory.scratch(4);
      const size = this.#c.writer_text(this.#pointer, id, out);
      return new Uint8Array(memory.buffer, memory.view.getUint32(out, true), size).slice();
    });
  }

  get #why() {
    return this.#library.memory.text(this.#c.writer_why(this.#pointer));
  }

  #check(ok) {
    if (!ok) throw new Error(this.#why);
  }
}
