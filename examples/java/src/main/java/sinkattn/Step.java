// SPDX-License-Identifier: MIT
package sinkattn;

import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The general step: appends if k and v are there, attends if q and out are. The header's
 * sa_step_args says what each field is. A step may be used again and again; calls keep nothing of
 * it.
 */
public final class Step {
  static final int NODES = 1;
  static final int MASS_PER_HEAD = 2;

  private final int layer;
  private final int nTokens;
  private final Map<String, Tensor> tensors = new LinkedHashMap<>();
  private final Map<String, MemorySegment> arrays = new LinkedHashMap<>();
  private int flags;
  private long qOffset;
  private long keyStride;
  private int viewWindow;
  private int viewSinks;

  public Step(int layer, int nTokens) {
    this.layer = layer;
    this.nTokens = nTokens;
  }

  /** (n_tokens, n_heads, head_dim) */
  public Step q(Tensor q) {
    return tensor("q", q);
  }

  /** (n_tokens, n_kv_heads, head_dim) */
  public Step k(Tensor k) {
    return tensor("k", k);
  }

  /** (n_tokens, n_kv_heads, v_head_dim) */
  public Step v(Tensor v) {
    return tensor("v", v);
  }

  /** (n_tokens, n_heads, v_head_dim); is written. */
  public Step out(Tensor out) {
    return tensor("out", out);
  }

  public Step qOffset(long tokens) {
    qOffset = tokens;
    return this;
  }

  /** The queries are those of nodes qOffset and up of the layer's draft. */
  public Step nodes() {
    flags |= NODES;
    return this;
  }

  public Step view(int window, int sinks) {
    viewWindow = window;
    viewSinks = sinks;
    return this;
  }

  /** (n_tokens) ints: the tokens are drafted, not appended. */
  public Step parents(MemorySegment parents) {
    return array("parents", parents);
  }

  /** (n_tokens, n_heads) floats; is written, as are the next three. */
  public Step lse(MemorySegment lse) {
    return array("lse", lse);
  }

  public Step sinkMass(MemorySegment mass) {
    return array("sink_mass", mass);
  }

  public Step partial(MemorySegment max, MemorySegment sum) {
    return array("partial_max", max).array("partial_sum", sum);
  }

  /** (n_kv_heads, keyStride) floats. */
  public Step keyMass(MemorySegment mass, long keyStride) {
    this.keyStride = keyStride;
    return array("key_mass", mass);
  }

  /** (n_heads, keyStride) floats. */
  public Step keyMassPerHead(MemorySegment mass, long keyStride) {
    flags |= MASS_PER_HEAD;
    return keyMass(mass, keyStride);
  }

  /** (n_kv_heads, keyStride) floats. */
  public Step valueNorms(MemorySegment norms, long keyStride) {
    this.keyStride = keyStride;
    return array("value_norms", norms);
  }

  private Step tensor(String name, Tensor tensor) {
    tensors.put(name, tensor);
    return this;
  }

  private Step array(String name, MemorySegment data) {
    arrays.put(name, data);
    return this;
  }

  int layer() {
    return layer;
  }

  /** Writes it as a sa_step_args. */
  MemorySegment write(MemorySegment struct, Config.Shape shape) {
    Struct type = Struct.STEP;
    type.clear(struct);
    type.set(struct, "flags", flags);
    type.set(struct, "layer", layer);
    type.set(struct, "n_tokens", nTokens);
    type.set(struct, "q_offset", qOffset);
    type.set(struct, "key_stride", keyStride);
    type.set(struct, "view_window", viewWindow);
    type.set(struct, "view_sinks", viewSinks);
    tensors.forEach((name, t) -> writeTensor(type.tensor(struct, name), name, t, nTokens, shape));
    arrays.forEach((name, data) -> type.set(struct, name, array(name, data, shape)));
    return struct;
  }

  /** Writes one of q, k, v, out. */
  static void writeTensor(
      MemorySegment at, String name, Tensor tensor, int tokens, Config.Shape shape) {
    boolean queries = name.equals("q") || name.equals("out");
    int heads = queries ? shape.nHeads() : shape.nKvHeads();
    int dim = name.equals("q") || name.equals("k") ? shape.headDim() : shape.vHeadDim();
    tensor.write(at, name, tokens, heads, dim, shape.ioDtype());
  }

  private MemorySegment array(String name, MemorySegment data, Config.Shape shape) {
    Tensor.checkAlive(name, data);
    long heads =
        switch (name) {
          case "key_mass" -> (flags & MASS_PER_HEAD) != 0 ? shape.nHeads() : shape.nKvHeads();
          case "value_norms" -> shape.nKvHeads();
          default -> shape.nHeads();
        };
    long numbers =
        switch (name) {
          case "parents" -> nTokens;
          case "key_mass", "value_norms" -> Math.multiplyExact(heads, keyStride);
          default -> heads * nTokens;
        };
    return exact(name, data, Math.multiplyExact(numbers, Float.BYTES));
  }

  /** An array of native memory that has room for so many bytes. */
  static MemorySegment exact(String name, MemorySegment data, long bytes) {
    if (!data.isNative() || bytes > data.byteSize()) {
      throw new IndexOutOfBoundsException(
          name + " needs " + bytes + " bytes of native memory, and has " + data.byteSize());
    }
    return data;
  }
}
