#!/bin/sh
# A session begins on each processor and goes on on each other one: handoff.sh OUTPUTS. The last line is
# "N pairs, 0 bits differ".
# SPDX-License-Identifier: MIT
#
# What goes on must give the bits of the session that never moved. Instruction sets that fuse multiply and add have one
# kind of bits, the others another: a pair is of one kind. All snapshots of a kind are one file, byte by byte, whatever
# the order of bytes in memory is.
. tests/gates/common.sh

outputs=${1:-1000}
jobs=$(nproc 2>/dev/null || echo 1)
names="" pairs=0 bits=0 broken=0

# may NAME RUN ISA...: the instruction sets of the program in $b, of which those that it has here take part.
may() {
    name=$1 run=$2
    shift 2
    sets=" $($run "$b/sets") "
    for isa in "$@"; do
        case $sets in
        *" $isa "*) ;;
        *) continue ;;
        esac
        case $isa in
        plain-nofma | wasm) kind=apart ;;
        *) kind=fused ;;
        esac
        who=$name-$isa
        echo "$run $b/handoff" >"$tmp/$who.run"
        echo "$isa" >"$tmp/$who.isa"
        echo $kind >"$tmp/$who.kind"
        names="$names $who"
    done
}

# build NAME COMPILER ARCHIVER: the library and the two programs, in $b; true if it could.
build() {
    b=$BUILD/cross/$1
    if ! $MAKE -s -j"$jobs" BUILD="$b" CC="$2" AR="$3" CFLAGS="-O2 -Werror" CPPFLAGS= LDFLAGS= LDLIBS= OPENMP=0 \
        static >"$tmp/log" 2>&1 ||
        ! $2 -Iinclude -O1 tests/snapshots/handoff.c "$b/libsinkattn.a" -lm -o "$b/handoff" ||
        ! $2 -Iinclude tests/cross/sets.c "$b/libsinkattn.a" -lm -o "$b/sets"; then
        echo "$1: does not build"
        grep -v '^  [A-Z]* ' "$tmp/log" | head -n 20
        broken=1
        return 1
    fi
}

# lacks WHAT: a processor that cannot be tried; with CI, that is a failure.
lacks() {
    echo "skipped: $1"
    case ${CI:-} in
    '' | 0 | false | no) ;;
    *) broken=1 ;;
    esac
}

# by_qemu PROCESSOR TRIPLE COMPILER QEMU'S-CPU ISA...
by_qemu() {
    processor=$1 triple=$2 compiler=$3 cpu=$4
    shift 4
    for tool in "$triple-gcc" "$compiler" "qemu-$processor"; do
        has "$tool" || { lacks "$processor: no $tool here"; return; }
    done
    case $compiler in
    *clang*) compiler="$compiler --target=$triple" ;;
    esac
    build "$processor" "$compiler" "$triple-ar" &&
        may "$processor" "qemu-$processor -L /usr/$triple ${cpu:+-cpu $cpu}" "$@"
}

# by_node NAME CLANG FLAGS NODE'S-ARGUMENTS ISA
by_node() {
    wasm="$2 --target=wasm32-wasi --sysroot=/usr $3 -Itests/cross"
    node=$(wasi_runner $4)
    if ! echo 'int main(void) { return 0; }' | $wasm -x c - -o "$tmp/empty.wasm" >/dev/null 2>&1 ||
        ! $node "$tmp/empty.wasm" >/dev/null 2>&1; then
        lacks "$1: $2 or node cannot do that here"
        return
    fi
    build "$1" "$wasm" "$($2 -print-prog-name=llvm-ar)" && may "$1" "$node" "$5"
}

new_clang=$(first_of clang-21 clang-20 clang-19 clang-18 clang-17 clang)
build home "$CC" "${AR:-ar}" || exit 1
home=$b/handoff
may home "" plain plain-nofma avx2 avx2-vnni avx512 avx512-vnni neon neon-dot
by_qemu aarch64 aarch64-linux-gnu aarch64-linux-gnu-gcc "" neon neon-dot
by_qemu s390x s390x-linux-gnu s390x-linux-gnu-gcc "" vxe
by_qemu ppc64le powerpc64le-linux-gnu powerpc64le-linux-gnu-gcc "" vsx
by_qemu riscv64 riscv64-linux-gnu "$new_clang" rv64,v=true,vext_spec=v1.0,vlen=256 rvv
by_node wasm32 clang -msimd128 "" wasm
by_node wasm32-relaxed "$new_clang" "-msimd128 -mrelaxed-simd" --experimental-wasm-relaxed-simd wasm-relaxed

# run WHO COMMAND...
run() {
    who=$1
    shift
    $(cat "$tmp/$who.run") "$1" "$(cat "$tmp/$who.isa")" $2
}

for who in $names; do
    kind=$(cat "$tmp/$who.kind")
    if ! run "$who" begin >"$tmp/$who.snapshots"; then
        echo "FAIL $who cannot save"
        broken=1
    elif [ ! -e "$tmp/$kind.snapshots" ]; then
        cp "$tmp/$who.snapshots" "$tmp/$kind.snapshots"
        run "$who" stay "$outputs" >"$tmp/$kind.results" || broken=1
    elif ! cmp "$tmp/$kind.snapshots" "$tmp/$who.snapshots"; then
        echo "FAIL $who saves other bytes"
        broken=1
    fi
done

# Of equal files one is enough: whoever wrote it, it goes on in the same way.
for to in $names; do
    kind=$(cat "$tmp/$to.kind")
    began=$(date +%s)
    for from in $names; do
        [ "$(cat "$tmp/$from.kind")" = "$kind" ] || continue
        if [ ! -e "$tmp/$to.differ" ] || ! cmp -s "$tmp/$kind.snapshots" "$tmp/$from.snapshots"; then
            run "$to" go "$outputs" <"$tmp/$from.snapshots" >"$tmp/results" || broken=1
            "$home" compare "$tmp/$kind.results" "$tmp/results" >"$tmp/$to.differ"
            rm -f "$tmp/results"
        fi
        bits=$((bits + $(cat "$tmp/$to.differ")))
        pairs=$((pairs + 1))
    done
    echo "$to goes on: $(cat "$tmp/$to.differ") bits differ in $outputs outputs of each dtype," \
        "in $(($(date +%s) - began)) s"
done
[ $broken -eq 0 ] || echo "FAIL something could not be tried, see above"
echo "$pairs pairs, $bits bits differ"
[ $broken -eq 0 ] && [ "$bits" -eq 0 ] && [ $pairs -gt 1 ]
