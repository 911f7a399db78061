// SPDX-License-Identifier: MIT
package sinkattn;

import java.lang.foreign.MemorySegment;

/** A run of consecutive stream positions [from, end) that a layer holds: sa_span. */
public record Span(long from, long end, long shift, Kind kind, boolean masked) {
  /** Why the tokens are held. */
  public enum Kind {
    WINDOW,
    SINK,
    PIN
  }

  static Span of(MemorySegment span) {
    Struct type = Struct.SPAN;
    return new Span(
        type.getLong(span, "from"),
        type.getLong(span, "end"),
        type.getLong(span, "shift"),
        Kind.values()[type.getInt(span, "kind")],
        type.getInt(span, "masked") != 0);
  }
}
