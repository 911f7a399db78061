// SPDX-License-Identifier: MIT
package sinkattn;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * All a cache needs to know: the fields of sa_config that are not to be 0, the default. The header
 * says what each means and which are required.
 */
public final class Config {
  /** What a layer keeps. */
  public enum Policy {
    SINK_WINDOW,
    WINDOW,
    DENSE
  }

  /** How position enters the logit. There is no default. */
  public enum Position {
    NONE,
    ROPE,
    ROPE_APPLIED,
    ALIBI;

    int number() {
      return ordinal() + 1;
    }
  }

  /** Which distance a sink is at. */
  public enum PositionMode {
    IN_CACHE,
    IN_STREAM
  }

  /** Which two dims a rotation takes. */
  public enum RopeLayout {
    HALF_SPLIT,
    INTERLEAVED
  }

  /** How frequencies are scaled for longer contexts. */
  public enum RopeScaling {
    NONE,
    LINEAR,
    NTK,
    YARN,
    LLAMA3,
    LONGROPE
  }

  /** Where learned sink rows stand. */
  public enum SinkKvPosition {
    BEFORE,
    AT_ZERO
  }

  static final int YARN_NO_TRUNCATE = 1;
  static final int COOPERATIVE = 2;

  private final Map<String, Object> fields = new LinkedHashMap<>();
  private Dtype ioDtype = Dtype.F32;
  private List<Config> layers;
  private ParallelFor parallelFor;

  /**
   * @param nLayers of the whole cache; of no meaning in the config of a layer
   */
  public Config(int nLayers, int nHeads, int headDim, int window, Position position) {
    set("n_layers", nLayers).set("n_heads", nHeads).set("head_dim", headDim);
    set("window", window).set("position", position.number());
  }

  private Config set(String field, Object value) {
    fields.put(field, value);
    return this;
  }

  private Config flag(int bit) {
    return set("flags", number("flags") | bit);
  }

  /* Of the whole cache. */

  public Config maxAppend(int tokens) {
    return set("max_append", tokens);
  }

  public Config rollback(int tokens) {
    return set("rollback", tokens);
  }

  public Config isa(Isa isa) {
    return set("isa", isa.number());
  }

  public Config nThreads(int workers) {
    return set("n_threads", workers);
  }

  public Config ioDtype(Dtype dtype) {
    ioDtype = dtype;
    return set("io_dtype", dtype.number);
  }

  public Config nSequences(int sequences) {
    return set("n_sequences", sequences);
  }

  public Config maxDraft(int nodes) {
    return set("max_draft", nodes);
  }

  public Config poolTokens(long tokens) {
    return set("pool_tokens", tokens);
  }

  /** The host's threads will process steps together, by {@link Cache#stepBegin}. */
  public Config cooperative() {
    return flag(COOPERATIVE);
  }

  /** Runs the library's tasks on the host's threads; with nThreads. */
  public Config parallelFor(ParallelFor pool) {
    parallelFor = pool;
    return this;
  }

  /** (n_layers): a layer's own config, or null where it is as this one. */
  public Config layers(Config... ofLayers) {
    layers = Arrays.asList(ofLayers.clone());
    return this;
  }

  /* Of a layer: geometry, and what it keeps. */

  public Config nKvHeads(int heads) {
    return set("n_kv_heads", heads);
  }

  public Config vHeadDim(int dims) {
    return set("v_head_dim", dims);
  }

  public Config policy(Policy policy) {
    return set("policy", policy.ordinal());
  }

  public Config nSink(int tokens) {
    return set("n_sink", tokens);
  }

  public Config kDtype(Dtype dtype) {
    return set("k_dtype", dtype.number);
  }

  public Config vDtype(Dtype dtype) {
    return set("v_dtype", dtype.number);
  }

  public Config sinkKDtype(Dtype dtype) {
    return set("sink_k_dtype", dtype.number);
  }

  public Config sinkVDtype(Dtype dtype) {
    return set("sink_v_dtype", dtype.number);
  }

  public Config nRecent(int tokens) {
    return set("n_recent", tokens);
  }

  public Config recentKDtype(Dtype dtype) {
    return set("recent_k_dtype", dtype.number);
  }

  public Config recentVDtype(Dtype dtype) {
    return set("recent_v_dtype", dtype.number);
  }

  public Config queryBits(int bits) {
    return set("query_bits", bits);
  }

  public Config weightBits(int bits) {
    return set("weight_bits", bits);
  }

  public Config nSpans(int spans) {
    return set("n_spans", spans);
  }

  public Config nPin(int tokens) {
    return set("n_pin", tokens);
  }

  public Config nRows(int rows) {
    return set("n_rows", rows);
  }

  /** (n_kv_heads) */
  public Config headWindows(int... windows) {
    return set("head_windows", windows.clone());
  }

  /** (n_kv_heads) */
  public Config headSinks(int... sinks) {
    return set("head_sinks", sinks.clone());
  }

  /* Softmax. */

  public Config scale(float scale) {
    return set("scale", scale);
  }

  public Config softcap(float cap) {
    return set("softcap", cap);
  }

  public Config nSinkKv(int rows) {
    return set("n_sink_kv", rows);
  }

  public Config sinkKvPosition(SinkKvPosition place) {
    return set("sink_kv_position", place.ordinal());
  }

  /** (n_heads) */
  public Config sinkLogits(float... logits) {
    return set("sink_logits", logits.clone());
  }

  /* Position. */

  public Config positionMode(PositionMode mode) {
    return set("position_mode", mode.ordinal());
  }

  public Config ropeLayout(RopeLayout layout) {
    return set("rope_layout", layout.ordinal());
  }

  public Config ropeDims(int dims) {
    return set("rope_dims", dims);
  }

  public Config ropeOffset(int dim) {
    return set("rope_offset", dim);
  }

  public Config ropeScaling(RopeScaling scaling) {
    return set("rope_scaling", scaling.ordinal());
  }

  public Config ropeOriginalContext(int tokens) {
    return set("rope_original_context", tokens);
  }

  public Config ropeTheta(double theta) {
    return set("rope_theta", theta);
  }

  public Config ropeFactor(double factor) {
    return set("rope_factor", factor);
  }

  public Config ropeAttentionFactor(double factor) {
    return set("rope_attention_factor", factor);
  }

  public Config ropeBetaFast(double rotations) {
    return set("rope_beta_fast", rotations);
  }

  public Config ropeBetaSlow(double rotations) {
    return set("rope_beta_slow", rotations);
  }

  public Config ropeLowFreqFactor(double factor) {
    return set("rope_low_freq_factor", factor);
  }

  public Config ropeHighFreqFactor(double factor) {
    return set("rope_high_freq_factor", factor);
  }

  public Config yarnNoTruncate() {
    return flag(YARN_NO_TRUNCATE);
  }

  /** (rope_dims / 2) */
  public Config ropeInvFreq(double... frequencies) {
    return set("rope_inv_freq", frequencies.clone());
  }

  /** (rope_dims / 2) */
  public Config ropeShortFactors(float... factors) {
    return set("rope_short_factors", factors.clone());
  }

  /** (rope_dims / 2) */
  public Config ropeLongFactors(float... factors) {
    return set("rope_long_factors", factors.clone());
  }

  /** (n_heads) */
  public Config alibiSlopes(float... slopes) {
    return set("alibi_slopes", slopes.clone());
  }

  /** Throws what would be wrong with it. */
  public void check() {
    try (Arena arena = Arena.ofConfined()) {
      write(arena, arena);
    }
  }

  /**
   * Writes a sa_config that the library has found right.
   *
   * @param call where the struct goes, which is read during the call only
   * @param life what stays as long as the cache: the way back to the host's threads
   */
  MemorySegment write(Arena call, Arena life) {
    MemorySegment struct = writeFields(call);
    if (layers != null) {
      Struct.CONFIG.set(struct, "layers", writeLayers(call));
    }
    if (parallelFor != null) {
      Struct.CONFIG.set(struct, "parallel_for", Upcall.stub(parallelFor, life));
    }
    MemorySegment why = call.allocate(ADDRESS);
    MemorySegment layer = call.allocate(JAVA_INT);
    int status = Native.CONFIG_CHECK.call(struct, why, layer);
    if (status != 0) {
      throw new SinkattnException(status, Native.text(why.get(ADDRESS, 0)), layer.get(JAVA_INT, 0));
    }
    return struct;
  }

  private MemorySegment writeFields(Arena call) {
    MemorySegment struct = Struct.CONFIG.clear(call.allocate(Struct.CONFIG.layout()));
    fields.forEach(
        (field, value) -> Struct.CONFIG.set(struct, field, inMemory(call, field, value)));
    return struct;
  }

  private Object inMemory(Arena call, String field, Object value) {
    return switch (value) {
      case double[] array -> call.allocateFrom(JAVA_DOUBLE, exact(field, array, array.length));
      case float[] array -> call.allocateFrom(JAVA_FLOAT, exact(field, array, array.length));
      case int[] array -> call.allocateFrom(JAVA_INT, exact(field, array, array.length));
      default -> value;
    };
  }

  /** The library reads as many numbers as the config's own say, so an array has exactly as many. */
  private <T> T exact(String field, T array, int length) {
    int expected =
        switch (field) {
          case "alibi_slopes", "sink_logits" -> number("n_heads");
          case "head_windows", "head_sinks" -> kvHeads();
          default -> orElse("rope_dims", number("head_dim")) / 2;
        };
    if (length != expected) {
      throw new IllegalArgumentException(field + " has " + length + " numbers, not " + expected);
    }
    return array;
  }

  private MemorySegment writeLayers(Arena call) {
    if (layers.size() != number("n_layers")) {
      throw new IllegalArgumentException("layers has " + layers.size() + " configs, not n_layers");
    }
    MemorySegment pointers = call.allocate(ADDRESS, layers.size());
    for (int i = 0; i < layers.size(); i++) {
      if (layers.get(i) != null) {
        pointers.setAtIndex(ADDRESS, i, layers.get(i).writeFields(call));
      }
    }
    return pointers;
  }

  private int number(String field) {
    return (int) fields.getOrDefault(field, 0);
  }

  private int orElse(String field, int otherwise) {
    return number(field) != 0 ? number(field) : otherwise;
  }

  private int kvHeads() {
    return orElse("n_kv_heads", number("n_heads"));
  }

  /** The shapes of a layer's tensors. */
  record Shape(int nHeads, int nKvHeads, int headDim, int vHeadDim, int nSinkKv, Dtype ioDtype) {}

  List<Shape> shapes() {
    Shape[] shapes = new Shape[number("n_layers")];
    for (int i = 0; i < shapes.length; i++) {
      Config own = layers != null && layers.get(i) != null ? layers.get(i) : this;
      shapes[i] = own.shape(ioDtype);
    }
    return List.of(shapes);
  }

  private Shape shape(Dtype io) {
    int dim = number("head_dim");
    return new Shape(
        number("n_heads"), kvHeads(), dim, orElse("v_head_dim", dim), number("n_sink_kv"), io);
  }
}
