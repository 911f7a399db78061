// SPDX-License-Identifier: MIT
package sinkattn;

/**
 * Rows of the host, that every query sees: sa_rows.
 *
 * @param first the number of the first row that is replaced
 * @param k (nRows, n_kv_heads, head_dim), or null with v: these rows are taken away
 * @param v (nRows, n_kv_heads, v_head_dim)
 * @param places (nRows, n_kv_heads) or null: all 0
 * @param biases (nRows, n_kv_heads) or null: all 0
 * @param atDistance places are distances that stay
 */
public record Rows(
    int layer,
    int first,
    int nRows,
    Tensor k,
    Tensor v,
    long[] places,
    float[] biases,
    boolean atDistance) {
  static final int AT_DISTANCE = 1;
}
