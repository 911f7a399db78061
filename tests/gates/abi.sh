#!/bin/sh
# Gate: libabigail finds the same binary interface as in the committed baseline, tests/abi/sinkattn.abi.
# SPDX-License-Identifier: MIT
#
# `sh tests/gates/abi.sh renew` writes the baseline: at a release, or when nothing has been released yet.
. tests/gates/common.sh

baseline=tests/abi/sinkattn.abi
[ "$(uname -s) $(uname -m)" = "Linux x86_64" ] || { skip "binary interface: the baseline is x86-64 Linux's"; finish; }
has abidw && has abidiff || { missing "binary interface: no abidw, abidiff here (abigail-tools)"; finish; }
has gcc || { missing "binary interface: no gcc here"; finish; }

# One compiler and one set of flags, so that the description does not depend on the caller's.
describe() {
    $MAKE -s shared CC=gcc CFLAGS="-g -O0" CPPFLAGS= LDFLAGS= OPENMP=0 BUILD="$tmp/abi" >"$tmp/log" 2>&1 || return 1
    abidw --headers-dir include --drop-private-types --no-corpus-path --no-comp-dir-path --no-show-locs --exported-interfaces-only \
        --out-file "$1" "$(readlink -f "$tmp/abi/libsinkattn.so")"
}

if ! describe "$tmp/now.abi"; then
    fail "binary interface: the library did not build"
    tail -n 20 "$tmp/log"
    finish
fi
if [ "$1" = renew ]; then
    cp "$tmp/now.abi" "$baseline"
    echo "wrote $baseline"
    exit 0
fi
[ -f "$baseline" ] || { fail "binary interface: no baseline, $baseline"; finish; }

# Every difference is shown and fails, those that are allowed too (new functions, appended fields): once somebody has
# looked at them, `renew` takes them in. So an export that slipped in is noticed. (libabigail 2.2 can be told to pass
# fields inserted at the end, but then passes those in the middle as well.)
abidiff "$baseline" "$tmp/now.abi" >"$tmp/log" 2>&1
status=$?
if [ $status -eq 0 ]; then
    ok "binary interface as in the baseline"
else
    fail "binary interface differs from the baseline (abidiff status $status)"
    head -n 40 "$tmp/log"
fi

finish
