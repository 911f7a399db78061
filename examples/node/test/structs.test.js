// The structs and numbers here are those of tests/abi/layout.c, and nothing is missing.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { statusCodes } from "../src/errors.js";
import * as structs from "../src/structs.js";

const top = process.env.SINKATTN ?? new URL("../../..", import.meta.url).pathname;
const layout = await readFile(`${top}/tests/abi/layout.c`, "utf8");
const map = await readFile(`${top}/lib/sinkattn.map`, "utf8");

const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
/** What a line NAME(a, b, c, d, ...) says, by its first words. */
const lines = (macro) => [...layout.matchAll(new RegExp(`^${macro}\\((.*)\\)$`, "gm"))].map((m) => m[1].split(", "));

const ours = Object.values(structs).filter((value) => value?.fields instanceof Map);

test("every struct's size and every field's place", () => {
  const skipped = ["sa_allocator"]; // functions: JavaScript has no address of one
  const sizes = lines("SIZE").filter(([name]) => !skipped.includes(name));
  assert.ok(sizes.length >= 8);
  for (const [name, , size] of sizes) {
    const struct = ours.find((candidate) => candidate.name === name);
    assert.equal(struct?.size, Number(size), name);
    const expected = lines("FIELD")
      .filter(([of]) => of === name)
      .map(([, field, , place]) => `${field} ${place}`);
    const found = [...struct.fields].map(([field, { offset }]) => `${snake(field)} ${offset}`);
    assert.deepEqual(found, expected, name);
  }
});

test("every number", () => {
  const known = new Map(Object.entries(structs.flags));
  known.set("SA_ALL_LAYERS", structs.ALL_LAYERS).set("SA_SUCCESS", 0);
  for (const [status, code] of Object.entries(statusCodes)) known.set(code, Number(status));
  for (const { prefix, ...names } of Object.values(structs.enums)) {
    for (const [name, value] of Object.entries(names)) known.set(prefix + snake(name).toUpperCase(), value);
  }
  for (const [name, value] of lines("NUMBER")) assert.equal(known.get(name), Number(value), name);
  assert.equal(known.size, lines("NUMBER").length);
});

test("every function is exported, and called by something here", async () => {
  const { load } = await import("../src/index.js");
  const { exports } = await load();
  const sources = ["cache", "library", "pool"].map((name) =>
    readFile(new URL(`../src/${name}.js`, import.meta.url), "utf8"),
  );
  const text = (await Promise.all(sources)).join("");
  const names = [...map.matchAll(/^    (sa_[a-z_]*);$/gm)].map((match) => match[1]);
  assert.ok(names.length >= 45);
  for (const name of names) {
    assert.equal(typeof exports[name], "function", name);
    assert.match(text, new RegExp(`\\.${name}\\b`), `${name} is wrapped`);
  }
});
