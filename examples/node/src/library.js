// One copy of the module: what belongs to no cache, and what makes caches and pools.
// SPDX-License-Identifier: MIT

import { Arguments } from "./arguments.js";
import { Cache } from "./cache.js";
import { shapesOf, writeConfig } from "./config.js";
import { SinkattnError } from "./errors.js";
import { Handle } from "./lifetimes.js";
import { Block, Memory } from "./memory.js";
import { Pool } from "./pool.js";
import { enums, integer, nameOf, number } from "./structs.js";

export class Library {
  #exports;
  #memory;

  constructor(instance) {
    this.#exports = instance.exports;
    this.#exports._initialize?.();
    this.#memory = new Memory(this.#exports);
  }

  /** All functions of the module as they are. */
  get exports() {
    return this.#exports;
  }

  get memory() {
    return this.#memory;
  }

  get version() {
    return this.#memory.text(this.#exports.sa_version_string());
  }

  get versionNumber() {
    return this.#exports.sa_version();
  }

  get isaBest() {
    return nameOf("isa", this.#exports.sa_isa_best());
  }

  get isasAvailable() {
    const names = Object.keys(enums.isa).filter((name) => name !== "prefix" && name !== "auto");
    return names.filter((name) => this.#exports.sa_isa_available(enums.isa[name]) === 1);
  }

  /** As the library itself writes it. */
  isaName(isa) {
    return this.#memory.text(this.#exports.sa_isa_name(number("isa", isa)));
  }

  statusSentence(status) {
    return this.#memory.text(this.#exports.sa_status_string(integer("status", status)));
  }

  block(kind, length) {
    return new Block(this.#memory, kind, length);
  }

  configCheck(config) {
    this.#with(config, () => undefined);
  }

  cacheSize(config) {
    return this.#size(config, this.#exports.sa_cache_size);
  }

  poolSize(config) {
    return this.#size(config, this.#exports.sa_pool_size);
  }

  cacheCreate(config) {
    const pointer = this.#make(config, (at, out) => this.#exports.sa_cache_create(at, 0, out));
    return this.cacheAt(pointer, config, new Handle("the cache", pointer, this.#exports.sa_cache_destroy));
  }

  cacheInit(block, config) {
    const pointer = this.#make(config, (at, out) =>
      this.#exports.sa_cache_init(block.pointer, block.byteLength, at, out),
    );
    return this.cacheAt(
      pointer,
      config,
      new Handle("the cache", pointer, this.#exports.sa_cache_destroy, block.handle),
      block,
    );
  }

  poolCreate(config) {
    const pointer = this.#make(config, (at, out) => this.#exports.sa_pool_create(at, 0, out));
    return new Pool(this, new Handle("the pool", pointer, this.#exports.sa_pool_destroy), shapesOf(config));
  }

  poolInit(block, config) {
    const pointer = this.#make(config, (at, out) =>
      this.#exports.sa_pool_init(block.pointer, block.byteLength, at, out),
    );
    return new Pool(
      this,
      new Handle("the pool", pointer, this.#exports.sa_pool_destroy, block.handle),
      shapesOf(config),
      block,
    );
  }

  /** A cache that other code in the same module has made, and owns unless a handle is given. */
  cacheAt(pointer, config, handle = new Handle("the cache", pointer, () => undefined), within = undefined) {
    return new Cache(this, handle, shapesOf(config), within);
  }

  mergePartial(vHeadDim, a, b) {
    this.#partial(vHeadDim, a.max.length, (args, rows) => {
      const max = args.array("a.max", a.max, Float32Array, rows, true);
      const sum = args.array("a.sum", a.sum, Float32Array, rows, true);
      const acc = args.array("a.acc", a.acc, Float32Array, rows * vHeadDim, true);
      const [bMax, bSum] = [b.max, b.sum].map((x) => args.array("b", x, Float32Array, rows));
      const bAcc = args.array("b.acc", b.acc, Float32Array, rows * vHeadDim);
      return this.#exports.sa_merge_partial(BigInt(rows), vHeadDim, max, sum, acc, bMax, bSum, bAcc);
    });
  }

  finishPartial(vHeadDim, { max, sum, acc }, lse) {
    this.#partial(vHeadDim, max.length, (args, rows) => {
      const [atMax, atSum] = [max, sum].map((x) => args.array("max or sum", x, Float32Array, rows));
      const atAcc = args.array("acc", acc, Float32Array, rows * vHeadDim, true);
      const atLse = args.array("lse", lse, Float32Array, rows, true);
      return this.#exports.sa_finish_partial(BigInt(rows), vHeadDim, atMax, atSum, atAcc, atLse);
    });
  }

  #partial(vHeadDim, rows, call) {
    integer("vHeadDim", vHeadDim);
    this.#memory.during(() => {
      const args = new Arguments(this.#memory);
      const status = call(args, rows);
      if (status !== 0) throw new SinkattnError(status, this.statusSentence(status));
      args.fetch();
    });
  }

  /** Runs `use` with the address of a config that has been checked. */
  #with(config, use) {
    const memory = this.#memory;
    return memory.during(() => {
      const at = writeConfig(memory, new Arguments(memory), config);
      const out = memory.scratch(16);
      const status = this.#exports.sa_config_check(at, out, out + 4);
      if (status !== 0) {
        const layer = memory.view.getInt32(out + 4, true);
        throw new SinkattnError(status, memory.text(memory.view.getUint32(out, true)), { layer });
      }
      return use(at, out);
    });
  }

  #make(config, call) {
    return this.#with(config, (at, out) => {
      const status = call(at, out);
      if (status !== 0) throw new SinkattnError(status, this.statusSentence(status));
      return this.#memory.view.getUint32(out, true);
    });
  }

  #size(config, call) {
    return this.#with(config, (at, out) => {
      const status = call(at, out, out + 4);
      if (status !== 0) throw new SinkattnError(status, this.statusSentence(status));
      const { view } = this.#memory;
      return { size: view.getUint32(out, true), alignment: view.getUint32(out + 4, true) };
    });
  }
}
