#!/bin/sh
# Checks the Rust crates: formatting, lints, documentation, tests, and that the job gives the digest of the C program.
# SPDX-License-Identifier: MIT
#
#   sh examples/rust/check.sh                from the top of the repository; needs cargo and a C compiler
#   MISTRALRS=1 sh examples/rust/check.sh    the adapter for mistral.rs too: builds candle, which takes minutes. CI does
. tests/gates/common.sh

here=examples/rust
has cargo || {
    echo "skipped: no cargo here"
    missing "Rust: no cargo here"
    finish
}

minor=$(cargo --version | sed -n 's/^cargo 1\.\([0-9]*\).*/\1/p')
[ "${minor:-0}" -ge 80 ] || {
    skip "Rust: $(cargo --version) is too old: the crates need 1.80"
    finish
}

mkdir -p "$BUILD/examples/rust"
CARGO_TARGET_DIR=$(cd "$BUILD/examples/rust" && pwd)
export CARGO_TARGET_DIR

# cargo keeps its choice of versions beside the sources; nothing is to be left there.
locks=
for lock in $here/Cargo.lock $here/sinkattn-mistralrs/Cargo.lock; do
    [ -e "$lock" ] || locks="$locks $lock"
done
trap 'rm -rf "$tmp" $locks' EXIT

# rust FOLDER COMMAND...: cargo in a folder of the crates
rust() {
    (cd "$here/$1" && shift && cargo "$@")
}

# tests NAME FOLDER: cargo test, and how many
tests() {
    if rust "$2" test >"$tmp/log" 2>&1; then
        ok "$1: $(awk '/^test result: ok/ { n += $4 } END { print n + 0 }' "$tmp/log") tests"
    else
        fail "$1"
        tail -n 60 "$tmp/log"
    fi
}

# crates FOLDER: format, lints, documentation
crates() {
    if rust "$1" fmt --version >/dev/null 2>&1; then
        check "$1: formatted" rust "$1" fmt --all --check
    else
        missing "$1: no rustfmt here"
    fi
    if rust "$1" clippy --version >/dev/null 2>&1; then
        check "$1: clippy" rust "$1" clippy -q --all-targets -- -D warnings
    else
        missing "$1: no clippy here"
    fi
    check "$1: documentation" env RUSTDOCFLAGS="-D warnings" sh -c "cd $here/$1 && cargo doc -q --no-deps"
}

check "the C program" $MAKE -s BUILD="$BUILD" "$BUILD/examples/job"
check "the job compiles" rust . build -q --example job
"$CARGO_TARGET_DIR/debug/examples/job" >"$tmp/got" 2>&1
same_job
tests "sinkattn-sys and sinkattn" .
crates .

# It has been built before, or is asked for.
if [ -n "${CI:-}${MISTRALRS:-}" ] || ls "$CARGO_TARGET_DIR"/debug/deps/libcandle_core-*.rlib >/dev/null 2>&1; then
    tests "the adapter for mistral.rs" sinkattn-mistralrs
    crates sinkattn-mistralrs
else
    skip "the adapter for mistral.rs: it builds candle, which takes minutes; MISTRALRS=1 checks it"
fi

finish
