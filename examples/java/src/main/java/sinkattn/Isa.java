// SPDX-License-Identifier: MIT
package sinkattn;

/** Instruction sets. */
public enum Isa {
  AUTO,
  PLAIN,
  PLAIN_NOFMA,
  AVX2,
  AVX512,
  NEON,
  WASM,
  WASM_RELAXED,
  RVV,
  VSX,
  VXE,
  AVX512_VNNI,
  AVX2_VNNI,
  NEON_DOT;

  int number() {
    return ordinal();
  }

  /** Of one that is newer than this file: AUTO. */
  static Isa of(int number) {
    return number > 0 && number < values().length ? values()[number] : AUTO;
  }
}
