// Many sequences of one model, which share tiles and one workspace.
// SPDX-License-Identifier: MIT

import { Arguments } from "./arguments.js";
import { Cache } from "./cache.js";
import { SinkattnError } from "./errors.js";
import { Handle, dispose } from "./lifetimes.js";
import { Block } from "./memory.js";
import { onlyBlocks, writeStep } from "./step.js";
import * as structs from "./structs.js";

const { integer } = structs;

/** SA_ERR_FULL and SA_ERR_POOL. */
const NO_ROOM = [-11, -13];

export class Pool {
  #library;
  #handle;
  #shapes;
  #block; // what the pool lies in must not be collected before it

  constructor(library, handle, shapes, block) {
    this.#library = library;
    this.#handle = handle.follow(this);
    this.#shapes = shapes;
    this.#block = block;
  }

  get pointer() {
    return this.#handle.pointer;
  }

  /** Why the last call that took the pool failed; "" if it did not. */
  get error() {
    return this.#memory.text(this.#c.sa_pool_error(this.pointer));
  }

  destroy() {
    this.#handle.end();
  }

  [dispose]() {
    this.destroy();
  }

  open() {
    return this.#memory.during(() => {
      const out = this.#memory.scratch(4);
      this.#check(this.#c.sa_pool_open(this.pointer, out));
      const pointer = this.#memory.view.getUint32(out, true);
      const handle = new Handle("the cache", pointer, this.#c.sa_cache_destroy, this.#handle);
      return new Cache(this.#library, handle, this.#shapes, this);
    });
  }

  info(layer = 0, kvHead = 0) {
    const { poolFacts } = structs;
    return this.#memory.during(() => {
      const at = this.#memory.scratch(poolFacts.size);
      structs.write(this.#memory.view, at, poolFacts, {});
      const status = this.#c.sa_pool_info(this.pointer, integer("layer", layer), integer("kvHead", kvHead), at);
      if (status !== 0) throw new SinkattnError(status, this.#library.statusSentence(status));
      const facts = structs.read(this.#memory.view, at, poolFacts);
      return Object.fromEntries(Object.entries(facts).map(([name, count]) => [name, Number(count)]));
    });
  }

  canAppend(wanted) {
    return this.#memory.during(() => {
      const caches = this.#memory.copyIn(Uint32Array.from(wanted, ({ cache }) => cache.pointer));
      const counts = this.#memory.copyIn(Int32Array.from(wanted, ({ nTokens }) => integer("nTokens", nTokens)));
      const failed = this.#memory.scratch(4);
      const status = this.#c.sa_pool_can_append(this.pointer, wanted.length, caches, counts, failed);
      if (!NO_ROOM.includes(status)) this.#check(status, failed);
      return status === 0;
    });
  }

  batch(steps) {
    this.#batch(steps, (args, n, caches, at) => {
      const failed = this.#memory.scratch(4);
      this.#check(this.#c.sa_batch(this.pointer, n, caches, at, failed), failed);
      args.fetch();
    });
  }

  batchBegin(steps) {
    for (const step of steps) onlyBlocks(step, Block);
    return this.#batch(steps, (_, n, caches, at) => {
      const [phases, failed] = [this.#memory.scratch(4), this.#memory.scratch(4)];
      this.#check(this.#c.sa_batch_begin(this.pointer, n, caches, at, phases, failed), failed);
      return this.#memory.view.getInt32(phases, true);
    });
  }

  batchPart(phase, index, count) {
    const status = this.#c.sa_batch_part(
      this.pointer,
      integer("phase", phase),
      integer("index", index),
      integer("count", count),
    );
    if (status !== 0) throw new SinkattnError(status, this.#library.statusSentence(status));
  }

  get #c() {
    return this.#library.exports;
  }

  get #memory() {
    return this.#library.memory;
  }

  #batch(steps, call) {
    return this.#memory.during(() => {
      const args = new Arguments(this.#memory);
      const caches = steps.map((step) => step.cache.pointer);
      const pointers = steps.map(({ cache, ...step }) => writeStep(this.#memory, args, cache.shapes, step));
      const [atCaches, atSteps] = [caches, pointers].map((list) => this.#memory.copyIn(Uint32Array.from(list)));
      return call(args, steps.length, atCaches, atSteps);
    });
  }

  #check(status, failed = 0) {
    if (status === 0) return;
    const index = failed === 0 ? -1 : this.#memory.view.getInt32(failed, true);
    throw new SinkattnError(status, this.error, index < 0 ? {} : { index });
  }
}
