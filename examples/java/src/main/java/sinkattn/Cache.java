// SPDX-License-Identifier: MIT
package sinkattn;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.stream.IntStream;

/**
 * A sequence: a stream and what is held of it. It lives as long as the arena of its pool; {@link
 * #close} ends it before that, so that the pool can open another. Any call on one that has ended
 * throws an IllegalStateException.
 */
public final class Cache implements AutoCloseable {
  /** In place of a layer: all of them. */
  public static final int ALL_LAYERS = -1;

  /** In place of the position behind the last of a range: the newest token's. */
  public static final long END = -1;

  /** What becomes of the positions of a removed range. */
  public enum Gap {
    CLOSE,
    KEEP
  }

  private final Pool pool;
  private final MemorySegment cache;
  private boolean closed;

  Cache(Pool pool, MemorySegment cache) {
    this.pool = pool;
    this.cache = cache;
  }

  /** A cache of its own, in a block of the arena. */
  public static Cache create(Arena arena, Config config) {
    Pool alone = Pool.make(arena, config, Native.CACHE_SIZE, Native.CACHE_INIT);
    return new Cache(alone, alone.self());
  }

  /** The bytes that a cache of this config takes, all it will ever take. */
  public static long size(Config config) {
    return Pool.size(config, Native.CACHE_SIZE);
  }

  MemorySegment pointer() {
    if (closed) {
      throw new IllegalStateException("this sequence has been closed");
    }
    return cache;
  }

  @Override
  public void close() {
    if (!closed && cache.scope().isAlive()) {
      Native.CACHE_DESTROY.call(cache);
    }
    closed = true;
  }

  /** Why the last call failed; "" if it did not. */
  public String error() {
    return Native.text(Native.CACHE_ERROR.call(pointer()));
  }

  /* The three calls. Segments are contiguous and of the config's ioDtype; arrays are copied. */

  public void appendKv(int layer, int nTokens, MemorySegment k, MemorySegment v) {
    Sizes sizes = new Sizes(pool.shape(layer), nTokens);
    check(Native.APPEND_KV.call(pointer(), layer, nTokens, sizes.k("k", k), sizes.v("v", v)));
  }

  public void appendKv(int layer, int nTokens, float[] k, float[] v) {
    try (Arena call = Arena.ofConfined()) {
      appendKv(layer, nTokens, floats(call, k), floats(call, v));
    }
  }

  public void attend(int layer, int nTokens, MemorySegment q, MemorySegment out) {
    Sizes sizes = new Sizes(pool.shape(layer), nTokens);
    check(Native.ATTEND.call(pointer(), layer, nTokens, sizes.q("q", q), sizes.out("out", out)));
  }

  public void attend(int layer, int nTokens, float[] q, float[] out) {
    try (Arena call = Arena.ofConfined()) {
      MemorySegment result = call.allocate(JAVA_FLOAT, out.length);
      attend(layer, nTokens, floats(call, q), result);
      MemorySegment.copy(result, JAVA_FLOAT, 0, out, 0, out.length);
    }
  }

  public void appendAttend(
      int layer,
      int nTokens,
      MemorySegment q,
      MemorySegment k,
      MemorySegment v,
      MemorySegment out) {
    Sizes sizes = new Sizes(pool.shape(layer), nTokens);
    check(
        Native.APPEND_ATTEND.call(
            pointer(),
            layer,
            nTokens,
            sizes.q("q", q),
            sizes.k("k", k),
            sizes.v("v", v),
            sizes.out("out", out)));
  }

  public void appendAttend(int layer, int nTokens, float[] q, float[] k, float[] v, float[] out) {
    try (Arena call = Arena.ofConfined()) {
      MemorySegment result = call.allocate(JAVA_FLOAT, out.length);
      appendAttend(layer, nTokens, floats(call, q), floats(call, k), floats(call, v), result);
      MemorySegment.copy(result, JAVA_FLOAT, 0, out, 0, out.length);
    }
  }

  private MemorySegment floats(Arena call, float[] numbers) {
    if (pool.shape(0).ioDtype() != Dtype.F32) {
      throw new IllegalArgumentException("arrays of float are for an ioDtype of F32");
    }
    return call.allocateFrom(JAVA_FLOAT, numbers);
  }

  /** Whether contiguous tensors of a layer fit the segments they are given in. */
  private record Sizes(Config.Shape shape, int nTokens) {
    private MemorySegment exact(String name, MemorySegment data, int heads, int dim) {
      long bytes = (long) nTokens * heads * dim * shape.ioDtype().size;
      return Step.exact(name, data, bytes);
    }

    MemorySegment q(String name, MemorySegment data) {
      return exact(name, data, shape.nHeads(), shape.headDim());
    }

    MemorySegment k(String name, MemorySegment data) {
      return exact(name, data, shape.nKvHeads(), shape.headDim());
    }

    MemorySegment v(String name, MemorySegment data) {
      return exact(name, data, shape.nKvHeads(), shape.vHeadDim());
    }

    MemorySegment out(String name, MemorySegment data) {
      return exact(name, data, shape.nHeads(), shape.vHeadDim());
    }
  }

  /* The general step. */

  public void step(Step step) {
    check(Native.STEP.call(pointer(), write(step)));
  }

  /**
   * Begins a step that the host's threads process: each calls {@link #stepPart} for every phase,
   * with a barrier before and behind each. The config is cooperative, and the arena a shared one.
   * Tensors stay until the last part has returned.
   *
   * @return how many phases there are
   */
  public int stepBegin(Step step) {
    MemorySegment phases = pool.scratch().asSlice(504, 4);
    check(Native.STEP_BEGIN.call(pointer(), write(step), phases));
    return phases.get(JAVA_INT, 0);
  }

  public void stepPart(int phase, int index, int count) {
    checkPlain(Native.STEP_PART.call(pointer(), phase, index, count));
  }

  private MemorySegment write(Step step) {
    MemorySegment struct = pool.scratch().asSlice(0, Struct.STEP.layout().byteSize());
    return step.write(struct, pool.shape(step.layer()));
  }

  /* Going back, jumping, removing, pinning. */

  public void reset(int layer) {
    check(Native.RESET.call(pointer(), layer));
  }

  public void rollback(int layer, long nTokens) {
    check(Native.ROLLBACK.call(pointer(), layer, nTokens));
  }

  public void seek(int layer, long position) {
    check(Native.SEEK.call(pointer(), layer, position));
  }

  public void restart(int layer, long position) {
    check(Native.RESTART.call(pointer(), layer, position));
  }

  public void remove(int layer, long from, long end, Gap gap) {
    check(Native.REMOVE.call(pointer(), layer, from, end, gap.ordinal()));
  }

  public void pin(int layer, long from, long end) {
    check(Native.PIN.call(pointer(), layer, from, end));
  }

  public void unpin(int layer, long from, long end) {
    check(Native.UNPIN.call(pointer(), layer, from, end));
  }

  public void anchor(int layer, long from, long end) {
    check(Native.ANCHOR.call(pointer(), layer, from, end));
  }

  /* What it holds. */

  public CacheFacts info(int layer) {
    long size = Struct.CACHE_FACTS.layout().byteSize();
    MemorySegment facts = Struct.CACHE_FACTS.clear(pool.scratch().asSlice(0, size));
    checkPlain(Native.INFO.call(pointer(), layer, facts));
    return CacheFacts.of(facts);
  }

  public List<Span> spans(int layer, int kvHead) {
    try (Arena call = Arena.ofConfined()) {
      MemorySegment n = call.allocate(JAVA_INT);
      checkPlain(Native.SPANS.call(pointer(), layer, kvHead, 0, MemorySegment.NULL, n));
      int count = n.get(JAVA_INT, 0);
      long size = Struct.SPAN.layout().byteSize();
      MemorySegment spans = call.allocate(Struct.SPAN.layout(), count);
      checkPlain(Native.SPANS.call(pointer(), layer, kvHead, count, spans, n));
      return IntStream.range(0, count)
          .mapToObj(i -> Span.of(spans.asSlice(i * size, size)))
          .toList();
    }
  }

  public long[] positions(int layer, int kvHead) {
    try (Arena call = Arena.ofConfined()) {
      MemorySegment n = call.allocate(JAVA_LONG);
      checkPlain(Native.POSITIONS.call(pointer(), layer, kvHead, 0, MemorySegment.NULL, n));
      MemorySegment positions = call.allocate(JAVA_LONG, n.get(JAVA_LONG, 0));
      checkPlain(
          Native.POSITIONS.call(pointer(), layer, kvHead, n.get(JAVA_LONG, 0), positions, n));
      return positions.toArray(JAVA_LONG);
    }
  }

  public void read(Reading what) {
    Config.Shape shape = pool.shape(what.layer());
    int n = what.positions().length;
    int heads = what.nKvHeads() != 0 ? what.nKvHeads() : shape.nKvHeads() - what.kvHead();
    Struct type = Struct.READ;
    try (Arena call = Arena.ofConfined()) {
      MemorySegment struct = type.clear(call.allocate(type.layout()));
      type.set(struct, "layer", what.layer());
      type.set(struct, "n_tokens", n);
      type.set(struct, "kv_head", what.kvHead());
      type.set(struct, "n_kv_heads", what.nKvHeads());
      type.set(struct, "key_form", what.keyForm().ordinal());
      type.set(struct, "flags", what.rows() ? Reading.ROWS : 0);
      type.set(struct, "positions", call.allocateFrom(JAVA_LONG, what.positions()));
      if (what.k() != null) {
        what.k().write(type.tensor(struct, "k"), "k", n, heads, shape.headDim(), shape.ioDtype());
      }
      if (what.v() != null) {
        what.v().write(type.tensor(struct, "v"), "v", n, heads, shape.vHeadDim(), shape.ioDtype());
      }
      if (what.places() != null) {
        type.set(struct, "places", longs(call, "places", what.places(), n));
      }
      check(Native.READ.call(pointer(), struct));
    }
  }

  /* What few programs need. */

  /** Contiguous, of the config's ioDtype. */
  public void setSinkKv(int layer, MemorySegment k, MemorySegment v) {
    Sizes sizes = new Sizes(pool.shape(layer), pool.shape(layer).nSinkKv());
    check(Native.SET_SINK_KV.call(pointer(), layer, sizes.k("k", k), sizes.v("v", v)));
  }

  public void setRows(Rows rows) {
    Config.Shape shape = pool.shape(rows.layer());
    int heads = rows.nKvHeads() != 0 ? rows.nKvHeads() : shape.nKvHeads() - rows.kvHead();
    int each = rows.nRows() * heads;
    Struct type = Struct.ROWS;
    try (Arena call = Arena.ofConfined()) {
      MemorySegment struct = type.clear(call.allocate(type.layout()));
      type.set(struct, "flags", rows.atDistance() ? Rows.AT_DISTANCE : 0);
      type.set(struct, "layer", rows.layer());
      type.set(struct, "first", rows.first());
      type.set(struct, "n_rows", rows.nRows());
      type.set(struct, "kv_head", rows.kvHead());
      type.set(struct, "n_kv_heads", rows.nKvHeads());
      if (rows.k() != null) {
        rows.k().write(
            type.tensor(struct, "k"), "k", rows.nRows(), heads, shape.headDim(), shape.ioDtype());
      }
      if (rows.v() != null) {
        rows.v().write(
            type.tensor(struct, "v"), "v", rows.nRows(), heads, shape.vHeadDim(), shape.ioDtype());
      }
      if (rows.places() != null) {
        type.set(struct, "places", longs(call, "places", rows.places(), each));
      }
      if (rows.biases() != null) {
        checkLength("biases", rows.biases().length, each);
        type.set(struct, "biases", call.allocateFrom(JAVA_FLOAT, rows.biases()));
      }
      check(Native.SET_ROWS.call(pointer(), struct));
    }
  }

  /** Accepts a path of the draft's nodes; without nodes, drops the draft. */
  public void draftAccept(int layer, int... path) {
    try (Arena call = Arena.ofConfined()) {
      MemorySegment nodes = call.allocateFrom(JAVA_INT, path);
      check(Native.DRAFT_ACCEPT.call(pointer(), layer, path.length, nodes));
    }
  }

  private static MemorySegment longs(Arena call, String name, long[] numbers, int length) {
    checkLength(name, numbers.length, length);
    return call.allocateFrom(JAVA_LONG, numbers);
  }

  private static void checkLength(String name, int length, int expected) {
    if (length != expected) {
      throw new IllegalArgumentException(name + " has " + length + " numbers, not " + expected);
    }
  }

  /* Forks and snapshots. */

  /** Opens a sequence of the same pool that is the equal of this one; no key or value is copied. */
  public Cache fork() {
    MemorySegment out = pool.scratch().asSlice(0, 8);
    check(Native.FORK.call(pointer(), out));
    return pool.opened(out);
  }

  public long saveSize(long from) {
    MemorySegment out = pool.scratch().asSlice(0, 8);
    check(Native.SAVE_SIZE.call(pointer(), from, out));
    return out.get(JAVA_LONG, 0);
  }

  /** Writes a snapshot; returns its bytes. */
  public long save(long from, MemorySegment data) {
    MemorySegment out = pool.scratch().asSlice(0, 8);
    check(Native.SAVE.call(pointer(), from, data, data.byteSize(), out));
    return out.get(JAVA_LONG, 0);
  }

  /** The whole sequence as a snapshot. */
  public byte[] save() {
    try (Arena call = Arena.ofConfined()) {
      MemorySegment data = call.allocate(saveSize(0));
      return data.asSlice(0, save(0, data)).toArray(JAVA_BYTE);
    }
  }

  public void load(MemorySegment data) {
    check(Native.LOAD.call(pointer(), data, data.byteSize()));
  }

  public void load(byte[] snapshot) {
    try (Arena call = Arena.ofConfined()) {
      load(call.allocateFrom(JAVA_BYTE, snapshot));
    }
  }

  private void check(int status) {
    if (status != 0) {
      throw new SinkattnException(status, error());
    }
  }

  /** Of calls that leave the sentence as it is. */
  private static void checkPlain(int status) {
    if (status != 0) {
      throw new SinkattnException(status, Sinkattn.sentence(status));
    }
  }
}
