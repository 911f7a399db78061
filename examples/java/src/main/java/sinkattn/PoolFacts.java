// SPDX-License-Identifier: MIT
package sinkattn;

import java.lang.foreign.MemorySegment;

/** Facts of a pool and of a kv head's lane: sa_pool_facts. Sizes are bytes. */
public record PoolFacts(
    int nSequences, int nOpen, long poolSize, long tiles, long tilesFree, long tileSize) {

  static PoolFacts of(MemorySegment facts) {
    Struct type = Struct.POOL_FACTS;
    return new PoolFacts(
        type.getInt(facts, "n_sequences"),
        type.getInt(facts, "n_open"),
        type.getLong(facts, "pool_size"),
        type.getLong(facts, "tiles"),
        type.getLong(facts, "tiles_free"),
        type.getLong(facts, "tile_size"));
  }
}
