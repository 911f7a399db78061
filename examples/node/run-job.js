// node run-job.js [INSTRUCTION SET]: prints the job's lines. Without a fused multiply-add in the engine's vectors, plain C
// is what has the bits of all other processors; it is slow.
// SPDX-License-Identifier: MIT

import { load } from "sinkattn";

import { job } from "./job.js";

const library = await load();
const isa = process.argv[2] ?? (library.isaBest === "wasmRelaxed" ? "auto" : "plain");
for (const line of job(library, isa)) console.log(line);
