// SPDX-License-Identifier: MIT
package sinkattn;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import sinkattn.SinkattnException.Status;

/**
 * Sequences that share a model's layers, memory and one workspace. A pool is one block of an arena
 * and lives as long as that; there is nothing to close. A confined arena keeps it to its thread;
 * with a shared one, it is yours that one call runs at a time on a pool and its sequences.
 */
public final class Pool {
  /** A step of a batch. */
  public record Part(Cache cache, Step step) {}

  final List<Config.Shape> shapes;
  private final MemorySegment block;
  private final MemorySegment pool;
  private final MemorySegment scratch;

  private Pool(MemorySegment block, MemorySegment pool, List<Config.Shape> shapes, Arena arena) {
    this.block = block;
    this.pool = pool;
    this.shapes = shapes;
    this.scratch = arena.allocate(512, 16);
  }

  /** Makes a pool without open sequences. */
  public static Pool create(Arena arena, Config config) {
    return make(arena, config, Native.POOL_SIZE, Native.POOL_INIT);
  }

  /** The bytes that a pool takes, all it will ever take. */
  public static long size(Config config) {
    return size(config, Native.POOL_SIZE);
  }

  static long size(Config config, Native.Three ofWhat) {
    try (Arena call = Arena.ofConfined()) {
      MemorySegment out = call.allocate(JAVA_LONG, 2);
      check(ofWhat.call(config.write(call, call), out, out.asSlice(8)));
      return out.get(JAVA_LONG, 0);
    }
  }

  /**
   * A block of the arena, and in it what `init` makes: a pool, or a cache, which is a pool of one.
   */
  static Pool make(Arena arena, Config config, Native.Three size, Native.Init init) {
    try (Arena call = Arena.ofConfined()) {
      MemorySegment struct = config.write(call, arena);
      MemorySegment out = call.allocate(JAVA_LONG, 2);
      check(size.call(struct, out, out.asSlice(8)));
      MemorySegment block = arena.allocate(out.get(JAVA_LONG, 0), out.get(JAVA_LONG, 8));
      check(init.call(block, block.byteSize(), struct, out));
      return new Pool(block, within(block, out.get(ADDRESS, 0)), config.shapes(), arena);
    }
  }

  private static void check(int status) {
    if (status != 0) {
      throw new SinkattnException(status, Sinkattn.sentence(status));
    }
  }

  /** An address in the block as a segment that lives as the block does. */
  private static MemorySegment within(MemorySegment block, MemorySegment address) {
    return block.asSlice(address.address() - block.address());
  }

  /** For a cache that is a pool of one: that itself. */
  MemorySegment self() {
    return pool;
  }

  /** 512 bytes for the arguments of one call. */
  MemorySegment scratch() {
    return scratch;
  }

  /** Opens an empty sequence. */
  public Cache open() {
    MemorySegment out = scratch.asSlice(0, 8);
    check(Native.POOL_OPEN.call(pool, out), -1);
    return opened(out);
  }

  /** The sequence whose address a call has written. */
  Cache opened(MemorySegment out) {
    return new Cache(this, within(block, out.get(ADDRESS, 0)));
  }

  /** Why the last call that took the pool failed; "" if it did not. */
  public String error() {
    return Native.text(Native.POOL_ERROR.call(pool));
  }

  public PoolFacts info(int layer, int kvHead) {
    MemorySegment facts =
        Struct.POOL_FACTS.clear(scratch.asSlice(0, Struct.POOL_FACTS.layout().byteSize()));
    check(Native.POOL_INFO.call(pool, layer, kvHead, facts));
    return PoolFacts.of(facts);
  }

  /** Tokens that a sequence is to append. */
  public record Wanted(Cache cache, int nTokens) {}

  /** Whether there is room for all of them in every layer; {@link #error} says why not. */
  public boolean canAppend(List<Wanted> wanted) {
    try (Arena call = Arena.ofConfined()) {
      MemorySegment caches = pointers(call, wanted.stream().map(Wanted::cache).toList());
      int[] counts = wanted.stream().mapToInt(Wanted::nTokens).toArray();
      MemorySegment tokens = call.allocateFrom(JAVA_INT, counts);
      MemorySegment failed = call.allocate(JAVA_INT);
      int status = Native.POOL_CAN_APPEND.call(pool, counts.length, caches, tokens, failed);
      boolean noRoom = status == Status.FULL.number || status == Status.POOL.number;
      if (!noRoom) {
        check(status, failed.get(JAVA_INT, 0));
      }
      return status == 0;
    }
  }

  /** Runs a step for each of several sequences, all of one layer. */
  public void batch(List<Part> parts) {
    try (Arena call = Arena.ofConfined()) {
      MemorySegment failed = call.allocate(JAVA_INT);
      int status =
          Native.BATCH.call(pool, parts.size(), caches(call, parts), steps(call, parts), failed);
      check(status, failed.get(JAVA_INT, 0));
    }
  }

  /** Begins a batch that the host's threads process together, as {@link Cache#stepBegin}. */
  public int batchBegin(List<Part> parts) {
    try (Arena call = Arena.ofConfined()) {
      MemorySegment out = call.allocate(JAVA_INT, 2);
      int status =
          Native.BATCH_BEGIN.call(
              pool, parts.size(), caches(call, parts), steps(call, parts), out, out.asSlice(4));
      check(status, out.get(JAVA_INT, 4));
      return out.get(JAVA_INT, 0);
    }
  }

  public void batchPart(int phase, int index, int count) {
    check(Native.BATCH_PART.call(pool, phase, index, count));
  }

  private static MemorySegment caches(Arena call, List<Part> parts) {
    return pointers(call, parts.stream().map(Part::cache).toList());
  }

  private static MemorySegment pointers(Arena call, List<Cache> caches) {
    MemorySegment pointers = call.allocate(ADDRESS, caches.size());
    for (int i = 0; i < caches.size(); i++) {
      pointers.setAtIndex(ADDRESS, i, caches.get(i).pointer());
    }
    return pointers;
  }

  private MemorySegment steps(Arena call, List<Part> parts) {
    MemorySegment pointers = call.allocate(ADDRESS, parts.size());
    for (int i = 0; i < parts.size(); i++) {
      Step step = parts.get(i).step();
      MemorySegment struct = call.allocate(Struct.STEP.layout());
      pointers.setAtIndex(ADDRESS, i, step.write(struct, shape(step.layer())));
    }
    return pointers;
  }

  /**
   * The shapes of a layer; those of layer 0 where there is no such layer, which the library will
   * refuse.
   */
  Config.Shape shape(int layer) {
    return shapes.get(layer >= 0 && layer < shapes.size() ? layer : 0);
  }

  private void check(int status, int index) {
    if (status != 0) {
      throw new SinkattnException(status, error(), index);
    }
  }
}
