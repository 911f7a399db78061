// Fetches the module, in Node and in a browser alike: the one for relaxed SIMD where the engine has that.
// SPDX-License-Identifier: MIT

import { Library } from "./library.js";

/** A module with one relaxed instruction, i8x16.relaxed_swizzle. */
const RELAXED = Uint8Array.of(
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7b, 0x03, 0x02, 0x01, 0x00],
  ...[0x0a, 0x0f, 0x01, 0x0d, 0x00, 0x41, 0x01, 0xfd, 0x0f, 0x41, 0x02, 0xfd, 0x0f, 0xfd, 0x80, 0x02, 0x0b],
);

async function bytesAt(url) {
  if (url.protocol !== "file:") {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`${url.href}: ${response.status} ${response.statusText}`);
    return response.arrayBuffer();
  }
  const { readFile } = await import("node:fs/promises");
  return readFile(url);
}

async function bundled(relaxed) {
  const names = relaxed ? ["sinkattn-relaxed.wasm", "sinkattn.wasm"] : ["sinkattn.wasm"];
  for (const name of names) {
    const bytes = await bytesAt(new URL(`../dist/${name}`, import.meta.url)).catch((error) => {
      if (name === names.at(-1)) throw error;
    });
    if (bytes) return bytes;
  }
}

/** What a module of other code that brings the library may ask for of its system: a clock. All else is refused. */
function importsOf(module, memory) {
  const NOT_SUPPORTED = 58;
  const known = {
    clock_time_get: (_clock, _precision, at) => {
      const nanoseconds = BigInt(Math.round(performance.now() * 1e6));
      new DataView(memory().buffer).setBigUint64(at, nanoseconds, true);
      return 0;
    },
  };
  const imports = {};
  for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    imports[from] ??= {};
    imports[from][name] = known[name] ?? (() => NOT_SUPPORTED);
  }
  return imports;
}

export async function load({ module, relaxed = WebAssembly.validate(RELAXED) } = {}) {
  const given = module ?? (await bundled(relaxed));
  const compiled = given instanceof WebAssembly.Module ? given : await WebAssembly.compile(given);
  const instance = await WebAssembly.instantiate(
    compiled,
    importsOf(compiled, () => instance.exports.memory),
  );
  return new Library(instance);
}
