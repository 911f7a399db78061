#!/bin/sh
# Host: a program for llama2.c checkpoints, by arrays and by a cache: the same tokens, the table, and without end.
# SPDX-License-Identifier: MIT
#
# STORIES is the checkpoint stories260K.bin, looked for beside the repository too; without it one of that shape is made
# of random numbers. TOKENS is how many are written without end. RUN, if it is set, is your own build of llama2.c's
# program with its TOKENIZER file: it gets a line in the table.
. tests/gates/common.sh
stories=${STORIES:-../shared/data/stories260K.bin}
tokens=${TOKENS:-20000}

mkdir -p "$BUILD"
$MAKE -s static >"$tmp/make.log" 2>&1 || { fail "the library: $(tail -n 3 "$tmp/make.log")"; finish; }
check "builds without a warning" $CC -std=c99 -O3 -Wall -Wextra -Werror -Iinclude -o "$BUILD/llama2c" \
    examples/llama2c/*.c "$BUILD/libsinkattn.a" -lm
host=$BUILD/llama2c
[ -x "$host" ] || finish
if [ ! -f "$stories" ]; then
    has python3 || { missing "no stories260K.bin and no python3 to make one like it"; finish; }
    stories=$BUILD/random260K.bin
    check "a checkpoint of random numbers" python3 examples/llama2c/make_checkpoint.py "$stories"
fi

"$host" "$stories" compare 512 >"$tmp/compare" 2>&1
grep -q "^the same token at 512 of 512 positions" "$tmp/compare" && ok "$(head -n 1 "$tmp/compare")" ||
    fail "$(head -n 1 "$tmp/compare")"
"$host" "$stories" array 512 >"$tmp/array.ids"
"$host" "$stories" cache 512 >"$tmp/cache.ids"
[ "$(wc -l <"$tmp/cache.ids")" -eq 512 ] && cmp -s "$tmp/array.ids" "$tmp/cache.ids" &&
    ok "both write the same 512 tokens" || fail "they write different tokens"

# field NAME: a number of the line "tokens a second over 512: array N, cache N, ratio N"
field() {
    sed -n "s/^tokens a second.*$1 \([0-9.]*\).*/\1/p" "$tmp/compare"
}
awk "BEGIN { exit !(\"$(field ratio)\" + 0 >= 1.8) }" && ok "$(field ratio) times the arrays' tokens a second" ||
    fail "'$(field ratio)' times the arrays' tokens a second, less than 1.8"

"$host" "$stories" endless "$tokens" >"$tmp/endless"
awk 'NR == 1 { first = $6 } { last = $6; tokens = $1 } END { exit !(NR >= 10 && last <= first + 1) }' "$tmp/endless" &&
    ok "memory is flat over $tokens tokens: $(tail -n 1 "$tmp/endless" | sed 's/.*second, //')" ||
    fail "memory grows: $(cat "$tmp/endless")"

# Files that are none.
"$host" README.md cache 1 >"$tmp/refused" 2>&1 && fail "README.md is taken for a checkpoint" || ok "$(cat "$tmp/refused")"
head -c 100000 "$stories" >"$tmp/short.bin"
"$host" "$tmp/short.bin" cache 1 >"$tmp/refused" 2>&1 && fail "half a checkpoint is read" ||
    ok "half a checkpoint: $(sed 's/:.*//' "$tmp/refused")"

# The table. Lines are those of code between a file's first function and its end: without comments and blank lines.
lines() {
    sed -e '/^#/d' -e '/^\/\*/,/\*\//d' -e '/^$/d' "$1" | wc -l | tr -d ' '
}
kib() {
    echo $(($(sed -n "s/^bytes:.*$1 \([0-9]*\).*/\1/p" "$tmp/compare") / 1024))
}
echo "| attention | lines | tokens a second over 512 | KiB | tokens until it ends |"
echo "|---|---|---|---|---|"
if [ -n "${RUN:-}" ]; then
    own=$("$RUN" "$stories" -z "${TOKENIZER:?}" -t 0 -n 512 2>&1 >/dev/null | sed -n 's/.*tok\/s: \([0-9]*\).*/\1/p')
    echo "| llama2.c's program, as it is | | $own | | 512 |"
fi
echo "| arrays and loops | $(lines examples/llama2c/attention_array.c) | $(field array) | $(kib array) | 512 |"
echo "| sinkattn | $(lines examples/llama2c/attention_cache.c) | $(field cache) | $(kib cache) | none |"
finish
