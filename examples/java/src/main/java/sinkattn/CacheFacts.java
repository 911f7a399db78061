// SPDX-License-Identifier: MIT
package sinkattn;

import java.lang.foreign.MemorySegment;

/** Facts of a layer, and of its cache: sa_cache_facts. Sizes are bytes. */
public record CacheFacts(
    Isa isa,
    long tokensSeen,
    long tokensHeld,
    long positionsHeld,
    long rollbackNow,
    long cacheSize,
    long kvSize,
    int nThreads,
    int maxAppend,
    int nLanes,
    int nDraft,
    long rowsUsed,
    long keysInFront,
    long keysMost) {

  static CacheFacts of(MemorySegment facts) {
    Struct type = Struct.CACHE_FACTS;
    return new CacheFacts(
        Isa.of(type.getInt(facts, "isa")),
        type.getLong(facts, "tokens_seen"),
        type.getLong(facts, "tokens_held"),
        type.getLong(facts, "positions_held"),
        type.getLong(facts, "rollback_now"),
        type.getLong(facts, "cache_size"),
        type.getLong(facts, "kv_size"),
        type.getInt(facts, "n_threads"),
        type.getInt(facts, "max_append"),
        type.getInt(facts, "n_lanes"),
        type.getInt(facts, "n_draft"),
        type.getLong(facts, "rows_used"),
        type.getLong(facts, "keys_in_front"),
        type.getLong(facts, "keys_most"));
  }
}
