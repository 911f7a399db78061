#!/bin/sh
# Gate: the tests on other processors: AArch64, S/390 (big-endian), POWER and RISC-V by qemu, WebAssembly by node.
# SPDX-License-Identifier: MIT
#
# test_bits and test_kernels hold each instruction set to the bits of plain C, the other tests hold it to the oracle.
# Emulation is slow: there is a small share of the random cases of home, and their seed is another.
. tests/gates/common.sh

seed=31
jobs=$(nproc 2>/dev/null || echo 1)
every_test=$(for f in tests/test_*.c; do basename "$f" .c; done)

# all_but NAME...: the other tests
all_but() {
    echo "$every_test" | grep -vxE "$(echo "$*" | tr ' ' '|')"
}


# What the bits of results come to here, and everywhere.
if $CC -Iinclude -O1 tests/cross/digest.c $(lib_sources) -lm -o "$tmp/digest" && digest=$("$tmp/digest"); then
    ok "the digest of this machine's results: $digest"
else
    fail "the digest of this machine's results: $digest"
fi

# cross NAME COMPILER ARCHIVER BEST: builds $tests for another processor and lets $run run them; the set that
# AUTO takes there must be BEST.
cross() {
    name=$1 compiler=$2 b=$BUILD/cross/$1
    programs=$(for test in $tests; do echo "$b/tests/$test"; done)
    if ! $MAKE -s -j"$jobs" BUILD="$b" CC="$compiler" AR="$3" CFLAGS="-O2 -Werror" CPPFLAGS= LDFLAGS= LDLIBS= OPENMP=0 \
        $programs >"$tmp/log" 2>&1; then
        fail "$name: the tests do not build"
        grep -v '^  [A-Z]* ' "$tmp/log" | head -n 20
        return
    fi
    for program in sets digest; do
        check "$name: tests/cross/$program.c" \
            $compiler -Iinclude tests/cross/$program.c "$b/libsinkattn.a" -lm -o "$b/$program"
    done
    try "$name" "$4" "$run" $tests
}

# try NAME BEST RUN TEST...: runs what cross has built last.
try() {
    name=$1 best=$2 run=$3 began=$(date +%s)
    shift 3
    sets=$($run "$b/sets")
    [ "${sets%% *}" = "$best" ] && ok "$name: sets: $sets" || fail "$name: sets: $sets, and not $best first"
    got=$($run "$b/digest")
    [ "$got" = "$digest" ] && ok "$name: the same digest" || fail "$name: digest $got"
    [ $# = 0 ] || for test in "$@"; do echo "$test"; done |
        SEED=$seed SHARE=$share RUN=$run TESTS=$b/tests LOGS=$tmp xargs -n 1 -P "$jobs" sh -c \
            '$RUN "$TESTS/$1" "$SEED" "$SHARE" >"$LOGS/$1" 2>&1 </dev/null; echo $? >"$LOGS/$1.status"' one
    for test in "$@"; do
        if [ "$(cat "$tmp/$test.status")" = 0 ]; then
            ok "$name: $test: $(tail -n 1 "$tmp/$test")"
        else
            fail "$name: $test"
            tail -n 10 "$tmp/$test"
        fi
        rm -f "$tmp/$test" "$tmp/$test.status"
    done
    echo "     $name: by $run, in $(($(date +%s) - began)) s"
}

# by_qemu PROCESSOR TRIPLE BEST COMPILER [qemu's arguments]: in Debian, the packages gcc-TRIPLE, libc6-dev-*-cross and
# qemu-user. True where it could be tried.
by_qemu() {
    for tool in "$2-gcc" "$4" "qemu-$1"; do
        has "$tool" || { missing "$1: no $tool here"; return 1; }
    done
    case $4 in
    *clang*) compiler="$4 --target=$2" ;;
    *) compiler=$4 ;;
    esac
    qemu="qemu-$1 -L /usr/$2"
    run="$qemu ${5:+-cpu $5}"
    cross "$1" "$compiler" "$2-ar" "$3"
}

# The first clang from 17 on: earlier ones know neither RISC-V's V in a part of a program nor the final relaxed SIMD.
new_clang=clang
for compiler in clang clang-21 clang-20 clang-19 clang-18 clang-17; do
    has $compiler && [ "$(echo __clang_major__ | $compiler -E -P -x c -)" -ge 17 ] && new_clang=$compiler && break
done

share=3% tests=$every_test
by_qemu aarch64 aarch64-linux-gnu neon-dot aarch64-linux-gnu-gcc &&
    try "aarch64, Armv8.0" neon "$qemu -cpu cortex-a53" test_rope
# Not those that are about arguments, tables and threads, which are the same everywhere, nor those of one size that take
# minutes there, since integers are summed in plain C: what depends on the order of bytes, and on vectors.
share=1% tests=$(all_but test_reference test_quant test_arguments test_batch test_budgets test_calls test_config \
    test_plan test_pool test_rollback test_room test_sequences test_size test_spans test_tensors test_threads \
    test_tiles test_views)
by_qemu s390x s390x-linux-gnu vxe s390x-linux-gnu-gcc && try "s390x, z13" plain "$qemu -cpu qemu,vxeh=off"
# Of the rest, what vectors can get wrong.
tests="test_bits test_edges test_oracle test_partial test_poison test_rope"
by_qemu ppc64le powerpc64le-linux-gnu vsx powerpc64le-linux-gnu-gcc
# Vectors of three lengths, and none.
rvv="rv64,v=true,vext_spec=v1.0"
if by_qemu riscv64 riscv64-linux-gnu rvv $new_clang $rvv,vlen=128; then
    for bits in 256 512; do
        try "riscv64, $bits bits" rvv "$qemu -cpu $rvv,vlen=$bits" test_bits test_oracle
    done
    try "riscv64, no vectors" plain "$qemu -cpu rv64"
fi

# by_node NAME CLANG FLAGS BEST [node's arguments]: in Debian, packages clang, lld, llvm, wasi-libc,
# libclang-rt-*-dev-wasm32 and nodejs. test_memory is about pages and signals, which WASI has not. Threads it has not
# either: tests/cross/pthread.h says what is done instead.
share=3% tests=$(all_but test_memory)
by_node() {
    wasm="$2 --target=wasm32-wasi --sysroot=/usr $3 -Itests/cross"
    run=$(wasi_runner $5)
    if ! echo 'int main(void) { return 0; }' | $wasm -x c - -o "$tmp/empty.wasm" >/dev/null 2>&1; then
        missing "$1: $2 cannot build for wasm32-wasi here"
    elif ! $run "$tmp/empty.wasm" >/dev/null 2>&1; then
        missing "$1: no node here that runs WASI programs${5:+ and knows $5}"
    else
        cross "$1" "$wasm" "$($2 -print-prog-name=llvm-ar)" "$4"
        return
    fi
    return 1
}
by_node wasm32 clang -msimd128 wasm
# The multiply-add of relaxed SIMD is the engine's: one that fuses has the bits of plain C, one that does not takes
# another set.
relaxed=--experimental-wasm-relaxed-simd
by_node "wasm32-relaxed" $new_clang "-msimd128 -mrelaxed-simd" wasm-relaxed $relaxed &&
    try "wasm32-relaxed, not fused" wasm "$(wasi_runner $relaxed --no-enable-fma3)" test_bits

finish
