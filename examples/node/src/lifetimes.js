// Who still lives: what was closed is refused, what was forgotten is closed when it is collected.
// SPDX-License-Identifier: MIT

const forgotten = new FinalizationRegistry((handle) => handle.end());

/** The key of the method that `using` calls, also where the engine does not know it yet. */
export const dispose = Symbol.dispose ?? Symbol.for("Symbol.dispose");

/** The address of something in the module's memory, until that ends, or what it lies in does. */
export class Handle {
  #pointer;
  #end;
  #within;

  /**
   * @param {string} what what an error calls it
   * @param {number} pointer its address
   * @param {(pointer: number) => void} end what ends it
   * @param {Handle} [within] what it lies in
   */
  constructor(what, pointer, end, within) {
    this.what = what;
    this.#pointer = pointer;
    this.#end = end;
    this.#within = within;
  }

  get alive() {
    return this.#pointer !== 0 && (this.#within === undefined || this.#within.alive);
  }

  get pointer() {
    if (!this.alive) throw new TypeError(`${this.what} has been closed`);
    return this.#pointer;
  }

  /** Ends it, once; not what has ended with what it lies in. */
  end() {
    const pointer = this.alive ? this.#pointer : 0;
    this.#pointer = 0;
    if (pointer !== 0) this.#end(pointer);
  }

  /** Another of the same kind that lies in the same. */
  beside(pointer) {
    return new Handle(this.what, pointer, this.#end, this.#within);
  }

  /** Ends it when `owner` is collected. The owner must hold all that this lies in. */
  follow(owner) {
    forgotten.register(owner, this);
    return this;
  }
}
