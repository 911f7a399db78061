#!/bin/sh
# Gate: the tests on other processors: AArch64 and S/390 (big-endian) by qemu, WebAssembly by node.
# SPDX-License-Identifier: MIT
#
# test_bits holds each instruction set to the bits of plain C, the other tests hold it to the oracle.
# Emulation is slow: there are fewer random cases than at home, and their seed is another.
. tests/gates/common.sh

seed=31
jobs=$(nproc 2>/dev/null || echo 1)
every_test=$(for f in tests/test_*.c; do basename "$f" .c; done)

# all_but NAME...: the other tests
all_but() {
    echo "$every_test" | grep -vxE "$(echo "$*" | tr ' ' '|')"
}

# How many random cases of a test; $slow divides them.
cases() {
    case $1 in
    test_reference) echo 1 ;;
    test_size | test_spans) echo $((60 / slow)) ;;
    *) echo $((12 / slow)) ;;
    esac
}

# cross NAME COMPILER ARCHIVER BEST: builds $tests for another processor and lets $run run them; the set that
# AUTO takes there must be BEST.
cross() {
    name=$1 compiler=$2 best=$4 b=$BUILD/cross/$1 began=$(date +%s)
    programs=$(for test in $tests; do echo "$b/tests/$test"; done)
    if ! $MAKE -s -j"$jobs" BUILD="$b" CC="$compiler" AR="$3" CFLAGS="-O2 -Werror" CPPFLAGS= LDFLAGS= LDLIBS= OPENMP=0 \
        $programs >"$tmp/log" 2>&1; then
        fail "$name: the tests do not build"
        grep -v '^  [A-Z]* ' "$tmp/log" | head -n 20
        return
    fi
    check "$name: tests/cross/sets.c" $compiler -Iinclude tests/cross/sets.c "$b/libsinkattn.a" -lm -o "$b/sets"
    sets=$($run "$b/sets")
    [ "${sets%% *}" = "$best" ] && ok "$name: sets: $sets" || fail "$name: sets: $sets, and not $best first"
    for program in $programs; do
        test=${program##*/}
        if $run "$program" $seed "$(cases "$test")" >"$tmp/log" 2>&1; then
            ok "$name: $test: $(tail -n 1 "$tmp/log")"
        else
            fail "$name: $test"
            tail -n 10 "$tmp/log"
        fi
    done
    echo "     $name: by $run, in $(($(date +%s) - began)) s"
}

# by_qemu PROCESSOR BEST: in Debian, packages gcc-PROCESSOR-linux-gnu, libc6-dev-*-cross and qemu-user.
by_qemu() {
    if ! has "$1-linux-gnu-gcc" || ! has "qemu-$1"; then
        skip "$1: no $1-linux-gnu-gcc or no qemu-$1 here"
        return
    fi
    run="qemu-$1 -L /usr/$1-linux-gnu"
    cross "$1" "$1-linux-gnu-gcc" "$1-linux-gnu-ar" "$2"
}
slow=1 tests=$every_test
by_qemu aarch64 neon
# test_reference has one size, and takes a minute there.
slow=4 tests=$(all_but test_reference)
by_qemu s390x plain

# In Debian, packages clang, lld-14, llvm-14, wasi-libc, libclang-rt-14-dev-wasm32 and nodejs. test_memory is about
# pages and signals, which WASI has not; the other three ask for caches larger than 32 bits can count. Threads
# it has not either: tests/cross/pthread.h says what is done instead.
wasm="clang --target=wasm32-wasi --sysroot=/usr -msimd128 -Itests/cross"
if ! echo 'int main(void) { return 0; }' | $wasm -x c - -o "$tmp/empty.wasm" >/dev/null 2>&1; then
    skip "WebAssembly: clang cannot build for wasm32-wasi here"
elif ! node --no-warnings tests/cross/run.mjs "$tmp/empty.wasm" >/dev/null 2>&1; then
    skip "WebAssembly: no node here that runs WASI programs"
else
    run="node --no-warnings tests/cross/run.mjs"
    slow=1 tests=$(all_but test_memory test_arguments test_config test_size)
    cross wasm32 "$wasm" "$(clang -print-prog-name=llvm-ar)" wasm
fi

finish
