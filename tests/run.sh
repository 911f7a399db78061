#!/bin/sh
# Runs programs and scripts that end with "N passed, N failed" and adds their lines up to one.
# SPDX-License-Identifier: MIT
#
# One that exits with an error but names no failure, or prints no such line, counts as one failure: it has crashed. $RUN,
# if set, is put before each program and $ARGS behind it (scripts run as they are). $JOBS run at a time, by default as
# many as there are processors; each has a line when it is done, and what it printed if it failed or
# skipped something. LOGS=all prints everything, and with LAST_LINE=three the last line counts those skipped too.
if [ "$1" = --one ]; then
    results=$2 number=$3 program=$4 began=$(date +%s)
    log=$results/$number.log
    case $program in
    *.sh) sh "$program" >"$log" 2>&1 </dev/null ;;
    */*) $RUN "$program" $ARGS >"$log" 2>&1 </dev/null ;;
    *) $RUN "./$program" $ARGS >"$log" 2>&1 </dev/null ;;
    esac
    status=$? note=""
    counts=$(sed -n 's/^\([0-9][0-9]*\) passed, \([0-9][0-9]*\) failed$/\1 \2/p' "$log" | tail -n 1)
    skipped=$(sed -n 's/^\([0-9][0-9]*\) skipped$/\1/p' "$log" | tail -n 1)
    p=${counts% *} f=${counts#* }
    if [ -z "$counts" ]; then
        note="FAIL $program: exit status $status and no count of tests"
        p=0 f=1
    elif [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then
        note="FAIL $program: exit status $status"
        f=1
    fi
    echo "$p $f ${skipped:-0}" >"$results/$number.count"
    {
        if [ "$f" -ne 0 ] || [ "$LOGS" = all ]; then
            echo "== $program"
            cat "$log"
            [ -z "$note" ] || echo "$note"
        else
            grep -E "^(skipped|missing)" "$log"
            echo "   $program: $p passed, $(($(date +%s) - began)) s"
        fi
    } >"$results/$number.say"
    cat "$results/$number.say"
    exit 0
fi

results=$(mktemp -d) || exit 1
trap 'rm -rf "$results"' EXIT
number=0
for program in "$@"; do
    number=$((number + 1))
    echo "$number $program"
done | xargs -n 2 -P "${JOBS:-$(nproc 2>/dev/null || echo 1)}" sh tests/run.sh --one "$results"

cat "$results"/*.count | {
    passed=0 failed=0 skipped=0 ran=0
    while read -r p f s; do
        passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s)) ran=$((ran + 1))
    done
    [ "$ran" -eq $# ] || { echo "FAIL $(($# - ran)) programs left no result" && failed=$((failed + $# - ran)); }
    [ "$skipped" -eq 0 ] || echo "$skipped skipped"
    [ "$((passed + failed))" -gt 0 ] || echo "nothing was checked"
    echo "$passed passed, $failed failed${LAST_LINE:+, $skipped skipped}"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}
