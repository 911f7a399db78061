// The structs and numbers of sinkattn.h, as a 32-bit machine lays them out. test/structs.test.js compares every size,
// place and number with tests/abi/layout.c.
// SPDX-License-Identifier: MIT

const SIZES = { u32: 4, i32: 4, f32: 4, pointer: 4, u64: 8, i64: 8, f64: 8 };

/**
 * A struct from its fields in order: lines of a type and names. The first one, struct_size, is filled in by `write`.
 * @param {string} name
 * @param {string} text
 */
function struct(name, text) {
  const fields = new Map();
  let end = 0;
  for (const line of text.trim().split("\n")) {
    const [type, ...names] = line.trim().split(/\s+/);
    const [size, alignment] = type === "tensor" ? [tensor.size, 8] : [SIZES[type], SIZES[type]];
    for (const field of names) {
      const offset = Math.ceil(end / alignment) * alignment;
      fields.set(field, { type, offset });
      end = offset + size;
    }
  }
  return { name, fields, size: Math.ceil(end / 8) * 8 };
}

export const tensor = struct(
  "sa_tensor",
  `pointer data
   i64 tokenStride headStride
   i32 dtype
   u32 flags`,
);

export const config = struct(
  "sa_config",
  `u32 structSize flags
   i32 nLayers maxAppend rollback isa nThreads ioDtype
   i32 nHeads nKvHeads headDim vHeadDim policy nSink window kDtype vDtype
   f32 scale softcap
   i32 nSinkKv sinkKvPosition
   i32 position positionMode ropeLayout ropeDims ropeOffset ropeScaling ropeOriginalContext
   f64 ropeTheta ropeFactor ropeAttentionFactor ropeBetaFast ropeBetaSlow ropeLowFreqFactor ropeHighFreqFactor
   pointer ropeInvFreq ropeShortFactors ropeLongFactors alibiSlopes sinkLogits
   pointer parallelFor parallelContext layers
   i32 sinkKDtype sinkVDtype nRecent recentKDtype recentVDtype queryBits weightBits
   i32 nSequences nSpans nPin nRows maxDraft
   i64 poolTokens
   pointer headWindows headSinks`,
);

export const stepArgs = struct(
  "sa_step_args",
  `u32 structSize flags
   i32 layer nTokens
   tensor q k v out
   i64 qOffset
   pointer lse sinkMass partialMax partialSum
   i32 viewWindow viewSinks
   pointer parents keyMass valueNorms
   i64 keyStride`,
);

export const readArgs = struct(
  "sa_read_args",
  `u32 structSize flags
   i32 layer nTokens kvHead nKvHeads keyForm reserved
   pointer positions
   tensor k v
   pointer places`,
);

export const rows = struct(
  "sa_rows",
  `u32 structSize flags
   i32 layer first nRows kvHead nKvHeads reserved
   tensor k v
   pointer places biases`,
);

export const cacheFacts = struct(
  "sa_cache_facts",
  `u32 structSize
   i32 isa
   u64 tokensSeen tokensHeld positionsHeld rollbackNow cacheSize kvSize
   i32 nThreads maxAppend nLanes nDraft
   u64 rowsUsed keysInFront keysMost`,
);

export const poolFacts = struct(
  "sa_pool_facts",
  `u32 structSize
   i32 nSequences nOpen reserved
   u64 poolSize tiles tilesFree tileSize`,
);

export const span = struct(
  "sa_span",
  `u64 from end shift
   i32 kind masked`,
);

/** What JavaScript says in place of the header's numbers: prefix of the constants, then a name for each. */
export const enums = {
  dtype: { prefix: "SA_", f32: 1, f16: 2, bf16: 3, i8: 4, i4: 5 },
  policy: { prefix: "SA_POLICY_", sinkWindow: 0, window: 1, dense: 2 },
  position: { prefix: "SA_POSITION_", none: 1, rope: 2, ropeApplied: 3, alibi: 4 },
  positionMode: { prefix: "SA_", inCache: 0, inStream: 1 },
  ropeLayout: { prefix: "SA_ROPE_", halfSplit: 0, interleaved: 1 },
  ropeScaling: { prefix: "SA_ROPE_SCALING_", none: 0, linear: 1, ntk: 2, yarn: 3, llama3: 4, longrope: 5 },
  sinkKvPosition: { prefix: "SA_SINK_KV_", before: 0, atZero: 1 },
  isa: {
    ...{ prefix: "SA_ISA_", auto: 0, plain: 1, plainNofma: 2, avx2: 3, avx512: 4, neon: 5, wasm: 6, wasmRelaxed: 7 },
    ...{ rvv: 8, vsx: 9, vxe: 10, avx512Vnni: 11, avx2Vnni: 12, neonDot: 13 },
  },
  gap: { prefix: "SA_GAP_", close: 0, keep: 1 },
  spanKind: { prefix: "SA_SPAN_", window: 0, sink: 1, pin: 2 },
  keyForm: { prefix: "SA_KEY_", asStored: 0, unrotated: 1, atPlace: 2 },
};

/** Flags, by the names of the constants. */
export const flags = {
  SA_CONFIG_YARN_NO_TRUNCATE: 1,
  SA_CONFIG_COOPERATIVE: 2,
  SA_TENSOR_STRIDES_GIVEN: 1,
  SA_STEP_NODES: 1,
  SA_STEP_MASS_PER_HEAD: 2,
  SA_READ_ROWS: 1,
  SA_ROWS_AT_DISTANCE: 1,
};

export const ALL_LAYERS = -1;

/** SA_END: a range to the newest token. */
export const END = 2n ** 64n - 1n;

/** The number of an enum's name. */
export function number(/** @type {keyof typeof enums} */ kind, /** @type {string} */ name) {
  const value = /** @type {Record<string, unknown>} */ (enums[kind])[name];
  if (typeof value === "number") return value;
  const names = Object.keys(enums[kind]).filter((known) => known !== "prefix");
  throw new TypeError(`${kind} is one of ${names.join(", ")}, not ${String(name)}`);
}

/** The name of an enum's number. */
export function nameOf(/** @type {keyof typeof enums} */ kind, /** @type {number} */ value) {
  return Object.keys(enums[kind]).find((name) => /** @type {Record<string, unknown>} */ (enums[kind])[name] === value);
}

/**
 * A whole number within the limits of 32 bits: what is none would be cut to one on its way into C without a word.
 * @param {string} name
 * @param {unknown} value
 * @param {number} least
 */
export function integer(name, value, least = -(2 ** 31)) {
  if (Number.isInteger(value) && Number(value) >= least && Number(value) < least + 2 ** 32) {
    if (Number(value) < 2 ** 31 || least === 0) return Number(value);
  }
  throw new RangeError(`${name} is not a whole number of 32 bits: ${String(value)}`);
}

/**
 * A 64-bit number, given as a number or a bigint.
 * @param {string} name
 * @param {unknown} value
 * @param {bigint} least
 */
export function integer64(name, value, least = -(2n ** 63n)) {
  const exact = typeof value === "bigint" ? value : Number.isSafeInteger(value) ? BigInt(Number(value)) : undefined;
  if (exact !== undefined && exact >= least && exact < 2n ** 63n) return exact;
  throw new RangeError(`${name} is not a whole number in range (give a bigint beyond 2^53): ${String(value)}`);
}

/** A position of the stream, or another number that is never negative. */
export const position = (/** @type {string} */ name, /** @type {unknown} */ value) => integer64(name, value, 0n);

const SETTERS = {
  u32: (/** @type {DataView} */ view, at, name, value) => view.setUint32(at, integer(name, value, 0), true),
  i32: (/** @type {DataView} */ view, at, name, value) => view.setInt32(at, integer(name, value), true),
  f32: (/** @type {DataView} */ view, at, name, value) => view.setFloat32(at, value, true),
  f64: (/** @type {DataView} */ view, at, name, value) => view.setFloat64(at, value, true),
  i64: (/** @type {DataView} */ view, at, name, value) => view.setBigInt64(at, integer64(name, value), true),
  u64: (/** @type {DataView} */ view, at, name, value) => view.setBigUint64(at, position(name, value), true),
  pointer: (/** @type {DataView} */ view, at, name, value) => view.setUint32(at, value, true),
};

const GETTERS = {
  u32: (/** @type {DataView} */ view, at) => view.getUint32(at, true),
  i32: (/** @type {DataView} */ view, at) => view.getInt32(at, true),
  u64: (/** @type {DataView} */ view, at) => view.getBigUint64(at, true),
};

/** Writes a struct at an address: the fields given, and zero in all others. */
export function write(/** @type {DataView} */ view, at, type, values) {
  new Uint8Array(view.buffer, at, type.size).fill(0);
  if (type.fields.has("structSize")) view.setUint32(at, type.size, true);
  writeFields(view, at, type, values);
}

function writeFields(view, at, type, values) {
  for (const [name, value] of Object.entries(values)) {
    const field = type.fields.get(name);
    if (!field) throw new TypeError(`${type.name} has no field ${name}`);
    if (value === undefined) continue;
    if (field.type === "tensor") writeFields(view, at + field.offset, tensor, value);
    else SETTERS[field.type](view, at + field.offset, name, value);
  }
}

/** Reads all of a struct but its size and reserved fields. Numbers of 64 bits are bigints. */
export function read(/** @type {DataView} */ view, at, type) {
  const values = {};
  for (const [name, field] of type.fields) {
    if (name !== "structSize" && name !== "reserved") values[name] = GETTERS[field.type](view, at + field.offset);
  }
  return values;
}
