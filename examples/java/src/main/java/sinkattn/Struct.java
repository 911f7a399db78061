// SPDX-License-Identifier: MIT
package sinkattn;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The structs of sinkattn.h: fields in order, placed as C places them. The tests compare every size
 * and place with tests/abi/layout.c.
 */
record Struct(String name, MemoryLayout layout, Map<String, Long> places) {

  static final Struct TENSOR =
      of(
          "sa_tensor",
          """
          pointer data
          long token_stride head_stride
          int dtype flags
          """);

  static final Struct CONFIG =
      of(
          "sa_config",
          """
          int struct_size flags
          int n_layers max_append rollback isa n_threads io_dtype
          int n_heads n_kv_heads head_dim v_head_dim policy n_sink window k_dtype v_dtype
          float scale softcap
          int n_sink_kv sink_kv_position
          int position position_mode rope_layout rope_dims rope_offset rope_scaling rope_original_context
          double rope_theta rope_factor rope_attention_factor rope_beta_fast rope_beta_slow
          double rope_low_freq_factor rope_high_freq_factor
          pointer rope_inv_freq rope_short_factors rope_long_factors alibi_slopes sink_logits
          pointer parallel_for parallel_context layers
          int sink_k_dtype sink_v_dtype n_recent recent_k_dtype recent_v_dtype query_bits weight_bits
          int n_sequences n_spans n_pin n_rows max_draft
          long pool_tokens
          pointer head_windows head_sinks
          """);

  static final Struct STEP =
      of(
          "sa_step_args",
          """
          int struct_size flags layer n_tokens
          tensor q k v out
          long q_offset
          pointer lse sink_mass partial_max partial_sum
          int view_window view_sinks
          pointer parents key_mass value_norms
          long key_stride
          """);

  static final Struct READ =
      of(
          "sa_read_args",
          """
          int struct_size flags layer n_tokens kv_head n_kv_heads key_form reserved
          pointer positions
          tensor k v
          pointer places
          """);

  static final Struct ROWS =
      of(
          "sa_rows",
          """
          int struct_size flags layer first n_rows kv_head n_kv_heads reserved
          tensor k v
          pointer places biases
          """);

  static final Struct CACHE_FACTS =
      of(
          "sa_cache_facts",
          """
          int struct_size isa
          long tokens_seen tokens_held positions_held rollback_now cache_size kv_size
          int n_threads max_append n_lanes n_draft
          long rows_used keys_in_front keys_most
          """);

  static final Struct POOL_FACTS =
      of(
          "sa_pool_facts",
          """
          int struct_size n_sequences n_open reserved
          long pool_size tiles tiles_free tile_size
          """);

  static final Struct SPAN =
      of(
          "sa_span",
          """
          long from end shift
          int kind masked
          """);

  private static Struct of(String name, String text) {
    List<MemoryLayout> members = new ArrayList<>();
    Map<String, Long> places = new LinkedHashMap<>();
    long end = 0;
    for (String line : text.strip().split("\n")) {
      String[] words = line.strip().split(" ");
      MemoryLayout type = type(words[0]);
      for (int i = 1; i < words.length; i++) {
        end = pad(members, end, type.byteAlignment());
        places.put(words[i], end);
        members.add(type.withName(words[i]));
        end += type.byteSize();
      }
    }
    pad(members, end, Long.BYTES);
    return new Struct(
        name, MemoryLayout.structLayout(members.toArray(MemoryLayout[]::new)), places);
  }

  private static long pad(List<MemoryLayout> members, long end, long alignment) {
    long gap = -end & (alignment - 1);
    if (gap != 0) {
      members.add(MemoryLayout.paddingLayout(gap));
    }
    return end + gap;
  }

  private static MemoryLayout type(String word) {
    return switch (word) {
      case "int" -> JAVA_INT;
      case "long" -> JAVA_LONG;
      case "float" -> JAVA_FLOAT;
      case "double" -> JAVA_DOUBLE;
      case "pointer" -> ADDRESS;
      case "tensor" -> TENSOR.layout;
      default -> throw new AssertionError(word);
    };
  }

  private long place(String field) {
    Long place = places.get(field);
    if (place == null) {
      throw new AssertionError(name + " has no field " + field);
    }
    return place;
  }

  void set(MemorySegment struct, String field, int value) {
    struct.set(JAVA_INT, place(field), value);
  }

  void set(MemorySegment struct, String field, long value) {
    struct.set(JAVA_LONG, place(field), value);
  }

  void set(MemorySegment struct, String field, MemorySegment value) {
    struct.set(ADDRESS, place(field), value);
  }

  /** A number of whatever type the field has, as the config's map has it. */
  void set(MemorySegment struct, String field, Object value) {
    switch (value) {
      case Integer number -> struct.set(JAVA_INT, place(field), number);
      case Long number -> struct.set(JAVA_LONG, place(field), number);
      case Float number -> struct.set(JAVA_FLOAT, place(field), number);
      case Double number -> struct.set(JAVA_DOUBLE, place(field), number);
      case MemorySegment pointer -> struct.set(ADDRESS, place(field), pointer);
      default -> throw new AssertionError(field);
    }
  }

  int getInt(MemorySegment struct, String field) {
    return struct.get(JAVA_INT, place(field));
  }

  long getLong(MemorySegment struct, String field) {
    return struct.get(JAVA_LONG, place(field));
  }

  /** The part of a struct that is a tensor. */
  MemorySegment tensor(MemorySegment struct, String field) {
    return struct.asSlice(place(field), TENSOR.layout.byteSize());
  }

  /** Zeroes a struct, and sets its struct_size. */
  MemorySegment clear(MemorySegment struct) {
    struct.fill((byte) 0);
    set(struct, "struct_size", (int) layout.byteSize());
    return struct;
  }
}
