// The module's memory: what is allocated in it, and arrays on their way in and out.
// SPDX-License-Identifier: MIT
//
// Memory may grow in any call that allocates, and then every view of the old buffer is dead. So no view is kept here:
// an address is what stays, and a view is made when bytes are read or written.

import { SinkattnError } from "./errors.js";
import { Handle, dispose } from "./lifetimes.js";
import { integer } from "./structs.js";

const OUT_OF_MEMORY = -4;

/** Memory is asked for in pieces of at least so many bytes for the arguments of calls. */
const LEAST_SCRATCH = 65536;

export class Memory {
  #exports;
  #view = new DataView(new ArrayBuffer(0));
  #scratch = { at: 0, size: 0 };
  #used = 0;
  #depth = 0;
  #overflow = [];

  constructor(exports) {
    this.#exports = exports;
  }

  get buffer() {
    return this.#exports.memory.buffer;
  }

  /** A view of all memory, good until the next allocation. */
  get view() {
    if (this.#view.buffer !== this.buffer) this.#view = new DataView(this.buffer);
    return this.#view;
  }

  allocate(size) {
    const pointer = this.#exports.malloc(size) >>> 0;
    if (pointer === 0) throw new SinkattnError(OUT_OF_MEMORY, `out of memory: ${size} bytes wanted`);
    return pointer;
  }

  free(pointer) {
    this.#exports.free(pointer);
  }

  /** A sentence of the library. */
  text(pointer) {
    const bytes = new Uint8Array(this.buffer, pointer >>> 0);
    return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
  }

  /** Runs `call`, during which scratch() may be called; what that gave is free again when it returns. */
  during(call) {
    this.#depth++;
    try {
      return call();
    } finally {
      if (--this.#depth === 0) this.#reuse();
    }
  }

  /** Memory for the arguments of a call, aligned to 16. */
  scratch(size) {
    const rounded = Math.ceil(size / 16) * 16;
    if (this.#used + rounded > this.#scratch.size) {
      this.#overflow.push(this.#scratch);
      this.#scratch = { at: 0, size: 0 };
      const wanted = Math.max(2 * rounded, LEAST_SCRATCH);
      this.#scratch = { at: this.allocate(wanted), size: wanted };
      this.#used = 0;
    }
    const pointer = this.#scratch.at + this.#used;
    this.#used += rounded;
    return pointer;
  }

  /** Of several pieces the last one, which is the largest that was ever needed at once or next to it, is kept. */
  #reuse() {
    for (const piece of this.#overflow) if (piece.at !== 0) this.free(piece.at);
    this.#overflow = [];
    this.#used = 0;
  }

  /** Copies an array's bytes into scratch memory; 0 for undefined. */
  copyIn(array) {
    if (array === undefined || array === null) return 0;
    const pointer = this.scratch(array.byteLength);
    const from = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    new Uint8Array(this.buffer, pointer, array.byteLength).set(from);
    return pointer;
  }

  /** Copies bytes at an address into an array. */
  copyOut(pointer, array) {
    const to = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    to.set(new Uint8Array(this.buffer, pointer, array.byteLength));
  }
}

/**
 * An array in the module's own memory, which calls take without a copy. Memory that grows leaves old views dead, so
 * `array` is made anew each time.
 */
export class Block {
  #memory;
  #kind;
  #handle;
  #length;

  constructor(memory, kind, length) {
    const size = Math.max(1, integer("length", length, 0) * kind.BYTES_PER_ELEMENT);
    this.#memory = memory;
    this.#kind = kind;
    this.#length = length;
    this.#handle = new Handle("the block", memory.allocate(size), (pointer) => memory.free(pointer)).follow(this);
    new Uint8Array(memory.buffer, this.pointer, size).fill(0);
  }

  get handle() {
    return this.#handle;
  }

  get kind() {
    return this.#kind;
  }

  get pointer() {
    return this.#handle.pointer;
  }

  get length() {
    return this.#length;
  }

  get byteLength() {
    return this.#length * this.#kind.BYTES_PER_ELEMENT;
  }

  get array() {
    return new this.#kind(this.#memory.buffer, this.pointer, this.#length);
  }

  isOf(memory) {
    return memory === this.#memory;
  }

  free() {
    this.#handle.end();
  }

  [dispose]() {
    this.free();
  }
}
