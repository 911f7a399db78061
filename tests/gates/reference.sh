#!/bin/sh
# Gate: the manual pages and the HTML pages say all that the header says, and the tools that read them have no complaint.
# SPDX-License-Identifier: MIT
. tests/gates/common.sh

has python3 || { missing "manual pages: no python3 here"; finish; }

check "make man" $MAKE -s BUILD="$tmp/build" man
pages=$tmp/build/man/man3
{
    header_functions
    sed -n 's/^SIZE(\(sa_[a-z_]*\),.*/\1/p' tests/abi/layout.c
    printf '%s\n' sa_cache sa_pool sa_task sa_parallel_for sinkattn sinkattn_constants
} | LC_ALL=C sort >"$tmp/expected"
(cd "$pages" && ls) | sed 's/\.3$//' | LC_ALL=C sort | diff "$tmp/expected" - >"$tmp/diff"
nothing "a page for each function, struct and callback" "$tmp/diff"
(cd "$pages" && grep -oh '^\.BR [a-z_]* (3)' ./*.3) | awk '{ print $2 }' | LC_ALL=C sort -u >"$tmp/named"
LC_ALL=C comm -13 "$tmp/expected" "$tmp/named" >"$tmp/out"
nothing "no page names one that is not there" "$tmp/out"
sed -n 's/^NUMBER(\([A-Z0-9_]*\), \(.*\))$/\1 = \2/p' tests/abi/layout.c | LC_ALL=C sort >"$tmp/numbers"
sed -n 's/^\.BR \(SA_[A-Z0-9_]*\) " = \(.*\)"$/\1 = \2/p' "$pages/sinkattn_constants.3" | tr -d '\\' |
    LC_ALL=C sort >"$tmp/shown"
LC_ALL=C comm -23 "$tmp/numbers" "$tmp/shown" >"$tmp/out"
nothing "sinkattn_constants(3) has every constant and its number" "$tmp/out"
grep -L '^\.SH DESCRIPTION' "$pages"/*.3 >"$tmp/out"
grep -l '^@\|^\.\. \|\*/' "$pages"/*.3 >>"$tmp/out"
nothing "every page has a description, and no mark of a comment is left" "$tmp/out"
for function in $(header_functions); do
    grep -q '^\.SH THREADS' "$pages/$function.3" && grep -q '^\.SH SYNOPSIS' "$pages/$function.3" || echo "$function"
done >"$tmp/out"
nothing "every function says which threads may call it" "$tmp/out"
if has mandoc; then
    mandoc -T lint -W warning "$pages"/*.3 | grep -v 'missing date' >"$tmp/out"
    nothing "mandoc has nothing to say" "$tmp/out"
else
    missing "manual pages read by mandoc: not here"
fi
if has man; then
    for page in "$pages"/*.3; do
        MANWIDTH=100 LC_ALL=C.UTF-8 man --warnings -l "$page" 2>&1 >/dev/null
    done | grep -v "can't break line\|cannot adjust" >"$tmp/out"
    nothing "man has nothing to say" "$tmp/out"
else
    missing "manual pages read by man: not here"
fi

# Installed by both builds, and taken back.
check "make install-man" $MAKE -s BUILD="$tmp/build" DESTDIR="$tmp/dest" prefix=/usr install-man
diff -r "$pages" "$tmp/dest/usr/share/man/man3" >"$tmp/diff" 2>&1
nothing "it installs the pages" "$tmp/diff"
check "make uninstall" $MAKE -s BUILD="$tmp/build" DESTDIR="$tmp/dest" prefix=/usr uninstall
[ ! -e "$tmp/dest" ] && ok "which leaves nothing" || fail "it leaves $(find "$tmp/dest" -type f | head -n 3)"
if has cmake; then
    cmake -S . -B "$tmp/cmake" -DSINKATTN_MAN=ON >"$tmp/log" 2>&1
    check "cmake makes them" cmake --build "$tmp/cmake" --target sinkattn_man
    check "cmake installs them" cmake --install "$tmp/cmake" --component man --prefix "$tmp/prefix"
    diff -r "$pages" "$tmp/prefix/share/man/man3" >"$tmp/diff" 2>&1
    nothing "the same pages" "$tmp/diff"
else
    missing "manual pages by cmake: not here"
fi

# Doxygen fails where a public name, a parameter or what a function returns has no comment.
has doxygen || { missing "HTML: no doxygen here"; finish; }
check "make html: no public name without a comment, no warning" $MAKE -s BUILD="$tmp/build" html
html=$tmp/build/html/sinkattn_8h.html
{ header_functions; sed -n 's/^NUMBER(\([A-Z0-9_]*\),.*/\1/p' tests/abi/layout.c; } >"$tmp/names"
while read -r name; do
    grep -q "\b$name\b" "$html" || echo "$name"
done <"$tmp/names" >"$tmp/out"
nothing "the page of the header has every function and constant" "$tmp/out"
for struct in $(sed -n 's/^SIZE(\(sa_[a-z_]*\),.*/\1/p' tests/abi/layout.c); do
    page=$tmp/build/html/struct$(echo "$struct" | sed 's/_/__/g').html
    for field in $(sed -n "s/^FIELD($struct, \([a-z_0-9]*\),.*/\1/p" tests/abi/layout.c); do
        grep -q "\b$field\b" "$page" || echo "$struct.$field"
    done
done >"$tmp/out" 2>&1
nothing "the pages of the structs have every field" "$tmp/out"
# A comment that goes missing is seen.
mkdir -p "$tmp/bare/docs/reference" "$tmp/bare/include"
cp docs/reference/Doxyfile docs/reference/filter.sh "$tmp/bare/docs/reference"
cp README.md NEWS.md CONTRIBUTING.md RELEASING.md "$tmp/bare"
sed '/@param gap /d' include/sinkattn.h >"$tmp/bare/include/sinkattn.h"
(cd "$tmp/bare" && HTML_OUT=. doxygen docs/reference/Doxyfile) >"$tmp/log" 2>&1 && fail "a comment that is missing goes unseen" ||
    { grep -q 'gap' "$tmp/log" && ok "a comment that is missing is seen" || fail "not seen: $(head -n 3 "$tmp/log")"; }

finish
