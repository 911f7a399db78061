/**
 * The key/value cache and attention of a transformer that never stops, by java.lang.foreign.
 *
 * <p>SPDX-License-Identifier: MIT
 */
module sinkattn {
  exports sinkattn;
}
