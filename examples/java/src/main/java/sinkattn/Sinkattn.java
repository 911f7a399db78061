// SPDX-License-Identifier: MIT
package sinkattn;

import java.lang.foreign.MemorySegment;

/** What belongs to no cache. */
public final class Sinkattn {
  private Sinkattn() {}

  /** The version of the library that runs. */
  public static String version() {
    return Native.text(Native.VERSION_STRING.call());
  }

  /** The same as one number that grows. */
  public static int versionNumber() {
    return Native.VERSION.call();
  }

  /** The instruction set that AUTO takes on this processor. */
  public static Isa isaBest() {
    return Isa.of(Native.ISA_BEST.call());
  }

  public static boolean isAvailable(Isa isa) {
    return Native.ISA_AVAILABLE.call(isa.number()) == 1;
  }

  /** A short lower-case name. */
  public static String name(Isa isa) {
    return Native.text(Native.ISA_NAME.call(isa.number()));
  }

  static String sentence(int status) {
    return Native.text(Native.STATUS_STRING.call(status));
  }

  /**
   * The un-normalised state of attention for some rows, as a step with {@link Step#partial} writes
   * it.
   *
   * @param max (rows) floats
   * @param sum (rows) floats
   * @param acc (rows, v_head_dim) floats
   */
  public record Partial(MemorySegment max, MemorySegment sum, MemorySegment acc) {
    private void check(long rows, int dims) {
      long row = Float.BYTES;
      Step.exact("max", max, Math.multiplyExact(rows, row));
      Step.exact("sum", sum, Math.multiplyExact(rows, row));
      Step.exact("acc", acc, Math.multiplyExact(rows, dims * row));
    }
  }

  /** a becomes the state over the keys of both. */
  public static void mergePartial(long rows, int vHeadDim, Partial a, Partial b) {
    a.check(rows, vHeadDim);
    b.check(rows, vHeadDim);
    check(Native.MERGE_PARTIAL.call(rows, vHeadDim, a.max, a.sum, a.acc, b.max, b.sum, b.acc));
  }

  /**
   * acc becomes the results.
   *
   * @param lse null, or (rows) floats; is written
   */
  public static void finishPartial(long rows, int vHeadDim, Partial a, MemorySegment lse) {
    a.check(rows, vHeadDim);
    MemorySegment to = MemorySegment.NULL;
    if (lse != null) {
      to = Step.exact("lse", lse, Math.multiplyExact(rows, Float.BYTES));
    }
    check(Native.FINISH_PARTIAL.call(rows, vHeadDim, a.max, a.sum, a.acc, to));
  }

  private static void check(int status) {
    if (status != 0) {
      throw new SinkattnException(status, sentence(status));
    }
  }
}
