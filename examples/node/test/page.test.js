// The page in a real browser: thousands of tokens beyond its window without a fault, in constant memory, and the text
// that the same module writes in Node. SITE is the folder that page/build.sh has made, CHROMIUM the browser; SCREENSHOT,
// if set, a file for a picture.
// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { load } from "../src/index.js";
import { Browser } from "./browser.js";

const { SITE, CHROMIUM = "chromium", SCREENSHOT } = process.env;
const BEYOND = 2000;
const HELD = 256;
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm" };

/** Serves the site on a port of its own. */
async function serve() {
  const server = createServer(async (request, response) => {
    const path = normalize(new URL(request.url, "http://localhost").pathname);
    try {
      const file = await readFile(join(SITE, path.endsWith("/") ? `${path}index.html` : path));
      response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "text/html" }).end(file);
    } catch {
      response.writeHead(path === "/favicon.ico" ? 204 : 404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

/** Waits until the page has seen so many tokens. */
async function seen(browser, tokens) {
  for (let i = 0; i < 3000; i++) {
    const { seen: now = 0, fault } = (await browser.value("({ ...document.body?.dataset })")) ?? {};
    assert.equal(fault, undefined);
    if (Number(now) >= tokens) return Number(now);
    await sleep(100);
  }
  assert.fail(`the page has not come to ${tokens} tokens`);
}

async function inNode(sinks, prompt, tokens) {
  const [module, model] = await Promise.all(
    ["writer.wasm", "vanilla.gguf"].map((name) => readFile(join(SITE, "dist", name))),
  );
  const { Writer } = await import("../page/writer.js");
  const writer = new Writer(await load({ module }), model, { sinks, seed: 1 });
  writer.read(prompt);
  let text = prompt;
  for (let i = 0; i < tokens; i++) text += writer.write(0.8);
  return text;
}

test("a text without end", { skip: SITE === undefined && "no SITE", timeout: 300_000 }, async () => {
  const server = await serve();
  const url = `http://127.0.0.1:${server.address().port}/page/?seed=1&speed=1000000`;
  const browser = await Browser.open(CHROMIUM, url);
  try {
    await seen(browser, HELD + 100);
    const memory = await browser.value("document.body.dataset.memory");
    const total = await seen(browser, HELD + BEYOND);
    assert.equal(await browser.value("document.getElementById('held').textContent"), String(HELD));
    assert.equal(await browser.value("document.body.dataset.memory"), memory);
    await browser.value("document.getElementById('pause').click()");
    const text = await browser.value("document.getElementById('text').textContent");
    assert.ok(text.length >= BEYOND, `${total} tokens, ${text.length} characters`);
    const prompt = await browser.value("document.getElementById('prompt').value");
    assert.equal(text.slice(0, BEYOND), (await inNode(4, prompt, HELD + BEYOND)).slice(0, BEYOND));
    if (SCREENSHOT) {
      await sleep(500);
      await writeFile(SCREENSHOT, await browser.screenshot());
    }
    assert.deepEqual(browser.faults, []);
    console.log(`${total} tokens, ${await browser.value("document.getElementById('each').textContent")} each`);
  } finally {
    await browser.close();
    server.close();
  }
});
