#!/bin/sh
# Gate: the README's code, examples/minimal.c, examples/job.c and those of examples/related, compiled as they stand, run and say
# something. The related ones compare what they compute, and end with an error where it is wrong.
# SPDX-License-Identifier: MIT
. tests/gates/common.sh

# says NAME PROGRAM: ok if it ends well and prints at least a line, none of them "nan".
says() {
    if ! "$2" >"$tmp/out" 2>&1 </dev/null; then
        fail "$1: it ended with an error"
        head -n 10 "$tmp/out"
    elif [ ! -s "$tmp/out" ] || grep -qi 'nan' "$tmp/out"; then
        fail "$1: it should print numbers"
        head -n 10 "$tmp/out"
    else
        ok "$1 runs"
    fi
}

for program in readme readme_sequences examples/minimal examples/job $(ls examples/related/*.c | sed 's/\.c$//'); do
    if [ -x "$BUILD/$program" ]; then
        says "$program" "$BUILD/$program"
    else
        fail "$program was not built"
    fi
done

finish
