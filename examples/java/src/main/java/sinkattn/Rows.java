// SPDX-License-Identifier: MIT
package sinkattn;

/**
 * Rows of the host, that every query sees: sa_rows.
 *
 * @param first the number of the first row that is replaced
 * @param kvHead the first kv head whose rows are replaced; others keep theirs
 * @param nKvHeads how many are; 0: all from that one on
 * @param k (nRows, heads replaced, head_dim), or null with v: these rows are taken away
 * @param v (nRows, heads replaced, v_head_dim)
 * @param places (nRows, heads replaced) or null: all 0
 * @param biases (nRows, heads replaced) or null: all 0
 * @param atDistance places are distances that stay
 */
public record Rows(
    int layer,
    int first,
    int nRows,
    int kvHead,
    int nKvHeads,
    Tensor k,
    Tensor v,
    long[] places,
    float[] biases,
    boolean atDistance) {
  static final int AT_DISTANCE = 1;

  /** Of all kv heads. */
  public Rows(
      int layer,
      int first,
      int nRows,
      Tensor k,
      Tensor v,
      long[] places,
      float[] biases,
      boolean atDistance) {
    this(layer, first, nRows, 0, 0, k, v, places, biases, atDistance);
  }
}
