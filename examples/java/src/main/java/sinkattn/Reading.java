// SPDX-License-Identifier: MIT
package sinkattn;

/**
 * What to read of tokens that a layer holds, or of rows of the host: sa_read_args.
 *
 * @param positions stream positions, in any order
 * @param kvHead the first kv head
 * @param nKvHeads how many; 0: all from that one on
 * @param k (positions, heads read, head_dim) or null; is written
 * @param v (positions, heads read, v_head_dim) or null; is written
 * @param places with AT_PLACE (positions), else null
 * @param rows positions are numbers of rows of the host
 */
public record Reading(
    int layer,
    long[] positions,
    int kvHead,
    int nKvHeads,
    KeyForm keyForm,
    Tensor k,
    Tensor v,
    long[] places,
    boolean rows) {
  static final int ROWS = 1;

  /** In which form a key is given. */
  public enum KeyForm {
    AS_STORED,
    UNROTATED,
    AT_PLACE
  }

  /** All kv heads. */
  public static Reading of(int layer, long[] positions, KeyForm form, Tensor k, Tensor v) {
    return new Reading(layer, positions, 0, 0, form, k, v, null, false);
  }
}
