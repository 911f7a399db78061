// Writes in a thread of its own, so that the page stays awake.
// SPDX-License-Identifier: MIT

import { load } from "../src/index.js";
import { Writer } from "./writer.js";

const [module, model] = await Promise.all(
  ["writer.wasm", "vanilla.gguf"].map(async (name) => {
    const response = await fetch(new URL(`../dist/${name}`, import.meta.url));
    if (!response.ok) throw new Error(`${name}: ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  }),
);
const library = await load({ module });

let writer;
let wanted = { perSecond: 40, temperature: 0.8, paused: false };
let due = 0; // when the next token is

function begin(settings) {
  writer?.close();
  writer = new Writer(library, model, settings);
  writer.read(settings.prompt);
  postMessage({ fresh: true, text: settings.prompt, facts: facts(0, 1) });
}

function facts(milliseconds, tokens) {
  const { tokensSeen, positionsHeld, cacheSize } = writer.cache.info();
  const memory = library.memory.buffer.byteLength;
  return { seen: Number(tokensSeen), held: positionsHeld, cacheSize, memory, each: milliseconds / tokens };
}

/** Writes for a moment at most, then lets messages in. */
function slice() {
  const began = performance.now();
  let [text, tokens] = ["", 0];
  due = Math.max(due, began - 100);
  while (!wanted.paused && due <= performance.now() && performance.now() - began < 30) {
    text += writer.write(wanted.temperature);
    due += 1000 / wanted.perSecond;
    tokens++;
  }
  if (tokens > 0) postMessage({ text, facts: facts(performance.now() - began, tokens) });
  setTimeout(slice, tokens > 0 ? 0 : 10);
}

onmessage = ({ data }) => {
  wanted = { ...wanted, ...data.wanted };
  if (data.begin) begin(data.begin);
};
postMessage({ ready: true });
await new Promise((resolve) => addEventListener("message", resolve, { once: true }));
slice();
