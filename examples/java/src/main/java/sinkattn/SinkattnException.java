// SPDX-License-Identifier: MIT
package sinkattn;

import java.util.Arrays;

/** A call was refused; the message is the library's sentence, and nothing has changed. */
public final class SinkattnException extends RuntimeException {
  private static final long serialVersionUID = 1;

  /** The header's numbers. */
  public enum Status {
    ARGUMENT(-1),
    CONFIG(-2),
    STRUCT_SIZE(-3),
    MEMORY(-4),
    BUFFER(-5),
    ALIGNMENT(-6),
    ISA(-7),
    FORMAT(-8),
    STATE(-9),
    OVERFLOW(-10),
    FULL(-11),
    DEPTH(-12),
    POOL(-13),
    /** One that is newer than this file. */
    UNKNOWN(Integer.MIN_VALUE);

    final int number;

    Status(int number) {
      this.number = number;
    }

    static Status of(int number) {
      return Arrays.stream(values()).filter(s -> s.number == number).findFirst().orElse(UNKNOWN);
    }
  }

  private final Status status;
  private final int index;

  SinkattnException(int status, String sentence, int index) {
    super(sentence);
    this.status = Status.of(status);
    this.index = index;
  }

  SinkattnException(int status, String sentence) {
    this(status, sentence, -1);
  }

  public Status status() {
    return status;
  }

  /** Of a batch: the step that was refused. Of a config: the layer concerned. Else -1. */
  public int index() {
    return index;
  }
}
