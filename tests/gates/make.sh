#!/bin/sh
# Gate: the Makefile's manners: every variable reaches every command, flags rebuild, clean leaves nothing.
# SPDX-License-Identifier: MIT
. tests/gates/common.sh

# What make would run, with marks in the variables. (-n runs nothing.)
$MAKE -n V=1 BUILD="$tmp/b" CC=mark_cc AR=mark_ar CFLAGS=-Dmark_cflags CPPFLAGS=-Dmark_cppflags LDFLAGS=-Lmark_ldflags \
    LDLIBS=-lmark_ldlibs all test-programs >"$tmp/run" 2>/dev/null
grep -E '^mark_cc .* -c ' "$tmp/run" >"$tmp/compile"
grep -E '^mark_cc ' "$tmp/run" | grep -v ' -c ' >"$tmp/link"

# every WHAT FILE PATTERN: ok if the file has lines and each has the pattern.
every() {
    if [ -s "$2" ] && ! grep -vq -e "$3" "$2"; then
        ok "$1"
    else
        fail "$1"
        grep -v -e "$3" "$2" | head -n 3
    fi
}
every "CPPFLAGS reaches every compilation" "$tmp/compile" -Dmark_cppflags
every "CFLAGS reaches every compilation" "$tmp/compile" -Dmark_cflags
every "no CFLAGS loses -ffp-contract=off" "$tmp/compile" '-Dmark_cflags.* -fno-fast-math -ffp-contract=off'
every "CFLAGS reaches every link" "$tmp/link" -Dmark_cflags
every "LDFLAGS reaches every link" "$tmp/link" -Lmark_ldflags
every "LDLIBS reaches every link" "$tmp/link" '-lmark_ldlibs'
grep -q '^mark_ar ' "$tmp/run" && ok "AR is used" || fail "AR is used"
# (Not the "cc" of a file's or a flag's name: a command.)
grep -qE '^(gcc|cc|clang|ar) ' "$tmp/run" && fail "a tool is named outright" || ok "no tool is named outright"

# One object, so that this takes a second.
object=$tmp/b/lib/kernels/dispatch.o
build() {
    $MAKE V=1 BUILD="$tmp/b" CC="$CC" CPPFLAGS= LDFLAGS= "$@" "$object" 2>&1 | grep -c -e ' -c '
}
[ "$(build CFLAGS=-O1)" = 1 ] && ok "an object is built" || fail "an object is built"
[ "$(build CFLAGS=-O1)" = 0 ] && ok "and not again" || fail "an object is built twice for nothing"
[ "$(build CFLAGS=-O0)" = 1 ] && ok "other flags build it again" || fail "other flags do not build it again"
sleep 1
$MAKE -n V=1 BUILD="$tmp/b" CC="$CC" CPPFLAGS= LDFLAGS= CFLAGS=-O0 -W include/sinkattn.h -W lib/kernels/kernel.h "$object" \
    2>&1 | grep -q -e ' -c ' && ok "a header rebuilds its objects" || fail "a header does not rebuild its objects"
$MAKE -s BUILD="$tmp/b" clean && [ ! -e "$tmp/b" ] && ok "clean leaves nothing" || fail "clean leaves files"

finish
