// A sequence: a stream and what is held of it.
// SPDX-License-Identifier: MIT

import { Arguments } from "./arguments.js";
import { SinkattnError } from "./errors.js";
import { dispose } from "./lifetimes.js";
import { Block } from "./memory.js";
import { onlyBlocks, shapeOfLayer, shapeOfTensor, writeStep } from "./step.js";
import * as structs from "./structs.js";

const { ALL_LAYERS, flags, integer, nameOf, number, position } = structs;

export class Cache {
  #library;
  #handle;
  #shapes;
  #within; // what the cache lies in must not be collected before it

  constructor(library, handle, shapes, within) {
    this.#library = library;
    this.#handle = handle.follow(this);
    this.#shapes = shapes;
    this.#within = within;
  }

  get pointer() {
    return this.#handle.pointer;
  }

  get shapes() {
    return this.#shapes;
  }

  /** Why the last call failed; "" if it did not. */
  get error() {
    return this.#memory.text(this.#c.sa_cache_error(this.pointer));
  }

  destroy() {
    this.#handle.end();
  }

  [dispose]() {
    this.destroy();
  }

  appendKv(layer, nTokens, k, v) {
    this.#plain(layer, nTokens, { k, v }, (at) => this.#c.sa_append_kv(this.pointer, layer, nTokens, at.k, at.v));
  }

  attend(layer, nTokens, q, out = this.#room(layer, nTokens)) {
    this.#plain(layer, nTokens, { q, out }, (at) => this.#c.sa_attend(this.pointer, layer, nTokens, at.q, at.out));
    return out;
  }

  appendAttend(layer, nTokens, q, k, v, out = this.#room(layer, nTokens)) {
    this.#plain(layer, nTokens, { q, k, v, out }, (at) =>
      this.#c.sa_append_attend(this.pointer, layer, nTokens, at.q, at.k, at.v, at.out),
    );
    return out;
  }

  step(step) {
    this.#with((args) => this.#c.sa_step(this.pointer, writeStep(this.#memory, args, this.#shapes, step)));
  }

  stepBegin(step) {
    onlyBlocks(step, Block);
    return this.#memory.during(() => {
      const args = new Arguments(this.#memory);
      const phases = this.#memory.scratch(4);
      this.#check(this.#c.sa_step_begin(this.pointer, writeStep(this.#memory, args, this.#shapes, step), phases));
      return this.#memory.view.getInt32(phases, true);
    });
  }

  stepPart(phase, index, count) {
    const status = this.#c.sa_step_part(
      this.pointer,
      integer("phase", phase),
      integer("index", index),
      integer("count", count),
    );
    if (status !== 0) throw new SinkattnError(status, this.#library.statusSentence(status));
  }

  reset(layer = ALL_LAYERS) {
    this.#check(this.#c.sa_cache_reset(this.pointer, integer("layer", layer)));
  }

  rollback(nTokens, layer = ALL_LAYERS) {
    this.#check(
      this.#c.sa_cache_rollback(this.pointer, integer("layer", layer), structs.integer64("nTokens", nTokens)),
    );
  }

  seek(to, layer = ALL_LAYERS) {
    this.#check(this.#c.sa_cache_seek(this.pointer, integer("layer", layer), position("position", to)));
  }

  restart(to, layer = ALL_LAYERS) {
    this.#check(this.#c.sa_cache_restart(this.pointer, integer("layer", layer), position("position", to)));
  }

  remove(from, end, gap = "close", layer = ALL_LAYERS) {
    this.#range(from, end, layer, (...range) => this.#c.sa_cache_remove(...range, number("gap", gap)));
  }

  pin(from, end, layer = ALL_LAYERS) {
    this.#range(from, end, layer, this.#c.sa_cache_pin);
  }

  unpin(from, end, layer = ALL_LAYERS) {
    this.#range(from, end, layer, this.#c.sa_cache_unpin);
  }

  anchor(from, end, layer = ALL_LAYERS) {
    this.#range(from, end, layer, this.#c.sa_cache_anchor);
  }

  info(layer = 0) {
    const { cacheFacts } = structs;
    const facts = this.#memory.during(() => {
      const at = this.#memory.scratch(cacheFacts.size);
      structs.write(this.#memory.view, at, cacheFacts, {});
      this.#check(this.#c.sa_cache_info(this.pointer, integer("layer", layer), at), false);
      return structs.read(this.#memory.view, at, cacheFacts);
    });
    const { tokensSeen, isa, ...counts } = facts;
    const numbers = Object.fromEntries(Object.entries(counts).map(([name, count]) => [name, Number(count)]));
    return { isa: nameOf("isa", isa), tokensSeen, ...numbers };
  }

  spans(layer = 0, kvHead = 0) {
    const { span } = structs;
    const call = (...room) =>
      this.#c.sa_cache_spans(this.pointer, integer("layer", layer), integer("kvHead", kvHead), ...room);
    return this.#list(
      call,
      (n) => n,
      span.size,
      (view, at) => {
        const { kind, masked, ...rest } = structs.read(view, at, span);
        return { ...rest, kind: nameOf("spanKind", kind), masked: masked !== 0 };
      },
    );
  }

  positions(layer = 0, kvHead = 0) {
    const call = (...room) =>
      this.#c.sa_cache_positions(this.pointer, integer("layer", layer), integer("kvHead", kvHead), ...room);
    return BigUint64Array.from(this.#list(call, BigInt, 8, (view, at) => view.getBigUint64(at, true)));
  }

  read({ layer = 0, positions, kvHead = 0, nKvHeads = 0, keyForm = "asStored", k, v, places, rows = false }) {
    const shape = shapeOfLayer(this.#shapes, layer);
    const nTokens = positions.length;
    const heads = nKvHeads || shape.nKvHeads - kvHead;
    this.#with((args) => {
      const pointer = this.#memory.scratch(structs.readArgs.size);
      structs.write(this.#memory.view, pointer, structs.readArgs, {});
      const values = {
        ...{ layer, nTokens, kvHead, nKvHeads, keyForm: number("keyForm", keyForm) },
        flags: rows ? flags.SA_READ_ROWS : 0,
        positions: args.array("positions", positions, BigUint64Array, nTokens),
        k: args.tensor("k", k, [nTokens, heads, shape.headDim], shape.ioDtype, true),
        v: args.tensor("v", v, [nTokens, heads, shape.vHeadDim], shape.ioDtype, true),
        places: args.array("places", places, BigInt64Array, nTokens),
      };
      structs.write(this.#memory.view, pointer, structs.readArgs, values);
      return this.#c.sa_cache_read(this.pointer, pointer);
    });
  }

  setSinkKv(layer, k, v) {
    const shape = shapeOfLayer(this.#shapes, layer);
    this.#with((args) => {
      const [atK, atV] = [
        args.tensor("k", k, [shape.nSinkKv, shape.nKvHeads, shape.headDim], shape.ioDtype),
        args.tensor("v", v, [shape.nSinkKv, shape.nKvHeads, shape.vHeadDim], shape.ioDtype),
      ];
      if (atK?.dtype !== shape.ioDtype || atV?.dtype !== shape.ioDtype) throw new TypeError("rows are of ioDtype");
      return this.#c.sa_set_sink_kv(this.pointer, integer("layer", layer), atK.data, atV.data);
    });
  }

  setRows({ layer = 0, first = 0, nRows, kvHead = 0, nKvHeads = 0, k, v, places, biases, atDistance = false }) {
    const shape = shapeOfLayer(this.#shapes, layer);
    const heads = nKvHeads || shape.nKvHeads - kvHead;
    const each = nRows * heads;
    this.#with((args) => {
      const values = {
        ...{ layer, first, nRows, kvHead, nKvHeads, flags: atDistance ? flags.SA_ROWS_AT_DISTANCE : 0 },
        k: args.tensor("k", k, [nRows, heads, shape.headDim], shape.ioDtype),
        v: args.tensor("v", v, [nRows, heads, shape.vHeadDim], shape.ioDtype),
        places: args.array("places", places, BigInt64Array, each),
        biases: args.array("biases", biases, Float32Array, each),
      };
      const pointer = this.#memory.scratch(structs.rows.size);
      structs.write(this.#memory.view, pointer, structs.rows, values);
      return this.#c.sa_set_rows(this.pointer, pointer);
    });
  }

  draftAccept(path, layer = ALL_LAYERS) {
    this.#with((args) => {
      const at = args.array("path", path, Int32Array, path.length);
      return this.#c.sa_draft_accept(this.pointer, integer("layer", layer), path.length, at);
    });
  }

  fork() {
    const pointer = this.#memory.during(() => {
      const out = this.#memory.scratch(4);
      this.#check(this.#c.sa_cache_fork(this.pointer, out));
      return this.#memory.view.getUint32(out, true);
    });
    return new Cache(this.#library, this.#handle.beside(pointer), this.#shapes, this.#within);
  }

  saveSize(from = 0n) {
    return this.#memory.during(() => {
      const out = this.#memory.scratch(4);
      this.#check(this.#c.sa_cache_save_size(this.pointer, position("from", from), out));
      return this.#memory.view.getUint32(out, true);
    });
  }

  save(from = 0n) {
    const size = this.saveSize(from);
    return this.#memory.during(() => {
      const [data, out] = [this.#memory.scratch(size), this.#memory.scratch(4)];
      this.#check(this.#c.sa_cache_save(this.pointer, position("from", from), data, size, out));
      const bytes = new Uint8Array(this.#memory.view.getUint32(out, true));
      this.#memory.copyOut(data, bytes);
      return bytes;
    });
  }

  load(bytes) {
    this.#with((args) => {
      const at = args.array("bytes", bytes, Uint8Array, bytes.length);
      return this.#c.sa_cache_load(this.pointer, at, bytes.length);
    });
  }

  get #c() {
    return this.#library.exports;
  }

  get #memory() {
    return this.#library.memory;
  }

  #check(status, hasSentence = true) {
    if (status !== 0) throw new SinkattnError(status, hasSentence ? this.error : this.#library.statusSentence(status));
  }

  #with(call) {
    this.#memory.during(() => {
      const args = new Arguments(this.#memory);
      this.#check(call(args));
      args.fetch();
    });
  }

  /** The three calls: contiguous tensors of ioDtype. */
  #plain(layer, nTokens, tensors, call) {
    integer("layer", layer);
    integer("nTokens", nTokens);
    const shape = shapeOfLayer(this.#shapes, layer);
    this.#with((args) => {
      const at = {};
      for (const [name, value] of Object.entries(tensors)) {
        const tensor = args.tensor(name, value, shapeOfTensor(name, nTokens, shape), shape.ioDtype, name === "out");
        if (tensor !== undefined && (tensor.dtype !== shape.ioDtype || value.data !== undefined)) {
          throw new TypeError(`${name} must be contiguous and of ioDtype; step() takes all others`);
        }
        at[name] = tensor?.data ?? 0;
      }
      return call(at);
    });
  }

  /** What a listing call gives: how many there are, then all of them. `count` makes the number that it takes. */
  #list(call, count, size, read) {
    return this.#memory.during(() => {
      const out = this.#memory.scratch(8);
      this.#memory.view.setBigInt64(out, 0n, true);
      this.#check(call(count(0), 0, out), false);
      const n = this.#memory.view.getInt32(out, true);
      const at = this.#memory.scratch(n * size);
      this.#check(call(count(n), at, out), false);
      return Array.from({ length: n }, (_, i) => read(this.#memory.view, at + i * size));
    });
  }

  #range(from, end, layer, call) {
    const last = end === Infinity ? structs.END : position("end", end);
    this.#check(call(this.pointer, integer("layer", layer), position("from", from), last));
  }

  #room(layer, nTokens) {
    const { nHeads, vHeadDim, ioDtype } = shapeOfLayer(this.#shapes, layer);
    return new (ioDtype === 1 ? Float32Array : Uint16Array)(integer("nTokens", nTokens, 0) * nHeads * vHeadDim);
  }
}
