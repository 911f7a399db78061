#!/bin/sh
# Compiles the library for WebAssembly: sh build.sh FOLDER writes FOLDER/sinkattn.wasm, for engines with SIMD128, and
# FOLDER/sinkattn-relaxed.wasm, for those with relaxed SIMD too, if a clang is here that knows it (17 or later).
#
# SPDX-License-Identifier: MIT
#
# It takes clang and wasm-ld for wasm32-wasi: Debian's packages clang, lld, wasi-libc and libclang-rt-*-dev-wasm32, or
# a WASI SDK, by WASM_CC=/path/to/wasi-sdk/bin/clang. Nothing of WASI is called: the modules import nothing. Further
# sources can be linked to it, and then there is one module, of the name given:
#
#     sh build.sh FOLDER NAME "sources and flags" "exports"
here=$(cd "$(dirname "$0")" && pwd)
top=${SINKATTN:-$here/../..}
mkdir -p "${1:?usage: sh build.sh FOLDER}" || exit 1
folder=$(cd "$1" && pwd)
cd "$top" || exit 1
exports=$(sed -n 's/^    \(sa_[a-z_]*\);$/\1/p' lib/sinkattn.map)

# link NAME COMPILER FEATURES [SOURCES EXPORTS]
link() {
    objects=$folder/objects/$1
    archiver=$($2 -print-prog-name=llvm-ar)
    make -s BUILD="$objects" CC="$CCACHE $2 --target=wasm32-wasi $sysroot $3" AR="$archiver" CFLAGS=-O3 CPPFLAGS= LDFLAGS= \
        LDLIBS= OPENMP=0 V=1 "$objects/libsinkattn.a" || return
    # The stack lies below all data, so that one that overflows ends in a trap.
    $2 --target=wasm32-wasi $sysroot $3 -O3 -mexec-model=reactor -Iinclude $4 "$objects/libsinkattn.a" -lm -s \
        -Wl,--stack-first,-z,stack-size=262144 \
        $(for f in malloc free $exports $5; do echo "-Wl,--export=$f"; done) -o "$folder/$1.wasm"
}

if [ -n "$WASM_CC" ]; then
    sysroot=
    candidates=$WASM_CC
else
    sysroot=--sysroot=/usr
    candidates="clang clang-21 clang-20 clang-19 clang-18 clang-17"
fi
plain= relaxed=
for compiler in $candidates; do
    echo 'int main(void) { return 0; }' |
        $compiler --target=wasm32-wasi $sysroot -x c - -o "$folder/empty.wasm" 2>/dev/null || continue
    plain=${plain:-$compiler}
    [ "$(echo __clang_major__ | $compiler -E -P -x c -)" -ge 17 ] && relaxed=$compiler && break
done
rm -f "$folder/empty.wasm"
if [ -z "$plain" ]; then
    echo "build.sh: no clang here that compiles for wasm32-wasi" >&2
    exit 2
fi

if [ -n "$2" ]; then
    link "$2" "$plain" -msimd128 "$3" "$4"
    exit
fi
link sinkattn "$plain" -msimd128 || exit
[ -z "$relaxed" ] || link sinkattn-relaxed "$relaxed" "-msimd128 -mrelaxed-simd"
