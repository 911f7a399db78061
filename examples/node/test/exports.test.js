// The sources have what index.d.ts promises, and nothing public beside it.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import * as sinkattn from "../src/index.js";

const declarations = await readFile(new URL("../src/index.d.ts", import.meta.url), "utf8");

/** The members of a declared class: the first word of each line that is one level deep. */
function declared(name) {
  const body = declarations.match(new RegExp(`^export class ${name}\\b[^{]*\\{\\n(.*?)^\\}`, "ms"))[1];
  const members = [...body.matchAll(/^  (?:readonly )?([a-z]\w*)\b(?=[(<:])/gim)].map((match) => match[1]);
  return [...new Set(members)].filter((member) => member !== "constructor").sort();
}

for (const name of ["Library", "Cache", "Pool", "Block"]) {
  test(`${name} is as declared`, () => {
    const found = Object.getOwnPropertyNames(sinkattn[name].prototype).filter((member) => member !== "constructor");
    const inner = { Block: ["handle", "isOf", "kind"] }[name] ?? []; // between the sources
    assert.deepEqual(found.filter((member) => !inner.includes(member)).sort(), declared(name));
  });
}

test("all that is exported is declared", () => {
  const values = [...declarations.matchAll(/^export (?:class|function) (\w+)/gm)].map((match) => match[1]);
  assert.deepEqual(Object.keys(sinkattn).sort(), values.sort());
});
