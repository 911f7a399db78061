#!/bin/sh
# Runs programs and scripts that end with "N passed, N failed" and adds their lines up to one.
# SPDX-License-Identifier: MIT
#
# One that exits with an error but names no failure, or prints no such line, counts as one failure: it
# has crashed. $RUN, if set, is put before each program and $ARGS behind it (scripts run as they are).
passed=0
failed=0
skipped=0
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT

for program in "$@"; do
    echo "== $program"
    case $program in
    *.sh) sh "$program" >"$log" 2>&1 ;;
    */*) $RUN "$program" $ARGS >"$log" 2>&1 ;;
    *) $RUN "./$program" $ARGS >"$log" 2>&1 ;;
    esac
    status=$?
    cat "$log"
    counts=$(sed -n 's/^\([0-9][0-9]*\) passed, \([0-9][0-9]*\) failed$/\1 \2/p' "$log" | tail -n 1)
    s=$(sed -n 's/^\([0-9][0-9]*\) skipped$/\1/p' "$log" | tail -n 1)
    skipped=$((skipped + ${s:-0}))
    p=${counts% *}
    f=${counts#* }
    if [ -z "$counts" ]; then
        echo "FAIL $program: exit status $status and no count of tests"
        p=0 f=1
    elif [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then
        echo "FAIL $program: exit status $status"
        f=1
    fi
    passed=$((passed + p))
    failed=$((failed + f))
done
[ "$skipped" -eq 0 ] || echo "$skipped skipped"
[ "$((passed + failed))" -gt 0 ] || echo "nothing was checked"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
