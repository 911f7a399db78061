#!/bin/sh
# Gate: what the built libraries export, need and carry: the header's functions, libc and libm, and no state.
# SPDX-License-Identifier: MIT
. tests/gates/common.sh

so=$BUILD/libsinkattn.so
archive=$BUILD/libsinkattn.a
if [ ! -e "$so" ]; then
    case $(uname -s) in
    Darwin | MINGW* | MSYS* | CYGWIN*) skip "symbols: the Makefile makes no shared library on this system" ;;
    *) fail "symbols: $so was not built" ;;
    esac
    finish
fi
for tool in nm objdump readelf; do
    has $tool || { missing "symbols: no $tool here (binutils)"; finish; }
done

# same NAME A B: ok if two sorted lists are equal.
same() {
    diff "$2" "$3" >"$tmp/diff"
    nothing "$1" "$tmp/diff"
}

header_functions >"$tmp/header"
sed -n '/^global:/,/^local:/s/^ *\([a-z0-9_]*\);$/\1/p' lib/sinkattn.map | LC_ALL=C sort >"$tmp/map"
nm -D --defined-only "$so" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | LC_ALL=C sort >"$tmp/exported"
same "header functions = version script" "$tmp/header" "$tmp/map"
same "header functions = exported symbols" "$tmp/header" "$tmp/exported"
grep -v '^sa_' "$tmp/exported" >"$tmp/out"
nothing "every exported symbol starts with sa_" "$tmp/out"
[ "$(wc -l <"$tmp/header")" -ge 22 ] && ok "the header's functions were found" || fail "too few functions in the header"
nm -D --defined-only "$so" | awk '$2 != "A" && $3 !~ /@@SINKATTN_[0-9.]+$/' >"$tmp/out"
nothing "every exported symbol has a version" "$tmp/out"

nm -g --defined-only "$archive" 2>/dev/null | awk 'NF == 3 && $3 !~ /^sai?_/' >"$tmp/out"
nothing "every global name of the static library starts with sa_ or sai_" "$tmp/out"

case "$CC $CFLAGS $LDFLAGS" in
*-fsanitize*) skip "needed symbols: a sanitizer adds its own" ;;
*)
    sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\).*/\1/p' tests/abi/undefined.txt >"$tmp/allowed"
    [ "$OPENMP" = 1 ] && openmp='^(GOMP_|omp_|__kmpc_)' || openmp='^$'
    nm -D --undefined-only "$so" | awk '{ sub(/@.*/, "", $2); print $2 }' | grep -vxF -f "$tmp/allowed" |
        grep -vE "$openmp" >"$tmp/out"
    nothing "nothing is needed beyond tests/abi/undefined.txt" "$tmp/out"
    readelf -d "$so" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
        grep -vE '^(libc\.so|libm\.so|ld-linux|libgomp|libomp)' >"$tmp/out"
    nothing "the shared library needs libc and libm alone" "$tmp/out"
    # Constants alone: no variable, no thread-local, nothing that runs before main.
    objdump -h "$archive" | awk '$1 ~ /^[0-9]+$/ && $2 ~ /^\.(data|bss|tdata|tbss)(\.|$)/ &&
        $2 !~ /^\.data\.rel\.ro/ && $3 !~ /^0+$/ { print $2, $3 }' >"$tmp/out"
    nothing "no writable data" "$tmp/out"
    nm "$archive" 2>/dev/null | grep ' [CD] ' | grep -v ' sai_' >"$tmp/out"
    nothing "no common symbols, no exported variables" "$tmp/out"
    objdump -h "$archive" | grep -E '\.(init_array|ctors|preinit_array)' >"$tmp/out"
    nothing "no static constructors" "$tmp/out"
    ;;
esac

version=$(sed -n 's/^.define SA_VERSION_[MP][A-Z]* \([0-9]*\)$/\1/p' include/sinkattn.h | paste -s -d. -)
readelf -d "$so" | grep -q 'SONAME.*\[libsinkattn\.so\.0\]' && ok "SONAME is libsinkattn.so.0" || fail "SONAME"
[ "$(readlink -f "$so")" = "$(readlink -f "$BUILD/libsinkattn.so.$version")" ] &&
    ok "the file is libsinkattn.so.$version" || fail "the file's name has not the header's version"
readelf -lW "$so" | grep GNU_STACK | grep -q 'RWE' && fail "executable stack" || ok "no executable stack"
readelf -d "$so" | grep -q TEXTREL && fail "text relocations" || ok "no text relocations"

finish
