/**
 * sinkattn in JavaScript: the key/value cache and attention of a transformer that never stops.
 *
 * SPDX-License-Identifier: MIT
 *
 * Names are those of sinkattn.h in camel case, and its comments hold here too: units, ranges, what each call refuses.
 * What differs:
 * - A call that is refused throws a SinkattnError with the library's sentence; nothing has changed then. An array of the
 *   wrong kind or length throws a TypeError or RangeError before the library is called.
 * - Numbers of the header's enums are names: "f16", "rope", "sinkWindow".
 * - Positions of the stream, which are 64 bits, may be given as number or bigint, and come back as bigint.
 * - Where the header has SA_ALL_LAYERS, a layer left out means all.
 * - Strides and offsets are counted in elements, not bytes.
 * - A library is one thread: a cache's nThreads is for steps that are taken in parts.
 */

/** Element types; stored keys and values may have the last two. */
export type Dtype = "f32" | "f16" | "bf16" | "i8" | "i4";
export type FloatDtype = "f32" | "f16" | "bf16";
export type Isa =
  | "auto"
  | "plain"
  | "plainNofma"
  | "avx2"
  | "avx512"
  | "neon"
  | "wasm"
  | "wasmRelaxed"
  | "rvv"
  | "vsx"
  | "vxe"
  | "avx512Vnni"
  | "avx2Vnni"
  | "neonDot";
/** A position of the stream, or a count of tokens. */
export type Position = number | bigint;

/** The fields of a layer: geometry, what it keeps, softmax, position. */
export interface LayerConfig {
  nHeads: number;
  nKvHeads?: number;
  headDim: number;
  vHeadDim?: number;
  policy?: "sinkWindow" | "window" | "dense";
  nSink?: number;
  window: number;
  kDtype?: Dtype;
  vDtype?: Dtype;
  scale?: number;
  softcap?: number;
  nSinkKv?: number;
  sinkKvPosition?: "before" | "atZero";
  position: "none" | "rope" | "ropeApplied" | "alibi";
  positionMode?: "inCache" | "inStream";
  ropeLayout?: "halfSplit" | "interleaved";
  ropeDims?: number;
  ropeOffset?: number;
  ropeScaling?: "none" | "linear" | "ntk" | "yarn" | "llama3" | "longrope";
  ropeOriginalContext?: number;
  ropeTheta?: number;
  ropeFactor?: number;
  ropeAttentionFactor?: number;
  ropeBetaFast?: number;
  ropeBetaSlow?: number;
  ropeLowFreqFactor?: number;
  ropeHighFreqFactor?: number;
  /** (ropeDims / 2) */
  ropeInvFreq?: ArrayLike<number>;
  ropeShortFactors?: ArrayLike<number>;
  ropeLongFactors?: ArrayLike<number>;
  /** (nHeads) */
  alibiSlopes?: ArrayLike<number>;
  sinkLogits?: ArrayLike<number>;
  sinkKDtype?: FloatDtype;
  sinkVDtype?: FloatDtype;
  nRecent?: number;
  recentKDtype?: FloatDtype;
  recentVDtype?: FloatDtype;
  /** Of codes that meet integers: 16 or 8 */
  queryBits?: 8 | 16;
  weightBits?: 8 | 16;
  nSpans?: number;
  nPin?: number;
  nRows?: number;
  /** (nKvHeads) */
  headWindows?: ArrayLike<number>;
  headSinks?: ArrayLike<number>;
  /** SA_CONFIG_YARN_NO_TRUNCATE */
  yarnNoTruncate?: boolean;
}

/** All a cache needs to know. Where each of `layers` has a config, this one's own fields of a layer are not read. */
export interface Config extends LayerConfig {
  nLayers: number;
  maxAppend?: number;
  rollback?: number;
  isa?: Isa;
  nThreads?: number;
  ioDtype?: FloatDtype;
  nSequences?: number;
  maxDraft?: number;
  poolTokens?: Position;
  /** SA_CONFIG_COOPERATIVE: steps may be taken in parts */
  cooperative?: boolean;
  /** (nLayers): a layer's own config, or null where it is as the others. */
  layers?: readonly (LayerConfig | null)[];
}

/** What `code` of an error may be: the header's names. */
export type StatusCode =
  | "SA_ERR_ARGUMENT"
  | "SA_ERR_CONFIG"
  | "SA_ERR_STRUCT_SIZE"
  | "SA_ERR_MEMORY"
  | "SA_ERR_BUFFER"
  | "SA_ERR_ALIGNMENT"
  | "SA_ERR_ISA"
  | "SA_ERR_FORMAT"
  | "SA_ERR_STATE"
  | "SA_ERR_OVERFLOW"
  | "SA_ERR_FULL"
  | "SA_ERR_DEPTH"
  | "SA_ERR_POOL"
  | "SA_ERR_UNKNOWN";

/** A call was refused; `message` is the library's sentence. */
export class SinkattnError extends Error {
  constructor(status: number, sentence: string, where?: { layer?: number; index?: number });
  readonly status: number;
  readonly code: StatusCode;
  /** Of a config: the layer concerned, -1 for the cache as a whole. */
  readonly layer: number | undefined;
  /** Of a batch: the step that was refused. */
  readonly index: number | undefined;
}

/** Kinds of arrays that a block can be. */
export type Kind =
  | Float32ArrayConstructor
  | Float64ArrayConstructor
  | Uint8ArrayConstructor
  | Uint16ArrayConstructor
  | Int32ArrayConstructor
  | Uint32ArrayConstructor
  | BigInt64ArrayConstructor
  | BigUint64ArrayConstructor;

/** An array in the module's own memory: calls take it without a copy. */
export class Block<K extends Kind = Kind> {
  private constructor();
  /** The numbers. Memory that grows leaves old views dead: take this anew after any call that may have allocated. */
  readonly array: InstanceType<K>;
  readonly length: number;
  readonly byteLength: number;
  /** Its address in the module's memory. */
  readonly pointer: number;
  free(): void;
  [Symbol.dispose](): void;
}

/** Numbers of a tensor: f32 in a Float32Array, f16 and bf16 in a Uint16Array (or f16 in a Float16Array). */
export type TensorArray = Float32Array | Uint16Array | Block<Float32ArrayConstructor> | Block<Uint16ArrayConstructor>;

/** A tensor (tokens, heads, dim) as it lies in an array; the dims of a head are adjacent. */
export interface StridedTensor {
  data: TensorArray;
  /** Of element [0][0][0]; default 0. */
  offset?: number;
  /** Elements from a token to the next; may be 0 or negative. Default heads * headStride. */
  tokenStride?: number;
  /** Elements from a head to the next; likewise. Default dim. */
  headStride?: number;
  /** Default: what the array's kind says, and for a Uint16Array the cache's ioDtype. */
  dtype?: FloatDtype;
}

/** An array alone is contiguous, and exactly as long as its shape says. */
export type Tensor = TensorArray | StridedTensor;
type Floats = Float32Array | Block<Float32ArrayConstructor>;
type Signed64 = BigInt64Array | Block<BigInt64ArrayConstructor> | readonly bigint[];
type Unsigned64 = BigUint64Array | Block<BigUint64ArrayConstructor> | readonly bigint[];

/** The general step, see sa_step_args: appends if k is there, attends if q is. */
export interface Step {
  /** Default 0. */
  layer?: number;
  /** Default 1. */
  nTokens?: number;
  q?: Tensor;
  k?: Tensor;
  v?: Tensor;
  /** Is written. */
  out?: Tensor;
  qOffset?: Position;
  /** (nTokens, nHeads), written, as are the next three. */
  lse?: Floats;
  sinkMass?: Floats;
  partialMax?: Floats;
  partialSum?: Floats;
  viewWindow?: number;
  viewSinks?: number;
  /** (nTokens): the tokens are drafted, not appended. */
  parents?: Int32Array | readonly number[];
  /** (nKvHeads or nHeads, keyStride), written. */
  keyMass?: Floats;
  /** (nKvHeads, keyStride), written. */
  valueNorms?: Floats;
  keyStride?: number;
  /** SA_STEP_NODES */
  nodes?: boolean;
  /** SA_STEP_MASS_PER_HEAD */
  massPerHead?: boolean;
}

/** Facts of a layer, see sa_cache_facts. Sizes are bytes. */
export interface CacheFacts {
  isa: Isa;
  tokensSeen: bigint;
  tokensHeld: number;
  positionsHeld: number;
  rollbackNow: number;
  cacheSize: number;
  kvSize: number;
  nThreads: number;
  maxAppend: number;
  nLanes: number;
  nDraft: number;
  rowsUsed: number;
  keysInFront: number;
  keysMost: number;
}

export interface PoolFacts {
  nSequences: number;
  nOpen: number;
  poolSize: number;
  tiles: number;
  tilesFree: number;
  tileSize: number;
}

export interface Span {
  from: bigint;
  end: bigint;
  shift: bigint;
  kind: "window" | "sink" | "pin";
  /** The positions count, but hold no token. */
  masked: boolean;
}

export interface Read {
  layer?: number;
  positions: Unsigned64;
  kvHead?: number;
  nKvHeads?: number;
  keyForm?: "asStored" | "unrotated" | "atPlace";
  /** (positions, heads read, headDim) and (positions, heads read, vHeadDim): are written. */
  k?: Tensor;
  v?: Tensor;
  places?: Signed64;
  /** SA_READ_ROWS: positions are numbers of rows of the host. */
  rows?: boolean;
}

export interface Rows {
  layer?: number;
  first?: number;
  nRows: number;
  /** Whose rows are replaced; nKvHeads 0 or none: all from kvHead on. */
  kvHead?: number;
  nKvHeads?: number;
  /** Both, or neither: then the rows are taken away. */
  k?: Tensor;
  v?: Tensor;
  /** (nRows, heads replaced) */
  places?: Signed64;
  biases?: Floats | readonly number[];
  /** SA_ROWS_AT_DISTANCE */
  atDistance?: boolean;
}

/** The shapes of a layer's tensors. */
export interface Shape {
  nHeads: number;
  nKvHeads: number;
  headDim: number;
  vHeadDim: number;
  nSinkKv: number;
  ioDtype: number;
}

/**
 * A sequence: a stream and what is held of it. Its memory is the module's: `destroy` gives it back, a `using` does so at
 * the end of its block, and at the latest the garbage collector does. After that every call throws a TypeError.
 */
export class Cache {
  private constructor();
  readonly pointer: number;
  readonly shapes: readonly Shape[];
  /** The sentence for the last call, "" if it succeeded. */
  readonly error: string;
  destroy(): void;
  [Symbol.dispose](): void;

  appendKv(layer: number, nTokens: number, k: TensorArray, v: TensorArray): void;
  /** Returns `out`, a new array if none is given, as does appendAttend. */
  attend<T extends TensorArray = Float32Array>(layer: number, nTokens: number, q: TensorArray, out?: T): T;
  appendAttend<T extends TensorArray = Float32Array>(
    layer: number,
    nTokens: number,
    q: TensorArray,
    k: TensorArray,
    v: TensorArray,
    out?: T,
  ): T;
  step(step: Step): void;

  reset(layer?: number): void;
  rollback(nTokens: Position, layer?: number): void;
  seek(position: Position, layer?: number): void;
  restart(position: Position, layer?: number): void;
  /** Ranges may end at Infinity: the newest token. */
  remove(from: Position, end: Position, gap?: "close" | "keep", layer?: number): void;
  pin(from: Position, end: Position, layer?: number): void;
  unpin(from: Position, end: Position, layer?: number): void;
  anchor(from: Position, end: Position, layer?: number): void;

  info(layer?: number): CacheFacts;
  spans(layer?: number, kvHead?: number): Span[];
  positions(layer?: number, kvHead?: number): BigUint64Array;
  read(what: Read): void;

  setSinkKv(layer: number, k: TensorArray, v: TensorArray): void;
  setRows(rows: Rows): void;
  draftAccept(path: Int32Array | readonly number[], layer?: number): void;

  fork(): Cache;
  saveSize(from?: Position): number;
  save(from?: Position): Uint8Array<ArrayBuffer>;
  load(bytes: Uint8Array | Block<Uint8ArrayConstructor>): void;

  /**
   * A step in parts, so that a page can breathe in between: see sa_step_begin. All arrays must be blocks. Returns how
   * many phases there are, each of which has parts 0 .. count-1.
   */
  stepBegin(step: Step): number;
  stepPart(phase: number, index: number, count: number): void;
}

/** Many sequences of one model. When it ends, they end. */
export class Pool {
  private constructor();
  readonly pointer: number;
  readonly error: string;
  destroy(): void;
  [Symbol.dispose](): void;
  open(): Cache;
  info(layer?: number, kvHead?: number): PoolFacts;
  /** Whether there is room for so many tokens of each in every layer; `error` says why not. */
  canAppend(wanted: readonly { cache: Cache; nTokens: number }[]): boolean;
  /** A step for each of several sequences, all of one layer. */
  batch(steps: readonly (Step & { cache: Cache })[]): void;
  batchBegin(steps: readonly (Step & { cache: Cache })[]): number;
  batchPart(phase: number, index: number, count: number): void;
}

/** The un-normalised state of attention for some rows: see sa_merge_partial. */
export interface Partial {
  /** (rows) */
  max: Floats;
  sum: Floats;
  /** (rows, vHeadDim) */
  acc: Floats;
}

/** One copy of the module and its memory. */
export class Library {
  constructor(instance: WebAssembly.Instance);
  readonly version: string;
  readonly versionNumber: number;
  /** What "auto" takes: "wasmRelaxed" has the bits of every other processor, "wasm" those without fused multiply-add. */
  readonly isaBest: Isa;
  readonly isasAvailable: Isa[];
  /** The module's functions as they are, for what is not wrapped: your own, say. */
  readonly exports: Record<string, any>;
  /** The module's memory, for code that shares it. */
  readonly memory: { readonly buffer: ArrayBuffer };

  /** As the library itself writes it. */
  isaName(isa: Isa): string;
  statusSentence(status: number): string;
  /** Throws what would be wrong. */
  configCheck(config: Config): void;
  cacheSize(config: Config): { size: number; alignment: number };
  poolSize(config: Config): { size: number; alignment: number };
  cacheCreate(config: Config): Cache;
  poolCreate(config: Config): Pool;
  /** In a block that you own, aligned as cacheSize says. Freeing the block ends what is in it. */
  cacheInit(block: Block, config: Config): Cache;
  poolInit(block: Block, config: Config): Pool;
  /** A cache that other code in the same module has made and will end; the config tells its shapes. */
  cacheAt(pointer: number, config: Config): Cache;
  block<K extends Kind>(kind: K, length: number): Block<K>;

  /** a becomes the state over the keys of both. */
  mergePartial(vHeadDim: number, a: Partial, b: Partial): void;
  /** acc becomes the results. */
  finishPartial(vHeadDim: number, state: Partial, lse?: Floats): void;
}

export interface LoadOptions {
  /** The module, if not the one in the package: bytes, or compiled. It may be one that has more in it. */
  module?: BufferSource | WebAssembly.Module;
  /** Whether to take the package's module for relaxed SIMD. Default: whether the engine has it. */
  relaxed?: boolean;
}

/** Makes a copy of the module, in Node from the package's files, elsewhere by fetch. */
export function load(options?: LoadOptions): Promise<Library>;
