//! Every size, place and number is what the C library's own table says (tests/abi/layout.c), and none is left out.
//!
//! SPDX-License-Identifier: MIT

use sinkattn_sys::*;
use std::collections::BTreeMap;
use std::mem::{offset_of, size_of};

/// `sizes` and `places` of a struct and its fields, by the names that the table has.
macro_rules! layout {
    ($map:ident, $($name:ident { $($field:ident),* $(,)? })*) => {
        $(
            $map.insert(format!("SIZE {}", stringify!($name)), size_of::<$name>() as i64);
            $($map.insert(format!("FIELD {} {}", stringify!($name), stringify!($field)), offset_of!($name, $field) as i64);)*
        )*
    };
}

macro_rules! numbers {
    ($map:ident, $($name:ident),* $(,)?) => { $($map.insert(format!("NUMBER {}", stringify!($name)), i64::from($name));)* };
}

fn ours() -> BTreeMap<String, i64> {
    let mut map = BTreeMap::new();
    layout! { map,
        sa_config { struct_size, flags, n_layers, max_append, rollback, isa, n_threads, io_dtype, n_heads, n_kv_heads, head_dim, v_head_dim, policy, n_sink, window, k_dtype, v_dtype, scale, softcap, n_sink_kv, sink_kv_position, position, position_mode, rope_layout, rope_dims, rope_offset, rope_scaling, rope_original_context, rope_theta, rope_factor, rope_attention_factor, rope_beta_fast, rope_beta_slow, rope_low_freq_factor, rope_high_freq_factor, rope_inv_freq, rope_short_factors, rope_long_factors, alibi_slopes, sink_logits, parallel_for, parallel_context, layers, sink_k_dtype, sink_v_dtype, n_recent, recent_k_dtype, recent_v_dtype, query_bits, weight_bits, n_sequences, n_spans, n_pin, n_rows, max_draft, pool_tokens, head_windows, head_sinks }
        sa_allocator { struct_size, reserved, alloc, free, user }
        sa_cache_facts { struct_size, isa, tokens_seen, tokens_held, positions_held, rollback_now, cache_size, kv_size, n_threads, max_append, n_lanes, n_draft, rows_used, keys_in_front, keys_most }
        sa_tensor { data, token_stride, head_stride, dtype, flags }
        sa_step_args { struct_size, flags, layer, n_tokens, q, k, v, out, q_offset, lse, sink_mass, partial_max, partial_sum, view_window, view_sinks, parents, key_mass, value_norms, key_stride }
        sa_span { from, end, shift, kind, masked }
        sa_read_args { struct_size, flags, layer, n_tokens, kv_head, n_kv_heads, key_form, reserved, positions, k, v, places }
        sa_pool_facts { struct_size, n_sequences, n_open, reserved, pool_size, tiles, tiles_free, tile_size }
        sa_rows { struct_size, flags, layer, first, n_rows, kv_head, n_kv_heads, reserved, k, v, places, biases }
    }
    numbers! { map, SA_SUCCESS, SA_ERR_ARGUMENT, SA_ERR_CONFIG, SA_ERR_STRUCT_SIZE, SA_ERR_MEMORY, SA_ERR_BUFFER, SA_ERR_ALIGNMENT, SA_ERR_ISA, SA_ERR_FORMAT, SA_ERR_STATE, SA_ERR_OVERFLOW, SA_ERR_FULL, SA_ERR_DEPTH, SA_ERR_POOL, SA_F32, SA_F16, SA_BF16, SA_I8, SA_I4, SA_POLICY_SINK_WINDOW, SA_POLICY_WINDOW, SA_POLICY_DENSE, SA_POSITION_NONE, SA_POSITION_ROPE, SA_POSITION_ROPE_APPLIED, SA_POSITION_ALIBI, SA_IN_CACHE, SA_IN_STREAM, SA_ROPE_HALF_SPLIT, SA_ROPE_INTERLEAVED, SA_ROPE_SCALING_NONE, SA_ROPE_SCALING_LINEAR, SA_ROPE_SCALING_NTK, SA_ROPE_SCALING_YARN, SA_ROPE_SCALING_LLAMA3, SA_ROPE_SCALING_LONGROPE, SA_SINK_KV_BEFORE, SA_SINK_KV_AT_ZERO, SA_ISA_AUTO, SA_ISA_PLAIN, SA_ISA_PLAIN_NOFMA, SA_ISA_AVX2, SA_ISA_AVX512, SA_ISA_NEON, SA_ISA_WASM, SA_ISA_WASM_RELAXED, SA_ISA_RVV, SA_ISA_VSX, SA_ISA_VXE, SA_ISA_AVX512_VNNI, SA_ISA_AVX2_VNNI, SA_ISA_NEON_DOT, SA_CONFIG_YARN_NO_TRUNCATE, SA_CONFIG_COOPERATIVE, SA_TENSOR_STRIDES_GIVEN, SA_STEP_NODES, SA_STEP_MASS_PER_HEAD, SA_READ_ROWS, SA_ALL_LAYERS, SA_GAP_CLOSE, SA_GAP_KEEP, SA_SPAN_WINDOW, SA_SPAN_SINK, SA_SPAN_PIN, SA_KEY_AS_STORED, SA_KEY_UNROTATED, SA_KEY_AT_PLACE, SA_ROWS_AT_DISTANCE }
    map
}

/// Which of the table's three columns this target has.
fn column() -> usize {
    #[repr(C)]
    struct Align64 {
        first: i32,
        second: i64,
    }
    match (size_of::<*const u8>(), offset_of!(Align64, second)) {
        (8, _) => 0,
        (_, 8) => 1,
        _ => 2,
    }
}

/// The table's lines: `FIELD(sa_config, flags, 4, 4, 4)` is "FIELD sa_config flags" -> 4.
fn table() -> BTreeMap<String, i64> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/abi/layout.c");
    let text = std::fs::read_to_string(path).expect("the repository's tests/abi/layout.c");
    let mut map = BTreeMap::new();
    for line in text.lines() {
        let Some((kind, rest)) = line.split_once('(') else { continue };
        let parts: Vec<&str> = rest.trim_end_matches(')').split(", ").collect();
        let (names, numbers) = match kind {
            "SIZE" => parts.split_at(1),
            "FIELD" => parts.split_at(2),
            "NUMBER" => parts.split_at(1),
            _ => continue,
        };
        let number = numbers[if numbers.len() == 1 { 0 } else { column() }];
        map.insert(format!("{kind} {}", names.join(" ")), number.parse().expect(line));
    }
    map
}

#[test]
fn layout_is_that_of_the_c_library() {
    let (ours, table) = (ours(), table());
    assert!(table.len() > 200, "only {} lines found", table.len());
    for (name, value) in &table {
        assert_eq!(ours.get(name), Some(value), "{name}");
    }
    for name in ours.keys() {
        assert!(table.contains_key(name), "{name} is not in the table");
    }
}

/// All functions that the header declares are declared here.
#[test]
fn all_functions_are_declared() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../..");
    let map = std::fs::read_to_string(format!("{root}/lib/sinkattn.map")).unwrap();
    let here = include_str!("../src/lib.rs");
    let names: Vec<&str> =
        map.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| w.starts_with("sa_")).collect();
    assert!(names.len() > 40);
    for name in names {
        assert!(here.contains(&format!("pub fn {name}(")), "{name}");
    }
}

#[test]
fn library_links_and_is_of_this_version() {
    // SAFETY: takes nothing, returns a number.
    let version = unsafe { sa_version() };
    let header = concat!(
        env!("CARGO_PKG_VERSION_MAJOR"),
        ".",
        env!("CARGO_PKG_VERSION_MINOR"),
        ".",
        env!("CARGO_PKG_VERSION_PATCH")
    );
    let parts: Vec<i32> = header.split('.').map(|p| p.parse().unwrap()).collect();
    assert_eq!(version, parts[0] * 10000 + parts[1] * 100 + parts[2]);
}
