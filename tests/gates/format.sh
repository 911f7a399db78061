#!/bin/sh
# Gate: the C sources are as clang-format 14 leaves them (`make format` applies it).
# SPDX-License-Identifier: MIT
. tests/gates/common.sh

# Other versions break lines elsewhere; one version is the judge.
for tool in clang-format-14 clang-format; do
    has $tool && $tool --version | grep -q 'version 14\.' && break
    tool=
done
[ -n "$tool" ] || { missing "format: no clang-format 14 here"; finish; }

find include lib tests examples -name '*.[ch]' | LC_ALL=C sort >"$tmp/files"
while read -r f; do
    $tool "$f" | cmp -s - "$f" || echo "$f"
done <"$tmp/files" >"$tmp/out"
nothing "$(wc -l <"$tmp/files") files formatted" "$tmp/out"

finish
