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

# equal WHAT A B: both are numbers and they are the same to about four digits (the sums of a chunk are rounded differently)
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
    llama2c* | ids-*) # no tokenizer in the file
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

# What must be refused in words, or said: missing tensors, unknown types, parts of a model, files without a tokenizer.
PYTHONDONTWRITEBYTECODE=1 python3 "$here/fuzz/refusals.py" "$stream" || failed=1

# A window in the file is what every layer sees, even where the cache asked for could hold more.
printf "It's ab ab 12 AB\n\nabab ab It b a, ab It's ab ab 12 AB It It ab ab ab" >"$tmp/sample"
input=--text
equal "a sliding window in the file is used" "$(ppl "$tmp/models/llama-window.gguf" --policy dense --window 70)" \
    "$(ppl "$tmp/models/llama-window.gguf" --policy window --window 5)"

equal "such a model has no dense layer that could fill up" "$(ppl "$tmp/models/llama-window.gguf" --policy dense --window 9)" \
    "$(ppl "$tmp/models/llama-window.gguf" --policy window --window 5)"

printf 'ab ab ab ab ab ab ab ab ab ab' >"$tmp/sample"
"$stream" perplexity "$tmp/models/llama.gguf" --text "$tmp/sample" --policy dense --window 7 >"$tmp/out" 2>&1
if [ $? -eq 3 ] && grep -q 'full at token 7' "$tmp/out"; then
    ok "a dense cache says when it is full"
else
    bad "a dense cache says when it is full"
fi

"$stream" perplexity "$tmp/models/llama-window.gguf" --text "$tmp/sample" --policy dense --window 4 >"$tmp/out" 2>&1
if [ $? -eq 3 ] && grep -q 'full at token 4' "$tmp/out"; then
    ok "so does one that is smaller than the model's sliding window"
else
    bad "so does one that is smaller than the model's sliding window"
fi

a=$("$stream" generate "$tmp/models/qwen3.gguf" --prompt ab --tokens 30 --show-ids --window 8 --seed 5 2>/dev/null)
b=$("$stream" generate "$tmp/models/qwen3.gguf" --prompt ab --tokens 30 --show-ids --window 8 --seed 5 2>/dev/null)
if [ -n "$a" ] && [ "$a" = "$b" ]; then
    ok "the same seed gives the same text"
else
    bad "the same seed gives the same text"
fi

# A chat in a pseudo-terminal: what it may take away leaves it as one that never had it.
python3 "$here/check_chat.py" "$stream" || failed=1

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

# eval OPTIONS...: streameval with 45 lines and 4 lines from answer to question
eval_task() { "$stream" streameval "$tmp/models/llama.gguf" --lines 45 --distances 4 "$@" 2>&1; }

# The task: after every tenth line comes the one that stands four above, and the seed decides everything.
eval_task --print --seed 7 >"$tmp/task"
awk '{ line[++n] = $0 }
     n % 11 == 0 { asked++; if ($0 != line[n - 5] || $0 == line[n - 1]) bad = 1 }
     !/^The REGISTER_CONTENT in line [a-z]+-[a-z]+ is <[1-9][0-9][0-9][0-9]>$/ { bad = 1 }
     END { exit bad || n != 49 || asked != 4 }' "$tmp/task"
result=$?
eval_task --print --seed 7 | cmp -s - "$tmp/task" || result=1
eval_task --print --seed 8 | cmp -s - "$tmp/task" && result=1
if [ $result -eq 0 ]; then
    ok "streameval asks for the lines that it should"
else
    bad "streameval asks for the lines that it should"
    cat "$tmp/task"
fi

# scored WANT SCRIPT: replies that the awk script makes of the right ones, scored
scored() {
    awk 'NR % 11 == 0' "$tmp/task" | sed 's/.*<//' | awk "$2" >"$tmp/replies"
    if eval_task --replies "$tmp/replies" --seed 7 | grep -qx "distance 4: $1 of 4 right"; then
        ok "streameval: $1 right of: $2"
    else
        bad "streameval: $1 right of: $2"
    fi
}
scored 4 '{ print }'
scored 4 '{ sub(">", ""); print "It is " $0 ", I think, or 1234." }'
scored 3 'NR == 2 { sub("[0-9]", "") } { print }'
scored 2 'NR > 2 { sub(">", "0>") } { print }'
scored 1 'NR > 1 { sub("^", "1 ") } { print }'
scored 0 '{ print "" }'
if eval_task --replies /dev/null | grep -q 'there are 0 replies to 4 questions'; then
    ok "streameval wants a reply to every question"
else
    bad "streameval wants a reply to every question"
fi

# A model that knows nothing is right nowhere, and every question of every distance is asked; the same twice.
asked() { "$stream" streameval "$tmp/models/llama.gguf" --lines 60 --distances 4,20 --window 30 2>/dev/null | grep '^distance [0-9]'; }
if [ "$(asked | tr -s ' ' | cut -d, -f1 | paste -sd ' ')" = "distance 4: 0 of 6 right distance 20: 0 of 4 right" ] &&
    [ "$(asked)" = "$(asked)" ]; then
    ok "streameval asks a model"
else
    bad "streameval asks a model"
    asked
fi

# The table of compare as a file: one header, plain numbers, the methods asked for in their order.
if "$stream" compare "$tmp/models/llama.gguf" --learned "$tmp/models/gemma.gguf" --text "$tmp/long" --tokens 200 --sinks 2 \
    --window 14 --samples 5 --csv "$tmp/compare.csv" >"$tmp/out" 2>&1 && grep -q '^before: .*; after: ' "$tmp/out" &&
    [ "$(head -n 1 "$tmp/compare.csv")" = "method,ppl_before,ppl_after,ms_per_token,cache_bytes,tokens_held" ] &&
    [ "$(cut -d, -f1 "$tmp/compare.csv" | paste -sd, -)" = "method,dense,window,recompute,sink,learned sink" ] &&
    awk -F, 'NR > 1 { if (NF != 6) bad = 1; for (i = 2; i <= 6; i++) if ($i !~ /^[0-9]+(\.[0-9]+)?$/ || $i <= 0) bad = 1 }
        END { exit bad }' "$tmp/compare.csv"; then
    ok "compare writes its table as a file"
else
    bad "compare writes its table as a file"
    cat "$tmp/out" "$tmp/compare.csv"
fi
if "$stream" compare "$tmp/models/llama.gguf" --text "$tmp/long" --tokens 200 --sinks 2 --window 14 --methods sink,window \
    --csv "$tmp/compare.csv" >"$tmp/out" 2>&1 && [ "$(cut -d, -f1 "$tmp/compare.csv" | paste -sd, -)" = "method,window,sink" ]; then
    ok "compare runs the methods asked for"
else
    bad "compare runs the methods asked for"
    cat "$tmp/out"
fi
if "$stream" compare "$tmp/models/llama.gguf" --text "$tmp/long" --methods sink,other >"$tmp/out" 2>&1 || ! grep -q -- --methods "$tmp/out"; then
    bad "a method that is not there is refused"
else
    ok "a method that is not there is refused"
fi
if [ -w /dev/full ]; then
    for mode in "perplexity --window 14" "compare --sinks 2 --window 14 --samples 5" "sweep --caches 16" "speed --caches 16"; do
        if "$stream" ${mode%% *} "$tmp/models/llama.gguf" --text "$tmp/long" --tokens 200 ${mode#* } --csv /dev/full >"$tmp/out" 2>&1 ||
            ! grep -q 'cannot write all of /dev/full' "$tmp/out"; then
            bad "${mode%% *}: a full disk is said"
        else
            ok "${mode%% *}: a full disk is said"
        fi
    done
fi

# A row of a sweep is the perplexity of that cache alone, and logits are those of all tokens.
sweep=$("$stream" sweep "$tmp/models/llama.gguf" --text "$tmp/long" --tokens 300 --caches 8,16 --sink-counts 0,2 2>"$tmp/errors" |
    awk '$1 == 16 && $2 == 2 { print $4 }')
equal "a row of a sweep is what that cache gives" "$sweep" "$("$stream" perplexity "$tmp/models/llama.gguf" \
    --text "$tmp/long" --tokens 300 --sinks 2 --window 14 2>"$tmp/errors" | sed -n 's/^perplexity \([0-9.]*\).*/\1/p')"
"$stream" logits "$tmp/models/llama.gguf" --text "$tmp/long" --tokens 150 --sinks 2 --window 14 --out "$tmp/logits" >"$tmp/out" 2>&1
python3 - "$tmp/logits" >>"$tmp/out" 2>&1 <<'END'
import array, math, sys
ids = [int(x) for x in open(sys.argv[1] + ".ids")]
logits = array.array("f", open(sys.argv[1], "rb").read())
n_vocab = len(logits) // len(ids)
assert len(ids) == 150 and n_vocab * 150 == len(logits)
nats = 0.0
for i in range(149):
    row = logits[i * n_vocab:(i + 1) * n_vocab]
    nats += math.log(sum(math.exp(x) for x in row)) - row[ids[i + 1]]
print("perplexity", math.exp(nats / 149))
END
equal "logits in a file give the same perplexity" "$(sed -n 's/^perplexity //p' "$tmp/out")" "$("$stream" perplexity \
    "$tmp/models/llama.gguf" --text "$tmp/long" --tokens 149 --sinks 2 --window 14 2>"$tmp/errors" |
    sed -n 's/^perplexity \([0-9.]*\).*/\1/p')"
if "$stream" speed "$tmp/models/llama.gguf" --text "$tmp/long" --caches 16,32 --samples 3 --csv "$tmp/speed.csv" >"$tmp/out" 2>&1 &&
    awk -F, 'NR > 1 && ($1 != 8 * 2 ^ (NR - 1) || !($2 > 0 && $3 > 0)) { bad = 1 } END { exit bad || NR != 3 }' "$tmp/speed.csv"; then
    ok "speed times every size of cache"
else
    bad "speed times every size of cache"
    cat "$tmp/out"
fi
exit $failed
