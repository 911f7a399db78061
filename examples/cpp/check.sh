#!/bin/sh
# Checks the C++17 header: the job gives the digest of the C program, and the tests pass in every way of compiling it.
# SPDX-License-Identifier: MIT
#
#   sh examples/cpp/check.sh        from the top of the repository; needs a C++ compiler
. tests/gates/common.sh

here=examples/cpp
out=$BUILD/examples/cpp
warnings="-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wold-style-cast -Werror"

has "${CXX%% *}" || { missing "skipped: no C++ compiler here"; finish; }

# compile NAME COMPILER-AND-FLAGS...: $here/NAME.cpp as $out/PROGRAM
compile() {
    source=$here/$1.cpp program=$out/$2
    shift 2
    "$@" $warnings -Iinclude "$source" "$BUILD/libsinkattn.a" -lm -pthread -o "$program"
}

mkdir -p "$out"
check "the library and the C program" $MAKE -s BUILD="$BUILD" "$BUILD/libsinkattn.a" "$BUILD/examples/job"

check "the job compiles" compile job job $CXX -std=c++17 -O2
"$out/job" >"$tmp/got" 2>&1
same_job

# tests NAME COMPILER-AND-FLAGS...
tests() {
    name=$1
    shift
    compile tests tests "$@" >"$tmp/log" 2>&1 && "$out/tests" >"$tmp/log" 2>&1
    status=$?
    counted=$(tail -n 1 "$tmp/log")
    if [ "$status" -eq 0 ]; then
        ok "tests, $name: $counted"
    else
        fail "tests, $name: $counted"
        head -n 30 "$tmp/log"
    fi
}

tests "C++17" $CXX -std=c++17 -O1
tests "C++20, with std::span" $CXX -std=c++20 -O0
tests "without exceptions and type information" $CXX -std=c++17 -O0 -fno-exceptions -fno-rtti
tests "addresses and undefined behaviour checked" $CXX -std=c++17 -g -O0 -fsanitize=address,undefined \
    -fno-sanitize-recover=all
if has clang++; then
    tests "clang++" clang++ -std=c++17 -O0
else
    missing "clang++: not here"
fi
if has clang-format-14; then
    for f in $here/*.hpp $here/*.cpp $here/sinkattn/*.hpp; do
        clang-format-14 "$f" | cmp -s - "$f" || echo "$f"
    done >"$tmp/unformatted"
    nothing "the sources are formatted" "$tmp/unformatted"
else
    missing "format: no clang-format 14 here"
fi

finish
