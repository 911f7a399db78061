#!/bin/sh
# Gate: the library as two files: compiles as C without a warning and without flags, and passes the tests.
# SPDX-License-Identifier: MIT
. tests/gates/common.sh

two=$tmp/two
check "sh lib/amalgamate.sh" sh lib/amalgamate.sh "$two"
[ -f "$two/sinkattn.c" ] || finish

grep -nE '^#[ ]*include[ ]*"' "$two/sinkattn.c" | grep -v '"sinkattn\.h"' >"$tmp/out"
nothing "no other file is included" "$tmp/out"
for compiler in gcc clang; do
    has $compiler || { skip "$compiler: not here"; continue; }
    for flags in "-O0" "-O2 -std=c99 -Wall -Wextra -Werror -ffp-contract=off" "-O2 -std=c17"; do
        check "$compiler $flags -c sinkattn.c" $compiler $flags -c "$two/sinkattn.c" -o "$two/$compiler.o"
    done
    nm -g --defined-only "$two/$compiler.o" | awk '$3 !~ /^sai?_/' >"$tmp/out"
    nothing "$compiler: it defines nothing but sa_ and sai_" "$tmp/out"
    check "$compiler: a program of two files and its own" \
        $compiler -std=c99 -O1 -I"$two" tests/install/consumer.c "$two/sinkattn.c" -lm -o "$two/consumer"
    check "$compiler: it runs" "$two/consumer"
done

# The bits do not depend on the compiler's wish to fuse multiplications and additions, which it has where the
# processor can.
check "the digest of this library's results" \
    $CC -std=c99 -Iinclude tests/cross/digest.c "$BUILD/libsinkattn.a" -lm $LDFLAGS -o "$tmp/digest"
digest=$("$tmp/digest") && ok "all sets have the same bits" || fail "$digest"
for compiler in gcc clang; do
    has $compiler || continue
    for flags in -O0 -O2 "-O2 -march=native" "-O3 -march=native"; do
        $compiler $flags -I"$two" tests/cross/digest.c "$two/sinkattn.c" -lm -o "$two/digest" >"$tmp/log" 2>&1
        got=$("$two/digest")
        [ "$got" = "$digest" ] && ok "$compiler $flags: the same bits" ||
            fail "$compiler $flags: digest $got, not $digest"
    done
done

# The tests, with the library's objects replaced by the one file, compiled by the simplest of commands: it keeps
# the order of floating-point operations by itself. $TEST_AMALGAMATION chooses some tests.
support=
for f in tests/*.c; do
    case $f in tests/test_* | tests/kernels*) continue ;; esac
    object=$two/$(basename "$f" .c).o
    $CC -O2 -std=c99 -Iinclude -c "$f" -o "$object" || fail "$CC -c $f"
    support="$support $object"
done
$CC -O2 -c "$two/sinkattn.c" -o "$two/sinkattn.o" || fail "$CC -c sinkattn.c"
for test in ${TEST_AMALGAMATION:-tests/test_*.c}; do
    [ -f "$test" ] || continue
    # Those call the kernels themselves, which are nobody else's business in one file.
    case $test in tests/test_kernels* | tests/test_vectors.c) continue ;; esac
    program=$two/$(basename "$test" .c)
    case $test in
    tests/test_bits.c | tests/test_oracle.c) args="21 300" ;; # a seed of its own, and fewer cases
    *) args= ;;
    esac
    if ! $CC -O2 -std=c99 -ffp-contract=off -Iinclude "$test" $support "$two/sinkattn.o" -lm -lpthread \
        -o "$program" >"$tmp/log" 2>&1; then
        fail "amalgamation: $test does not build"
        tail -n 10 "$tmp/log"
    elif "$program" $args >"$tmp/log" 2>&1; then
        ok "amalgamation: $test: $(tail -n 1 "$tmp/log")"
    else
        fail "amalgamation: $test"
        tail -n 10 "$tmp/log"
    fi
done

finish
