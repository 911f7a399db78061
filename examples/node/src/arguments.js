// The arrays of one call: checked against their shapes, put where the library can read them, and fetched back.
// SPDX-License-Identifier: MIT

import { Block } from "./memory.js";
import { flags, integer, number } from "./structs.js";

/** What a plain array of 16-bit numbers stands for is the cache's io_dtype, or said in the tensor. */
function dtypeOf(name, kind, given, ioDtype) {
  if (given !== undefined) return number("dtype", given);
  if (kind === Float32Array) return 1;
  if (kind === globalThis.Float16Array) return 2;
  if (kind === Uint16Array && ioDtype > 1) return ioDtype;
  throw new TypeError(`${name}: a ${kind.name} needs a dtype beside it: f16 or bf16`);
}

/** The first element and the one behind the last that a tensor touches. */
function extent(offset, dim, steps) {
  let [low, high] = [offset, offset + dim];
  for (const [count, stride] of steps) {
    if (stride > 0) high += (count - 1) * stride;
    else low += (count - 1) * stride;
  }
  return [low, high];
}

export class Arguments {
  #memory;
  #written = [];

  constructor(memory) {
    this.#memory = memory;
  }

  /**
   * A tensor (tokens, heads, dim) as fields of sa_tensor. `value` is an array, a block, or { data, offset, tokenStride,
   * headStride, dtype }, all counted in elements. Undefined: there is none.
   */
  tensor(name, value, [tokens, heads, dim], ioDtype, written = false) {
    if (value === undefined || value === null) return undefined;
    const plain = ArrayBuffer.isView(value) || value instanceof Block;
    const {
      data,
      offset = 0,
      headStride = dim,
      tokenStride = heads * headStride,
      dtype,
    } = plain ? { data: value } : value;
    for (const [what, stride] of Object.entries({ offset, headStride, tokenStride }))
      integer(`${name}.${what}`, stride);
    const kind = data instanceof Block ? data.kind : data.constructor;
    const type = dtypeOf(name, kind, dtype, ioDtype);
    const size = type === 1 ? 4 : 2;
    if (kind.BYTES_PER_ELEMENT !== size) throw new TypeError(`${name}: a ${kind.name} cannot hold its dtype`);

    const none = tokens === 0;
    const [low, high] = none
      ? [0, 0]
      : extent(offset, dim, [
          [tokens, tokenStride],
          [heads, headStride],
        ]);
    const exact = plain && data.length !== high;
    if (low < 0 || high > data.length || exact) {
      throw new RangeError(
        `${name} has ${data.length} numbers; (${tokens}, ${heads}, ${dim}) of it are ${low} to ${high}`,
      );
    }
    return {
      data: none
        ? this.#memory.scratch(16)
        : this.#place(data, low, high, size, written, !plain) + (offset - low) * size,
      tokenStride: tokenStride * size,
      headStride: headStride * size,
      dtype: type,
      flags: flags.SA_TENSOR_STRIDES_GIVEN,
    };
  }

  /** An array of `length` numbers of a kind; its address, or 0 if there is none. */
  array(name, value, kind, length, written = false) {
    if (value === undefined || value === null) return 0;
    const data = ArrayBuffer.isView(value) || value instanceof Block ? value : kind.from(value);
    if ((data instanceof Block ? data.kind : data.constructor) !== kind)
      throw new TypeError(`${name} is no ${kind.name}`);
    if (data.length !== length) throw new RangeError(`${name} has ${data.length} numbers and not ${length}`);
    return this.#place(data, 0, length, kind.BYTES_PER_ELEMENT, written, written);
  }

  /** Where elements [low, high) are in the module's memory. What is written there has what was there before, if the
   * call may leave gaps. */
  #place(data, low, high, size, written, gaps) {
    if (data instanceof Block) {
      if (!data.isOf(this.#memory)) throw new TypeError("a block of another library");
      return data.pointer + low * size;
    }
    if (data.buffer === this.#memory.buffer) throw new TypeError("hand in the block itself, not its array");
    const part = data.subarray(low, high);
    const pointer = written && !gaps ? this.#memory.scratch(part.byteLength) : this.#memory.copyIn(part);
    if (written) this.#written.push([pointer, part]);
    return pointer;
  }

  /** Fetches what the call has written. */
  fetch() {
    for (const [pointer, part] of this.#written) this.#memory.copyOut(pointer, part);
  }
}
