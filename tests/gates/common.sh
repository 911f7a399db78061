# What the gates share: a scratch directory, ok / fail / skip / missing, and the line that ends each of them.
# SPDX-License-Identifier: MIT
#
# A gate is a script run from the top of the repository, with CC, BUILD and the flags in the environment.
CC=${CC:-cc}
CXX=${CXX:-c++}
BUILD=${BUILD:-build}
MAKE=${MAKE:-make}
passed=0
failed=0
skipped=0
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

# Gates call make afresh: what they need of the caller's settings stands in the environment.
unset MAKEFLAGS MFLAGS MAKELEVEL

ok() {
    echo "ok   $*"
    passed=$((passed + 1))
}

fail() {
    echo "FAIL $*"
    failed=$((failed + 1))
}

# skip REASON...: what cannot be checked here and need not be: this system has no such thing.
skip() {
    echo "skip $*"
    skipped=$((skipped + 1))
}

# missing REASON...: what a tool that can be installed would check. Continuous integration (which sets CI) has all
# tools: there it is a failure, so that no gate stays green because nothing was checked.
missing() {
    case ${CI:-} in
    '' | 0 | false | no) skip "$*" ;;
    *) fail "$*: a failure, since CI is set" ;;
    esac
}

has() {
    command -v "$1" >/dev/null 2>&1
}

# first_of COMMAND...: the first of them that is here, or the last one's name.
first_of() {
    for command in "$@"; do
        has "$command" && break
    done
    echo "$command"
}

# wasi_runner [NODE'S-ARGUMENTS]: the command that runs a WASI program. Node 20 ends two of three short ones with a crash
# of its own, in JavaScript, unless its garbage collector has one thread.
wasi_runner() {
    echo "node --no-warnings --single-threaded-gc $* tests/cross/run.mjs"
}

# check NAME COMMAND...: ok if the command succeeds, else fail with what it said.
check() {
    check_name=$1
    shift
    if "$@" >"$tmp/check.log" 2>&1; then
        ok "$check_name"
    else
        fail "$check_name"
        head -n 30 "$tmp/check.log"
    fi
}

# nothing NAME FILE: ok if the file is empty, else fail with its lines.
nothing() {
    if [ -s "$2" ]; then
        fail "$1"
        head -n 30 "$2"
    else
        ok "$1"
    fi
}

# same_job: ok if what a language's job has said, in $tmp/got, is what the C program says.
same_job() {
    "$BUILD/examples/job" >"$tmp/expected"
    if cmp -s "$tmp/expected" "$tmp/got"; then
        ok "the job's digest and refusal are the C program's: $(tail -n 1 "$tmp/got")"
    else
        fail "the job's output is not the C program's"
        diff "$tmp/expected" "$tmp/got"
    fi
}

finish() {
    [ "$skipped" -eq 0 ] || echo "$skipped skipped"
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
    exit
}

lib_sources() {
    sed -n 's/^[[:space:]]*\(lib\/[^ ]*\.c\).*/\1/p' lib/sources.mk
}

# The functions that the header declares, one a line, sorted.
header_functions() {
    printf '#include "sinkattn.h"\n' | $CC -E -P -x c -DSA_API=SA_API_HERE -Iinclude - | tr '\n' ' ' | tr ';' '\n' |
        sed -n 's/.*SA_API_HERE [^(]*[ *]\([A-Za-z0-9_]*\) *(.*/\1/p' | LC_ALL=C sort
}
