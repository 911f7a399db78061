#!/bin/sh
# Checks the policies on the small model: what must be equal is, and no policy holds more than its budget.
# SPDX-License-Identifier: MIT
#
#   sh examples/policies/check.sh build/policies
set -u
policies=${1:-build/policies}
model=$(dirname "$0")/../stream/models/vanilla.gguf
text=$(dirname "$0")/../../LICENSE
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
failed=0

# table BUDGET TOKENS NAME...: policy,model,bytes,ppl,recall of each
table() {
    budget=$1
    tokens=$2
    shift 2
    : >"$tmp/csv"
    "$policies" "$model" "$text" "$tmp/csv" "$budget" 32 "$tokens" 2 "$@" >"$tmp/out" 2>&1 || cat "$tmp/out"
}

# holds WHAT CONDITION N: the awk condition is true of N lines, and of all that there are; first and room are the first one's
holds() {
    if awk -F, -v n=0 "NR == 1 { first = \$4; room = \$3 } { n++; if (!($2)) { print; bad = 1 } } END { exit bad || n < $3 }" \
        "$tmp/csv"; then
        printf 'ok   %s\n' "$1"
    else
        printf 'FAIL %s\n' "$1"
        failed=1
    fi
}

names="sinks mean h2o snapkv memory duo"
table 512 120 dense window $names
holds "as long as nothing has left, all are a dense cache" '$4 > 1 && $4 - first < 1e-3 && first - $4 < 1e-3' 8
table 128 110 dense h2o snapkv memory
holds "rows give what the tokens gave, where there are enough of them" '$4 > 1 && $4 < 1.003 * first && $4 > 0.997 * first' 4
table 64 600 $names
holds "no policy takes more bytes than sinks and a window, but for the places of rows" '$3 <= 1.03 * room' 6
holds "each predicts the text about as well as sinks and a window do" '$4 > 1 && $4 < 1.5 * first' 6
exit $failed
