// A headless Chromium through the pipe that it reads its protocol's messages from: no driver, no package.
// SPDX-License-Identifier: MIT
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const FLAGS = [
  ...["--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"],
];

export class Browser {
  #process;
  #profile;
  #waiting = new Map();
  #id = 0;
  #rest = "";
  #session;
  /** What went wrong on the page, as the browser tells it. */
  faults = [];

  static async open(program, url) {
    const browser = new Browser();
    browser.#profile = await mkdtemp(join(tmpdir(), "sinkattn-page-"));
    const flags = [...FLAGS, `--user-data-dir=${browser.#profile}`, "--window-size=900,640"];
    browser.#process = spawn(program, flags, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
    browser.#process.on("exit", () => browser.#end(new Error("the browser has ended")));
    browser.#process.on("error", (error) => browser.#end(error));
    browser.#process.stdio[4].setEncoding("utf8").on("data", (text) => browser.#take(text));
    browser.#process.stdio[3].on("error", () => undefined); // it has ended: said above
    const { targetId } = await browser.#send("Target.createTarget", { url: "about:blank" });
    browser.#session = (await browser.#send("Target.attachToTarget", { targetId, flatten: true })).sessionId;
    for (const domain of ["Runtime", "Log", "Page"]) await browser.#send(`${domain}.enable`);
    await browser.#send("Page.navigate", { url });
    return browser;
  }

  /** What an expression is on the page. */
  async value(expression) {
    const { result } = await this.#send("Runtime.evaluate", { expression, returnByValue: true });
    return result.value;
  }

  async screenshot() {
    const { data } = await this.#send("Page.captureScreenshot", { format: "png" });
    return Buffer.from(data, "base64");
  }

  async close() {
    const ended = new Promise((resolve) => this.#process.once("exit", resolve));
    this.#process.kill();
    await ended;
    await rm(this.#profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }

  #send(method, params = {}) {
    const id = ++this.#id;
    const message = JSON.stringify({ id, method, params, sessionId: this.#session });
    this.#process.stdio[3].write(`${message}\0`);
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  #take(text) {
    const messages = (this.#rest + text).split("\0");
    this.#rest = messages.pop();
    for (const message of messages) this.#receive(JSON.parse(message));
  }

  #receive({ id, result, error, method, params }) {
    if (method === "Runtime.exceptionThrown") this.faults.push(params.exceptionDetails.text);
    if (method === "Log.entryAdded" && params.entry.level === "error")
      this.faults.push(`${params.entry.text} ${params.entry.url}`);
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error) waiting?.reject(new Error(error.message));
    else waiting?.resolve(result);
  }

  #end(error) {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
