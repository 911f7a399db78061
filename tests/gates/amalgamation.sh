#!/bin/sh
# Gate: the library as two files: compiles as C without a warning and without flags, and passes the tests.
# SPDX-License-Identifier: MIT
. tests/gates/common.sh

two=$tmp/two
check "sh lib/amalgamate.sh" sh lib/amalgamate.sh "$two"
[ -f "$two/sinkattn.c" ] || finish

[ "$(wc -l <"$two/sinkattn.c")" -lt 12000 ] && ok "under 12,000 lines" || fail "12,000 lines or more"
grep -nE '^#[ ]*include[ ]*"' "$two/sinkattn.c" | grep -v '"sinkattn\.h"' >"$tmp/out"
nothing "no other file is included" "$tmp/out"
for compiler in gcc clang; do
    has $compiler || { skip "$compiler: not here"; continue; }
    for flags in "-O0" "-O2 -std=c99 -Wall -Wextra -Werror -ffp-contract=off" "-O2 -std=c17"; do
        check "$compiler $flags -c sinkattn.c" $compiler $flags -c "$two/sinkattn.c" -o "$two/$compiler.o"
    done
    nm -g --defined-only "$two/$compiler.o" | awk '$3 !~ /^sa_/' >"$tmp/out"
    nothing "$compiler: it defines nothing but sa_" "$tmp/out"
    check "$compiler: a program of two files and its own" \
        $compiler -std=c99 -O1 -I"$two" tests/install/consumer.c "$two/sinkattn.c" -lm -o "$two/consumer"
    check "$compiler: it runs" "$two/consumer"
done

# Other ways to use the two files, with the smallest library: AVX2 where the processor has it, and f32.
few="-DSA_NO_AVX512 -DSA_NO_INTEGERS -DSA_NO_F16 -DSA_NO_BF16"
grep -qw avx2 /proc/cpuinfo 2>/dev/null && few="$few -DSA_NO_PLAIN" one_set=1 || one_set=0
printf '#define SA_API static\n#include "sinkattn.c"\nint main(void) { return !sa_version(); }\n' >"$two/included.c"
check "a program that includes sinkattn.c" $CC -O1 $few -I"$two" "$two/included.c" -lm -o "$two/included"
nm -g --defined-only "$two/included" | awk '$3 ~ /^sai?_/' >"$tmp/out"
nothing "it has no symbol of the library" "$tmp/out"
printf '#include <sinkattn.h>\nint plugin(void) { return sa_version(); }\n' >"$two/plugin.c"
check "a plugin with libsinkattn.a" $CC -shared -fPIC -I"$two" "$two/plugin.c" "$BUILD/libsinkattn.a" \
    -Wl,--exclude-libs,libsinkattn.a -lm $LDFLAGS -o "$two/plugin.so"
nm -D --defined-only "$two/plugin.so" | awk '$3 ~ /^sai?_/' >"$tmp/out"
nothing "it exports nothing of the library" "$tmp/out"
if [ $one_set = 1 ]; then
    check "one instruction set and f32" $CC -Os $few -I"$two" tests/install/small.c "$two/sinkattn.c" -lm -o "$two/small"
    check "what is left out is refused" "$two/small"
    # What a program of the three calls has in it when the linker leaves out what nothing calls.
    check "three calls, small" $CC -Os -fno-pie -ffunction-sections $few -I"$two" tests/install/three_calls.c \
        "$two/sinkattn.c" -no-pie -Wl,--gc-sections -s -lm -o "$two/three_calls"
    check "they run" "$two/three_calls"
    bytes=$(size -A "$two/three_calls" | awk '$1 ~ /^\.text/ { n += $2 } END { print n }')
    case $($CC --version) in
    *clang*) limit=91000 ;;
    *) limit=72000 ;;
    esac
    [ "$bytes" -lt $limit ] && ok "$bytes bytes of code" || fail "$bytes bytes of code, not under $limit"
else
    skip "one instruction set: this processor has no AVX2"
fi

# C++ and x87 are told, in one line.
said() {
    wanted=$1
    shift
    "$@" >"$tmp/log" 2>&1 && fail "$*: compiles" && return
    [ "$(grep -c 'error:' "$tmp/log")" = 1 ] && grep -q "$wanted" "$tmp/log" && ok "$*: refused: $wanted" || {
        fail "$*: not refused by one sentence"
        head -n 5 "$tmp/log"
    }
}
said "is C: compile it with a C compiler" $CXX -x c++ -fsyntax-only -I"$two" "$two/sinkattn.c"

# The bits do not depend on the compiler's wish to fuse multiplications and additions, which it has where the
# processor can.
check "the digest of this library's results" \
    $CC -std=c99 -Iinclude tests/cross/digest.c "$BUILD/libsinkattn.a" -lm $LDFLAGS -o "$tmp/digest"
digest=$("$tmp/digest") && ok "all sets have the same bits" || fail "$digest"
for compiler in gcc clang; do
    has $compiler || continue
    for flags in -O0 -O2 "-O3 -march=native" -Ofast "-O2 -ffast-math" "-O2 -flto"; do
        if ! $compiler $flags -I"$two" tests/cross/digest.c "$two/sinkattn.c" -lm -o "$two/digest" >"$tmp/log" 2>&1 &&
            grep -q 'error: .*sinkattn: ' "$tmp/log"; then
            ok "$compiler $flags: refused by a sentence"
            continue
        fi
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
    # Those call what is inside the library, which is static in one file.
    case $test in tests/test_kernels* | tests/test_vectors.c | tests/test_plan.c) continue ;; esac
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
