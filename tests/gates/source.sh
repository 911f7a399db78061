#!/bin/sh
# Gate: what can be read off the sources: they compile without flags, are listed, named and kept as agreed.
# SPDX-License-Identifier: MIT
. tests/gates/common.sh

# Everyone's build is the plainest one: no -m flags, no configure step, the compiler's own default dialect.
mkdir "$tmp/objects"
for source in $(lib_sources); do
    object=$tmp/objects/$(echo "$source" | tr '/.' '__').o
    check "plain $CC -c $source" $CC -c -Iinclude -o "$object" "$source"
done

# Before any other: it keeps compilers from fusing multiplications and additions.
for source in $(lib_sources); do
    grep -m 1 '^#' "$source" | grep -q '^#include "\(\.\./\)\{0,1\}exact\.h"$' || echo "$source"
done >"$tmp/out"
nothing "each lib source includes exact.h first" "$tmp/out"

lib_sources | LC_ALL=C sort >"$tmp/listed"
find lib -name '*.c' | LC_ALL=C sort >"$tmp/present"
diff "$tmp/listed" "$tmp/present" >"$tmp/diff"
nothing "lib/sources.mk lists every lib source" "$tmp/diff"

sh lib/kernels/names.sh | diff lib/kernels/names.h - >"$tmp/diff"
nothing "lib/kernels/names.h is what lib/kernels/names.sh writes" "$tmp/diff"

# The amalgamation is one translation unit: two files must not use one file-static name. (Names of a
# header's inline functions are in every object, and are one thing.)
find lib -name '*.h' -exec cat {} + | grep -o '[A-Za-z_][A-Za-z0-9_]*(' | tr -d '(' | LC_ALL=C sort -u >"$tmp/inline"
nm "$tmp"/objects/*.o | awk 'NF == 3 && $2 ~ /^[tdbr]$/ && $3 !~ /^[._$]/ && $3 !~ /\./ { print $3 }' |
    LC_ALL=C sort | uniq -d | LC_ALL=C comm -23 - "$tmp/inline" >"$tmp/twice"
nothing "file-static names are unique in lib/" "$tmp/twice"

grep -rnE 'immintrin\.h|arm_neon\.h|[^a-z]_mm(256|512)?_[a-z]' lib --include='*.[ch]' |
    grep -v '^lib/kernels/' >"$tmp/intrinsics"
nothing "intrinsics in lib/kernels/ alone" "$tmp/intrinsics"

# Files of the repository, or of an unpacked copy of it.
files() {
    git ls-files 2>/dev/null | grep . || find Makefile CMakeLists.txt lib include tests examples -type f
}
files | grep -E '\.([ch]|cc|sh|map|py)$|(^|/)(Makefile|CMakeLists\.txt)$|^\.ci/run$' | while read -r f; do
    [ -f "$f" ] && echo "$f"
done >"$tmp/sources"
grep '\.[ch]$' "$tmp/sources" >"$tmp/c"

while read -r f; do
    head -n 40 "$f" | grep -q 'SPDX-License-Identifier: MIT' || echo "$f"
done <"$tmp/sources" >"$tmp/out"
nothing "each source names its licence near its top" "$tmp/out"

# The pattern is cut in two so that it does not find itself.
xargs grep -nE 'TO''DO|FIX''ME|XX''X|HA''CK' <"$tmp/sources" >"$tmp/out"
nothing "no notes of unfinished work" "$tmp/out"

# No path of one machine: the repository is built anywhere.
files | while read -r f; do
    [ -f "$f" ] && grep -IHnE '(^|[^A-Za-z0-9_.])/(ro''ot|ho''me|wo''rk)/' "$f"
done >"$tmp/out"
nothing "no path of one machine" "$tmp/out"

xargs awk 'FNR == 1 && NR > 1 && n >= 500 { print file ": " n " lines" } { n = FNR; file = FILENAME }
    END { if (n >= 500) print file ": " n " lines" }' <"$tmp/c" |
    grep -v '^include/sinkattn.h:' >"$tmp/out"
nothing "files shorter than 500 lines (the header, which is the manual, apart)" "$tmp/out"

xargs awk '/[ \t]$/ || /\t/ || length($0) > 120 { print FILENAME ":" FNR ": " $0 }' <"$tmp/c" >"$tmp/out"
nothing "no tabs, no trailing blanks, no line over 120 columns" "$tmp/out"

LC_ALL=C xargs grep -n '[^ -~]' <"$tmp/c" >"$tmp/out"
nothing "C sources are ASCII" "$tmp/out"

while read -r f; do
    [ -z "$(tail -c 1 "$f")" ] || echo "$f"
done <"$tmp/sources" >"$tmp/out"
nothing "files end with a newline" "$tmp/out"

finish
