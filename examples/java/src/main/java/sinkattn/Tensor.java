// SPDX-License-Identifier: MIT
package sinkattn;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * A tensor (tokens, heads, dim) as it lies in native memory: no call copies it. The dims of a head
 * are adjacent.
 *
 * @param data native memory; what a call touches must lie within it
 * @param offset bytes to element [0][0][0]
 * @param tokenStride bytes from a token to the next; may be 0 or negative. {@link #CONTIGUOUS}:
 *     heads * headStride
 * @param headStride bytes from a head to the next, likewise. {@link #CONTIGUOUS}: dim * element
 *     size
 * @param dtype F32, F16, BF16; null: the config's ioDtype
 */
public record Tensor(
    MemorySegment data, long offset, long tokenStride, long headStride, Dtype dtype) {
  public static final long CONTIGUOUS = Long.MIN_VALUE;

  static final int STRIDES_GIVEN = 1;

  public Tensor {
    if (!data.isNative()) {
      throw new IllegalArgumentException("a tensor lies in native memory: take it from an arena");
    }
  }

  /** A contiguous tensor of the config's ioDtype that begins where the segment does. */
  public static Tensor of(MemorySegment data) {
    return new Tensor(data, 0, CONTIGUOUS, CONTIGUOUS, null);
  }

  /** Room for n floats. */
  public static Tensor floats(Arena arena, long n) {
    return of(arena.allocate(JAVA_FLOAT, n));
  }

  public void set(float[] numbers) {
    MemorySegment.copy(numbers, 0, data, JAVA_FLOAT, offset, numbers.length);
  }

  public float[] toArray(int n) {
    return data.asSlice(offset, (long) n * Float.BYTES).toArray(JAVA_FLOAT);
  }

  /**
   * Writes it as a sa_tensor; what the library will touch has been found to lie within the segment.
   */
  void write(MemorySegment struct, String name, int tokens, int heads, int dim, Dtype ioDtype) {
    Dtype type = dtype != null ? dtype : ioDtype;
    long head = headStride != CONTIGUOUS ? headStride : (long) dim * type.size;
    long token = tokenStride != CONTIGUOUS ? tokenStride : Math.multiplyExact(heads, head);
    checkExtent(name, tokens, heads, (long) dim * type.size, token, head);
    Struct.TENSOR.set(struct, "data", MemorySegment.ofAddress(data.address() + offset));
    Struct.TENSOR.set(struct, "token_stride", token);
    Struct.TENSOR.set(struct, "head_stride", head);
    Struct.TENSOR.set(struct, "dtype", type.number);
    Struct.TENSOR.set(struct, "flags", STRIDES_GIVEN);
  }

  private void checkExtent(String name, int tokens, int heads, long row, long token, long head) {
    checkAlive(name, data);
    if (tokens <= 0) {
      return;
    }
    long byToken = Math.multiplyExact(tokens - 1L, token);
    long byHead = Math.multiplyExact(heads - 1L, head);
    long low = Math.addExact(offset, Math.addExact(Math.min(0, byToken), Math.min(0, byHead)));
    long last = Math.addExact(offset, Math.addExact(Math.max(0, byToken), Math.max(0, byHead)));
    long high = Math.addExact(last, row);
    if (low < 0 || high > data.byteSize()) {
      throw new IndexOutOfBoundsException(
          name + " reaches from byte " + low + " to " + high + " of " + data.byteSize());
    }
  }

  /** Structs hold addresses, which the linker cannot look behind: arenas are looked at here. */
  static void checkAlive(String name, MemorySegment data) {
    if (!data.scope().isAlive()) {
      throw new IllegalStateException(name + ": its arena has been closed");
    }
    if (!data.isAccessibleBy(Thread.currentThread())) {
      throw new WrongThreadException(name + " belongs to another thread");
    }
  }
}
