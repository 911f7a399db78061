#!/bin/sh
# Checks the stream program on tiny random models of every family and weight type; needs python3 to make them.
# SPDX-License-Identifier: MIT
#
#   sh examples/stream/check.sh build/stream
set -u
stream=${1:-build/stream}
here=$(dirname "$0")
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
failed=0

ok() { printf 'ok   %s\n' "$1"; }
bad() {
    printf 'FAIL %s\n' "$1"
    failed=1
}

# ppl MODEL OPTIONS...: the perplexity of the sample, as the report says it
ppl() {
    model=$1
    shift
    "$stream" perplexity "$model" "$input" "$tmp/sample" --tokens 60 "$@" 2>"$tmp/errors" | sed -n 's/^perplexity \([0-9.]*\).*/\1/p'
}

# equal WHAT A B: both are numbers and they are the same to about four digits (batches round differently)
equal() {
    if awk -v a="$2" -v b="$3" 'BEGIN { d = a - b; exit !(a > 1 && b > 1 && d < 2e-4 * a && -d < 2e-4 * a) }'; then
        ok "$1"
    else
        bad "$1: '$2' and '$3'"
        cat "$tmp/errors"
    fi
}

python3 "$here/fuzz/make_seeds.py" "$tmp/models" || exit 1
for model in "$tmp"/models/*; do
    name=$(basename "$model")
    input=--text
    printf "It's ab ab 12 AB\n\nabab ab It b a, \303\251 ab It's ab ab 12 AB It It ab ab ab" >"$tmp/sample"
    case $name in
    llama2c*)
        input=--ids
        awk 'BEGIN { for (i = 0; i < 80; i++) print (i * i) % 12 }' >"$tmp/sample"
        ;;
    esac
    whole=$(ppl "$model" --sinks 2 --window 10 --probe 99)
    equal "$name: one token at a time is as good as chunks" "$whole" "$(ppl "$model" --sinks 2 --window 10 --chunk 1)"
    whole=$(ppl "$model" --policy dense --window 70)
    equal "$name: a large window is a dense cache" "$whole" "$(ppl "$model" --policy window --window 70)"
done

# A file cut anywhere is refused in words.
for size in 0 3 4 20 100 1000 5000 20000; do
    head -c "$size" "$tmp/models/llama.gguf" >"$tmp/cut"
    "$stream" info "$tmp/cut" >"$tmp/out" 2>&1
    if [ $? -eq 1 ] && grep -q '^stream: ' "$tmp/out"; then
        ok "a file cut after $size bytes is refused"
    else
        bad "a file cut after $size bytes"
    fi
done

printf 'ab ab ab ab ab ab ab ab ab ab' >"$tmp/sample"
"$stream" perplexity "$tmp/models/llama.gguf" --text "$tmp/sample" --policy dense --window 7 >"$tmp/out" 2>&1
if [ $? -eq 3 ] && grep -q 'full at token 7' "$tmp/out"; then
    ok "a dense cache says when it is full"
else
    bad "a dense cache says when it is full"
fi

a=$("$stream" generate "$tmp/models/qwen3.gguf" --prompt ab --tokens 30 --show-ids --window 8 --seed 5 2>/dev/null)
b=$("$stream" generate "$tmp/models/qwen3.gguf" --prompt ab --tokens 30 --show-ids --window 8 --seed 5 2>/dev/null)
if [ -n "$a" ] && [ "$a" = "$b" ]; then
    ok "the same seed gives the same text"
else
    bad "the same seed gives the same text"
fi

# figures NAME OPTIONS...: all figures of a tiny model are there, well-formed, and hold as many curves or maps as they should
awk 'BEGIN { for (i = 0; i < 400; i++) printf "ab It %d ", i * i % 7 }' >"$tmp/long"
cat >"$tmp/figures.py" <<'END'
import re, sys, xml.etree.ElementTree as xml
folder, model, maps = sys.argv[1:]
svg = "{http://www.w3.org/2000/svg}"
want = {"perplexity": 2 * 4, "time": 2 * 2, "memory": 2 * 4, "attention": int(maps) + 1, "sink-mass": 2}
for figure, n in want.items():
    root = xml.parse("%s/%s-%s.svg" % (folder, figure, model)).getroot()
    kind = "curve" if figure in ("perplexity", "time", "memory") else "heat"
    found = [e for e in root.iter() if kind in e.get("class", "").split()]
    numbers = " ".join(e.get(a, "") for e in root.iter() for a in ("d", "x", "y", "transform"))
    assert root.tag == svg + "svg" and len(found) == n, (figure, len(found), n)
    assert not re.search("nan|inf", numbers), figure
    assert all(e.get("d") for e in root.iter(svg + "path")), figure + " has an empty curve"
END
mkdir "$tmp/figures"
if "$stream" figures "$tmp/models/llama.gguf" --text "$tmp/long" --tokens 600 --sinks 2 --window 14 --samples 9 \
    --out "$tmp/figures" >"$tmp/out" 2>&1 && python3 "$tmp/figures.py" "$tmp/figures" llama "$(
    "$stream" info "$tmp/models/llama.gguf" | sed -n 's/^llama: \([0-9]*\) layers, width [0-9]*, \([0-9]*\) heads.*/\1 * \2/p;q' | xargs expr
)" >>"$tmp/out" 2>&1; then
    ok "figures are well-formed and whole"
else
    bad "figures are well-formed and whole"
    cat "$tmp/out"
fi
exit $failed
