#!/bin/sh
# Gate: sizes and places of the public structs' fields, and the numbers of all constants, on this machine and on
# others; needs cc alone.
# SPDX-License-Identifier: MIT
. tests/gates/common.sh

# The table is checked by compiling: -ffreestanding asks for no C library of the other machine.
layout() {
    check "struct layout, $1" $2 -ffreestanding -Iinclude -fsyntax-only tests/abi/layout.c
}

layout "this machine" "$CC"
# Not named in the table: new fields would go unnoticed.
printf '#include "sinkattn.h"\n' | $CC -E -P -x c -Iinclude - | tr '\n' ' ' | tr '}' '\n' |
    grep -o 'typedef struct sa_[a-z_]* {.*' | grep -o '{.*' | tr ';' '\n' | grep -c '[a-z]' >"$tmp/declared"
fields=$(grep -c '^FIELD' tests/abi/layout.c)
if [ "$(awk '{ n += $1 } END { print n }' "$tmp/declared")" -eq "$fields" ]; then
    ok "the layout table names all $fields fields"
else
    fail "the layout table names $fields fields, the header $(awk '{ n += $1 } END { print n }' "$tmp/declared")"
fi

# The same for constants: the names that the header gives a number, and those of the table.
printf '#include "sinkattn.h"\n' | $CC -E -P -x c -Iinclude - | grep -o 'SA_[A-Z0-9_]* *= *-*[0-9]' | sed 's/ *=.*//' |
    LC_ALL=C sort >"$tmp/numbered"
sed -n 's/^NUMBER(\([A-Z0-9_]*\),.*/\1/p' tests/abi/layout.c | LC_ALL=C sort >"$tmp/held"
if [ -s "$tmp/held" ] && cmp -s "$tmp/numbered" "$tmp/held"; then
    ok "the table holds the numbers of all $(grep -c . "$tmp/held") constants"
else
    fail "constants of the header (<) and of the table (>) differ"
    diff "$tmp/numbered" "$tmp/held"
fi

# The sizes that the documentation names are those of the table.
sed -n 's/^SIZE(\(sa_[a-z_]*\), \([0-9]*\), \([0-9]*\), \([0-9]*\))$/| `\1` | \2 | \3 | \4 |/p' tests/abi/layout.c >"$tmp/sizes"
grep '^| `sa_[a-z_]*` |' docs/abi.md >"$tmp/documented"
diff "$tmp/documented" "$tmp/sizes" >"$tmp/diff"
[ -s "$tmp/sizes" ] || echo "no SIZE lines found" >>"$tmp/diff"
nothing "docs/abi.md has the sizes of tests/abi/layout.c" "$tmp/diff"

if echo 'int x;' | $CC -m32 -ffreestanding -fsyntax-only -x c - 2>/dev/null; then
    layout "i386 by -m32" "$CC -m32"
else
    skip "struct layout, i386 by -m32: $CC has none (clang's i386 stands below)"
fi
clang=$(first_of clang clang-19 clang-16 clang-14)
if has "$clang"; then
    for target in x86_64-pc-windows-msvc aarch64-linux-gnu i386-linux-gnu armv7-linux-gnueabihf \
        riscv32-unknown-elf riscv64-unknown-elf wasm32-unknown-unknown s390x-linux-gnu; do
        if echo 'int x;' | $clang --target=$target -fsyntax-only -x c - 2>/dev/null; then
            layout "$target" "$clang --target=$target"
        else
            missing "struct layout, $target: not in this clang"
        fi
    done
else
    missing "struct layout of other machines: no clang here"
fi

finish
