// The package's front door; index.d.ts beside it describes everything.
// SPDX-License-Identifier: MIT

export { load } from "./load.js";
export { Library } from "./library.js";
export { Cache } from "./cache.js";
export { Pool } from "./pool.js";
export { Block } from "./memory.js";
export { SinkattnError } from "./errors.js";
