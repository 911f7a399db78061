#!/bin/sh
# Gate: docs/api.json is what the header says, to its own script, to the compiler and to tests/abi/layout.c; and what other
# languages say of the library is what stands there.
# SPDX-License-Identifier: MIT
. tests/gates/common.sh

has python3 || { missing "docs/api.json: no python3 here"; finish; }

python3 docs/reference/api.py 2>&1 | diff docs/api.json - >"$tmp/diff"
nothing "docs/api.json is what docs/reference/api.py writes (make api)" "$tmp/diff"

python3 docs/reference/api.py --layout | LC_ALL=C sort >"$tmp/ours"
grep -E '^(SIZE|FIELD|NUMBER)\(' tests/abi/layout.c | LC_ALL=C sort | diff - "$tmp/ours" >"$tmp/diff"
[ -s "$tmp/ours" ] || echo "no layout was printed" >>"$tmp/diff"
nothing "docs/api.json has the sizes, places and numbers of tests/abi/layout.c" "$tmp/diff"

# The compiler's own reading of the header: every prototype, type, place and number is said once more beside it.
python3 docs/reference/api.py --check >"$tmp/check.c"
compiles() {
    check "docs/api.json beside the header, $1" $2 -ffreestanding -std=c11 -Wall -Wextra -Wno-unused-local-typedefs -Werror \
        -Iinclude -fsyntax-only "$tmp/check.c"
}
compiles "this machine" "$CC"
clang=$(first_of clang clang-19 clang-16 clang-14)
if has "$clang"; then
    for target in i386-linux-gnu wasm32-unknown-unknown aarch64-linux-gnu; do
        compiles "$target" "$clang --target=$target"
    done
else
    missing "docs/api.json for other machines: no clang here"
fi
header_functions >"$tmp/header"
python3 -c 'import json; print("\n".join(sorted(f["name"] for f in json.load(open("docs/api.json"))["functions"])))' |
    diff "$tmp/header" - >"$tmp/diff"
nothing "docs/api.json has the header's functions, and no other" "$tmp/diff"

# What bindings say, by name and number; first, that a wrong one is seen.
mkdir -p "$tmp/wrong"
cat >"$tmp/wrong/binding.rs" <<END
pub const SA_ERR_FULL: i32 = -12;
pub const SA_F16: i32 = 2;
extern "C" { fn sa_cache_fork_all(cache: *mut sa_cache) -> i32; }
END
python3 docs/reference/bindings.py "$tmp/wrong" | grep -v '^#' | sed 's/^[^:]*: //' >"$tmp/found"
printf '%s\n' "sa_cache_fork_all is not in the header" "SA_ERR_FULL is -11, not -12" | diff - "$tmp/found" >"$tmp/diff"
nothing "a name that is not in the header, and a wrong number, are seen" "$tmp/diff"
for language in cpp go java node python rust; do
    [ -d "examples/$language" ] || continue
    python3 docs/reference/bindings.py "examples/$language" >"$tmp/said" 2>&1
    grep -v '^#' "$tmp/said" >"$tmp/out"
    nothing "examples/$language says what the header says" "$tmp/out"
    sed -n 's/^# //p' "$tmp/said"
done

finish
