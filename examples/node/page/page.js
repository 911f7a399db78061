// The page: what the worker writes, and what the reader wants.
// SPDX-License-Identifier: MIT

const LONGEST = 20000; // characters that stay on the page
const at = (id) => document.getElementById(id);
const given = new URLSearchParams(location.search); // ?sinks=0&speed=1000000&seed=7
const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });

function wanted() {
  return {
    perSecond: Number(at("speed").value),
    temperature: Number(at("temperature").value),
    paused: at("pause").checked,
  };
}

function begin() {
  const settings = { sinks: Number(at("sinks").value), window: 252, seed: Number(given.get("seed") ?? Date.now()) };
  worker.postMessage({ wanted: wanted(), begin: { ...settings, prompt: at("prompt").value } });
}

function show({ text, fresh, facts }) {
  const page = at("text");
  const atEnd = page.scrollHeight - page.scrollTop - page.clientHeight < 40;
  page.textContent = ((fresh ? "" : page.textContent) + text).slice(-LONGEST);
  if (atEnd) page.scrollTop = page.scrollHeight;
  const number = (x) => x.toLocaleString("en");
  at("seen").textContent = number(facts.seen);
  at("held").textContent = number(facts.held);
  at("each").textContent = `${facts.each.toFixed(2)} ms`;
  at("cache").textContent = `${number(Math.round(facts.cacheSize / 1024))} KiB`;
  at("memory").textContent = `${(facts.memory / 2 ** 20).toFixed(1)} MiB`;
  document.body.dataset.seen = String(facts.seen);
  document.body.dataset.memory = String(facts.memory);
}

function fault(message) {
  document.body.dataset.fault = message;
  at("fault").textContent = message;
}

worker.onerror = (event) => fault(event.message || "the worker could not start");
worker.onmessage = ({ data }) => (data.ready ? begin() : show(data));
for (const id of ["speed", "temperature", "pause"]) at(id).oninput = () => worker.postMessage({ wanted: wanted() });
at("again").onclick = begin;
at("sinks").oninput = begin;
for (const [name, value] of given) if (at(name)) at(name).value = value;
