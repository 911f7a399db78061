// A config as JavaScript has it, an object of the fields that are not default, written as a sa_config.
// SPDX-License-Identifier: MIT

import { config as layout, flags, number, write } from "./structs.js";

const ENUMS = {
  isa: "isa",
  ioDtype: "dtype",
  kDtype: "dtype",
  vDtype: "dtype",
  sinkKDtype: "dtype",
  sinkVDtype: "dtype",
  recentKDtype: "dtype",
  recentVDtype: "dtype",
  policy: "policy",
  position: "position",
  positionMode: "positionMode",
  ropeLayout: "ropeLayout",
  ropeScaling: "ropeScaling",
  sinkKvPosition: "sinkKvPosition",
};

const BITS = { yarnNoTruncate: flags.SA_CONFIG_YARN_NO_TRUNCATE, cooperative: flags.SA_CONFIG_COOPERATIVE };

/** The arrays behind a config's pointers: of what kind, and how long by the config's own numbers. */
const ARRAYS = {
  ropeInvFreq: [Float64Array, frequencies],
  ropeShortFactors: [Float32Array, frequencies],
  ropeLongFactors: [Float32Array, frequencies],
  alibiSlopes: [Float32Array, (c) => c.nHeads],
  sinkLogits: [Float32Array, (c) => c.nHeads],
  headWindows: [Int32Array, kvHeads],
  headSinks: [Int32Array, kvHeads],
};

/** What C alone can hand in: functions. */
const NOT_HERE = ["flags", "parallelFor", "parallelContext", "structSize"];

function frequencies(c) {
  return (c.ropeDims || c.headDim) / 2;
}

function kvHeads(c) {
  return c.nKvHeads || c.nHeads;
}

function fieldsOf(config, args) {
  const values = { flags: 0 };
  for (const [name, value] of Object.entries(config)) {
    if (value === undefined || value === null || name === "layers") continue;
    if (NOT_HERE.includes(name)) throw new TypeError(`a config has no ${name} here`);
    if (name in BITS) values.flags |= value ? BITS[name] : 0;
    else if (name in ENUMS) values[name] = number(ENUMS[name], value);
    else if (name in ARRAYS) values[name] = args.array(name, value, ARRAYS[name][0], ARRAYS[name][1](config));
    else values[name] = value;
  }
  return values;
}

/** (n_layers) addresses of configs, 0 where a layer is as the others. */
function writeLayers(memory, args, config) {
  if (!config.layers) return 0;
  if (config.layers.length !== config.nLayers) {
    throw new RangeError(`layers has ${config.layers.length} configs and not nLayers, ${config.nLayers}`);
  }
  const known = new Map([[null, 0]]);
  const pointers = config.layers.map((layer) => {
    const key = layer ?? null;
    if (!known.has(key)) known.set(key, writeConfig(memory, args, { ...key, layers: undefined }));
    return known.get(key);
  });
  return memory.copyIn(Uint32Array.from(pointers));
}

/** Writes a config into scratch memory; its address. */
export function writeConfig(memory, args, config) {
  const values = fieldsOf(config, args);
  values.layers = writeLayers(memory, args, config);
  const pointer = memory.scratch(layout.size);
  write(memory.view, pointer, layout, values);
  return pointer;
}

/** The shapes of a layer's tensors, and what the numbers of 16 bits are. */
function shapeOf(config, own) {
  const nHeads = own.nHeads;
  const headDim = own.headDim;
  return {
    nHeads,
    nKvHeads: own.nKvHeads || nHeads,
    headDim,
    vHeadDim: own.vHeadDim || headDim,
    nSinkKv: own.nSinkKv ?? 0,
    ioDtype: number("dtype", config.ioDtype ?? "f32"),
  };
}

/** The shapes of all layers. */
export function shapesOf(config) {
  const usual = shapeOf(config, config);
  return Array.from({ length: config.nLayers }, (_, i) => {
    const own = config.layers?.[i];
    return own ? shapeOf(config, own) : usual;
  });
}
