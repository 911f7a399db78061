#!/bin/sh
# Gate: the header compiles alone, in every C and C++ since 1998, beside the system headers that share its prefix.
# SPDX-License-Identifier: MIT
. tests/gates/common.sh

warnings="-Wall -Wextra -Wpedantic -Wpadded -Wundef -Werror"

# try COMPILER LANGUAGE STANDARD EXTRA-FLAGS
try() {
    for part in alone before after; do
        check "$1 -std=$3 header $part" "$1" -x "$2" "-std=$3" $warnings $4 -Iinclude -fsyntax-only \
            "tests/header/$part.c"
    done
}

for compiler in gcc "$(first_of clang clang-19 clang-16 clang-14)"; do
    has $compiler || { missing "the header by $compiler: not here"; continue; }
    for standard in c99 gnu99 c11 c17; do
        try $compiler c $standard "-Wc++-compat -Wstrict-prototypes"
    done
done
for compiler in g++ "$(first_of clang++ clang++-19 clang++-16 clang++-14)"; do
    has $compiler || { missing "the header by $compiler: not here"; continue; }
    for standard in c++98 c++11 c++14 c++17 c++20; do
        try $compiler c++ $standard "-Wno-long-long"
    done
done

# POSIX leaves _t to itself.
header_functions >"$tmp/names"
[ -s "$tmp/names" ] || fail "the functions of the header were not found"
printf '#include "sinkattn.h"\n' | $CC -E -P -x c -Iinclude - | tr -c 'A-Za-z0-9_' '\n' | grep '^sa_' |
    grep '_t$' >"$tmp/out"
nothing "no public name ends in _t" "$tmp/out"

finish
