#!/bin/sh
# Gate: a reader of sixty lines that knows docs/snapshot.md alone finds in a snapshot what was put into it.
# SPDX-License-Identifier: MIT
. tests/gates/common.sh

program=$tmp/handoff
if ! has python3; then
    missing "snapshots read by python3: there is none here"
elif ! $CC $CPPFLAGS $CFLAGS -Iinclude tests/snapshots/handoff.c "$BUILD/libsinkattn.a" $LDFLAGS -lm $LDLIBS -o "$program"; then
    fail "tests/snapshots/handoff.c does not build"
else
    for dtype in 1 2 3 4 5; do
        "$program" example $dtype "$tmp/snapshot" >"$tmp/said" || fail "dtype $dtype: no snapshot"
        grep -v '^layer' "$tmp/said" >"$tmp/numbers"
        grep '^layer' "$tmp/said" >"$tmp/spans"
        if python3 tests/snapshots/read.py "$tmp/snapshot" <"$tmp/numbers" >"$tmp/read" 2>"$tmp/log" &&
            grep '^layer' "$tmp/read" | cmp -s - "$tmp/spans"; then
            ok "dtype $dtype: the spans, and $(tail -n 1 "$tmp/read")"
        else
            fail "dtype $dtype: read.py says otherwise"
            tail -n 3 "$tmp/log"
        fi
    done
    # A bit that was turned is seen.
    printf '\001' | dd of="$tmp/snapshot" bs=1 seek=5000 conv=notrunc 2>/dev/null
    if python3 tests/snapshots/read.py "$tmp/snapshot" </dev/null >/dev/null 2>"$tmp/log"; then
        fail "a damaged snapshot is read"
    elif grep -q checksum "$tmp/log"; then
        ok "damage is seen by the checksum"
    else
        fail "damage is seen, but not by the checksum"
    fi
fi
finish
