#!/bin/sh
# Gate: the Node package: its tests, the job with the C program's digest, its types, its packing, and the page in a browser.
# SPDX-License-Identifier: MIT
#
#   sh examples/node/check.sh     in Debian, packages clang lld llvm wasi-libc libclang-rt-14-dev-wasm32 nodejs npm, and
#                                 for the page chromium; for relaxed SIMD clang-19 lld-19 llvm-19 libclang-rt-19-dev-wasm32
. tests/gates/common.sh

has node || { missing "Node: no node here"; finish; }
mkdir -p "$BUILD/node"
b=$(cd "$BUILD/node" && pwd)
package=$b/package
export SINKATTN="$PWD"
CCACHE=$(command -v ccache || true)
export CCACHE

# What is built and installed stands in a copy of the package, so that nothing is left among the sources.
mkdir -p "$package"
rm -rf "$package/src" "$package/test" "$package/page"
cp -R examples/node/* "$package/"
status=0
sh examples/node/build.sh "$b/dist" >"$tmp/log" 2>&1 || status=$?
if [ "$status" -eq 2 ]; then
    missing "Node: $(cat "$tmp/log")"
    finish
elif [ "$status" -ne 0 ]; then
    fail "the library for WebAssembly"
    head -n 30 "$tmp/log"
    finish
fi
ok "the library for WebAssembly"
mkdir -p "$package/dist"
cp "$b"/dist/*.wasm "$package/dist/"

# tests NAME FILE...: node's own runner; its counts are ours.
tests() {
    name=$1
    shift
    if node --expose-gc --test "$@" >"$tmp/log" 2>&1; then
        ok "$name: $(sed -n 's/^# pass //p' "$tmp/log") tests"
    else
        fail "$name"
        grep -A 20 '^ *not ok' "$tmp/log" | head -n 60
    fi
}
cd "$package" || exit 1
tests "node --test" test/cache.test.js test/exports.test.js test/structs.test.js
cd "$SINKATTN" || exit 1

# job NAME EXPECTED NODE-ARGUMENTS...: the job's two lines.
job() {
    name=$1 expected=$2
    shift 2
    got=$(node "$@" 2>&1)
    [ "$got" = "$expected" ] && ok "$name: $(echo "$got" | tail -n 1)" || fail "$name: $got, and not $expected"
}
$MAKE -s "$BUILD/examples/job" >"$tmp/log" 2>&1 || fail "examples/job.c: $(tail -n 1 "$tmp/log")"
here=$("$BUILD/examples/job")
job "the job by plain C" "$here" "$package/run-job.js" plain
relaxed=
[ -f "$package/dist/sinkattn-relaxed.wasm" ] && for flag in "" --experimental-wasm-relaxed-simd; do
    node $flag -e 'process.exit(WebAssembly.validate(require("fs").readFileSync(process.argv[1])) ? 0 : 1)' \
        "$package/dist/sinkattn-relaxed.wasm" 2>/dev/null && relaxed=yes && break
done
if [ -n "$relaxed" ]; then
    job "the job by relaxed SIMD" "$here" $flag "$package/run-job.js" auto
else
    skip "the job by relaxed SIMD: no clang of version 17 or later, or no node that knows it"
fi
# SIMD128 has no fused multiply-add: its bits are those of the C library's set without.
sed 's/\.n_sequences = 2/.n_sequences = 2, .isa = SA_ISA_PLAIN_NOFMA/' examples/job.c >"$tmp/job.c"
$CC -Iinclude "$tmp/job.c" "$BUILD/libsinkattn.a" -lm -o "$tmp/job" && job "the job by SIMD128" "$("$tmp/job")" \
    "$package/run-job.js" wasm

# What npm has to bring, once.
tools=$b/tools/node_modules
if has npm && { [ -x "$tools/.bin/tsc" ] || npm install --silent --no-audit --no-fund --prefix "$b/tools" typescript@5.9 \
    prettier@3 >"$tmp/log" 2>&1; }; then
    check "types: tsc --strict" "$tools/.bin/tsc" -p "$package"
    check "prettier" sh -c "cd examples/node && '$tools/.bin/prettier' --check . --log-level warn"
else
    missing "types and format: npm cannot bring typescript and prettier here"
fi
if has npm; then
    mkdir "$tmp/empty"
    (cd "$package" && npm pack --silent --ignore-scripts --pack-destination "$tmp") >"$tmp/log" 2>&1 &&
        (cd "$tmp/empty" && npm init -y && npm install --no-audit --no-fund --offline "$tmp"/sinkattn-*.tgz) >>"$tmp/log" 2>&1
    echo 'import { load } from "sinkattn"; console.log((await load()).version);' >"$tmp/empty/main.mjs"
    got=$(node "$tmp/empty/main.mjs" 2>&1)
    [ "$got" = "$(sed -n 's/.*"version": "\(.*\)".*/\1/p' "$package/package.json")" ] && ok "packed, installed and loaded: $got" ||
        { fail "packed, installed and loaded: $got"; tail -n 10 "$tmp/log"; }
fi

browser=$(first_of chromium chromium-browser google-chrome)
if ! check "the page is built" sh examples/node/page/build.sh "$b/site"; then
    :
elif has "$browser"; then
    cd "$package" || exit 1
    SITE=$b/site CHROMIUM=$browser SCREENSHOT=$b/page.png tests "the page in $browser" test/page.test.js
    sed -n 's/^# \([0-9]* tokens.*\)/     \1/p' "$tmp/log"
    cd "$SINKATTN" || exit 1
else
    missing "the page: no chromium here"
fi

finish
