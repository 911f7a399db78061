// Never run: what tsc must accept and refuse. The sources must have what the declarations promise.
// SPDX-License-Identifier: MIT
import * as sinkattn from "sinkattn";
import { type Config, SinkattnError, load } from "sinkattn";

const library = await load();
const config: Config = { nLayers: 2, nHeads: 8, nKvHeads: 2, headDim: 64, nSink: 4, window: 252, position: "rope" };
{
  using cache = library.cacheCreate(config);
  const q = new Float32Array(512);
  const out: Float32Array = cache.attend(0, 1, q);
  const seen: bigint = cache.info().tokensSeen;
  const block = library.block(Float32Array, 512);
  const numbers: Float32Array = block.array;
  cache.step({ q: { data: block, headStride: 64 }, out, sinkMass: new Float32Array(8), qOffset: -1n });
  cache.seek(seen + 1n);
  cache.load(cache.save());
  void numbers;
  // @ts-expect-error: positions of q are floats
  cache.attend(0, 1, [1, 2, 3]);
  // @ts-expect-error: no such policy
  library.cacheCreate({ ...config, policy: "lru" });
  // @ts-expect-error: position has no default
  library.cacheCreate({ nLayers: 1, nHeads: 1, headDim: 1, window: 1 });
  // @ts-expect-error: caches are made by a library
  new sinkattn.Cache();
}

const pool = library.poolCreate({ ...config, nSequences: 2, layers: [null, { ...config, policy: "dense" }] });
try {
  pool.batch([{ cache: pool.open(), k: new Float32Array(128), v: new Float32Array(128) }]);
} catch (error) {
  if (error instanceof SinkattnError && error.code === "SA_ERR_POOL") console.error(error.message, error.index);
}
