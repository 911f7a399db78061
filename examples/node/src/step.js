// A step's arguments as a sa_step_args.
// SPDX-License-Identifier: MIT

import { flags, stepArgs, write } from "./structs.js";

const TENSORS = {
  q: ["nHeads", "headDim"],
  k: ["nKvHeads", "headDim"],
  v: ["nKvHeads", "vHeadDim"],
  out: ["nHeads", "vHeadDim"],
};
const ROWS = ["lse", "sinkMass", "partialMax", "partialSum"];

/** A layer's shapes; those of layer 0 where there is no such layer, which the library will refuse. */
export function shapeOfLayer(shapes, layer) {
  return shapes[layer] ?? shapes[0];
}

/** (tokens, heads, dim) of q, k, v or out. */
export function shapeOfTensor(name, nTokens, shape) {
  const [heads, dim] = TENSORS[name];
  return [nTokens, shape[heads], shape[dim]];
}

/** Writes a step's arguments into scratch memory; their address. */
export function writeStep(memory, args, shapes, step) {
  const { layer = 0, nTokens = 1, nodes = false, massPerHead = false, parents, keyMass, valueNorms, ...rest } = step;
  const shape = shapeOfLayer(shapes, layer);
  const values = { ...rest, layer, nTokens };
  values.flags = (nodes ? flags.SA_STEP_NODES : 0) | (massPerHead ? flags.SA_STEP_MASS_PER_HEAD : 0);
  for (const name of Object.keys(TENSORS)) {
    values[name] = args.tensor(name, step[name], shapeOfTensor(name, nTokens, shape), shape.ioDtype, name === "out");
  }
  for (const name of ROWS) values[name] = args.array(name, step[name], Float32Array, nTokens * shape.nHeads, true);
  values.parents = args.array("parents", parents, Int32Array, nTokens);
  const keyed = (massPerHead ? shape.nHeads : shape.nKvHeads) * Number(step.keyStride ?? 0);
  values.keyMass = args.array("keyMass", keyMass, Float32Array, keyed, true);
  values.valueNorms = args.array(
    "valueNorms",
    valueNorms,
    Float32Array,
    shape.nKvHeads * Number(step.keyStride ?? 0),
    true,
  );
  const pointer = memory.scratch(stepArgs.size);
  write(memory.view, pointer, stepArgs, values);
  return pointer;
}

/** Steps whose arrays are read and written after the call has returned: only blocks stay where they are. */
export function onlyBlocks(step, Block) {
  for (const name of [...Object.keys(TENSORS), ...ROWS, "keyMass", "valueNorms"]) {
    const given = step[name] === undefined || step[name] === null ? undefined : (step[name].data ?? step[name]);
    if (given !== undefined && !(given instanceof Block)) {
      throw new TypeError(`${name} must be a block: it is used until the last part has returned`);
    }
  }
  return step;
}
