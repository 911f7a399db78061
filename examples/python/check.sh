# The Python package: installed into an environment of its own, tested, and its job compared with the C program's.
# SPDX-License-Identifier: MIT
#
#   sh examples/python/check.sh         from the top of the repository; PYTHON names the interpreter
. tests/gates/common.sh
PYTHON=${PYTHON:-python3}
if ! has "$PYTHON" || ! "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then
    missing "skipped: no $PYTHON with venv here"
    finish
fi
. examples/python/environment.sh

digest() {
    $MAKE "$BUILD/examples/job" && "$BUILD/examples/job" >"$tmp/job.c.txt" &&
        "$python" examples/python/job.py >"$tmp/job.python.txt" && diff "$tmp/job.c.txt" "$tmp/job.python.txt"
}

# The archive has the library's sources in it and builds by itself, outside of this repository. (-O0: it is only built.)
archive() {
    "$python" -m pip install -q --disable-pip-version-check build && "$python" -m build -q --sdist -o "$tmp" examples/python &&
        CFLAGS="-O0 -DSA_DEBUG" "$python" -m pip wheel -q --no-deps -w "$tmp" "$tmp"/sinkattn-*.tar.gz &&
        ls "$tmp"/sinkattn-*.whl
}

typed() {
    "$python" -m pip install -q --disable-pip-version-check mypy ruff && "$python" -m ruff check examples/python &&
        "$python" -m ruff format --check examples/python &&
        "$python" -m mypy --strict --cache-dir="$tmp/mypy" --exclude transformers examples/python/src/sinkattn
}

check "python: tests" "$python" -m pytest -q -p no:cacheprovider examples/python/tests
check "python: the job's digest is that of the C program" digest
check "python: the source distribution builds" archive
check "python: types and format" typed
finish
