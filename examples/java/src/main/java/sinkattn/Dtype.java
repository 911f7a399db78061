// SPDX-License-Identifier: MIT
package sinkattn;

/** Element types. Host tensors: the first three. Stored keys and values: all. */
public enum Dtype {
  F32(1, 4),
  F16(2, 2),
  BF16(3, 2),
  I8(4, 1),
  I4(5, 1);

  final int number;

  /** Bytes of an element of a host tensor. */
  final int size;

  Dtype(int number, int size) {
    this.number = number;
    this.size = size;
  }
}
