//! Builds the C library from the repository's sources.
//!
//! SPDX-License-Identifier: MIT
use std::path::{Path, PathBuf};

/// The sources that `lib/sources.mk` lists, the one list that every build reads.
fn sources(root: &Path) -> Vec<PathBuf> {
    let list = root.join("lib/sources.mk");
    let text = std::fs::read_to_string(&list).unwrap_or_else(|e| panic!("{}: {e}", list.display()));
    text.split_whitespace().filter(|word| word.ends_with(".c")).map(|source| root.join(source)).collect()
}

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let mut build = cc::Build::new();
    // Optimised in debug builds too: attention is most of a program's time, and its bits are the same.
    build.files(sources(&root)).include(root.join("include")).opt_level(3).std("c99");
    // Multiply and add are fused where the source says so and nowhere else.
    build.flag_if_supported("-ffp-contract=off").flag_if_supported("-fno-fast-math");
    if std::env::var_os("CARGO_FEATURE_OPENMP").is_some() {
        build.flag("-fopenmp");
        println!("cargo:rustc-link-arg=-fopenmp");
        println!("cargo:rustc-link-lib=gomp");
    }
    build.compile("sinkattn");
    if std::env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family == "unix") {
        println!("cargo:rustc-link-lib=m");
    }
    for path in ["lib", "include"] {
        println!("cargo:rerun-if-changed={}", root.join(path).display());
    }
}
