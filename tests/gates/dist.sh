#!/bin/sh
# Gate: a release's archives have the same bytes wherever they are made, and a stranger can use what is in them.
# SPDX-License-Identifier: MIT
. tests/gates/common.sh

version=$(sed -n 's/^.define SA_VERSION_[MP][A-Z]* \([0-9]*\)$/\1/p' include/sinkattn.h | paste -s -d. -)
name=sinkattn-$version
unset SOURCE_DATE_EPOCH

check "make dist" $MAKE -s BUILD="$tmp/one" dist
[ -f "$tmp/one/dist/$name.tar.gz" ] || finish
cat "$tmp/one/dist/SHA256SUMS" "$tmp/one/dist/SHA512SUMS" >"$tmp/sums"
# same NAME FOLDER: the same two archives.
same() {
    cat "$2/SHA256SUMS" "$2/SHA512SUMS" | diff "$tmp/sums" - >"$tmp/diff" 2>&1
    nothing "$1" "$tmp/diff"
}

sleep 1
(umask 077 && sh pkgconfig/dist.sh "$tmp/two") >"$tmp/log" 2>&1
same "the same bytes a second later, by somebody with another umask" "$tmp/two"
tar -C "$tmp" -xzf "$tmp/one/dist/$name.tar.gz"
(cd "$tmp/$name" && unset BUILD && sh pkgconfig/dist.sh "$tmp/three") >"$tmp/log" 2>&1
same "an unpacked archive gives itself again" "$tmp/three"
SOURCE_DATE_EPOCH=1000000000 sh pkgconfig/dist.sh "$tmp/four" >"$tmp/log" 2>&1
tar -tvzf "$tmp/four/$name.tar.gz" | grep -v ' 2001-09-0[89] ' >"$tmp/out"
nothing "SOURCE_DATE_EPOCH is the date of every file" "$tmp/out"
tar -tvzf "$tmp/one/dist/$name.tar.gz" | grep -vE '^([-d]rwxr-xr-x|-rw-r--r--) 0/0 ' >"$tmp/out"
nothing "files belong to nobody, and all may read them" "$tmp/out"

# checked FOLDER: its own list of checksums holds, and names every file.
checked() {
    (cd "$1" && { sha256sum -c --quiet SHA256SUMS || shasum -a 256 -c SHA256SUMS; }) >"$tmp/log" 2>&1 &&
        [ "$(find "$1" -type f ! -name SHA256SUMS | grep -c .)" = "$(grep -c . "$1/SHA256SUMS")" ]
}
tar -C "$tmp" -xzf "$tmp/one/dist/$name-two-files.tar.gz"
for folder in "$name" "$name-two-files"; do
    check "SHA256SUMS of $folder" checked "$tmp/$folder"
    grep -q 'Permission is hereby granted' "$tmp/$folder/LICENSE" && ok "$folder has its licence" || fail "$folder: no licence"
done
(cd "$tmp/one/dist" && find . -type f | sed 's|^\./||' | LC_ALL=C sort) >"$tmp/found"
cat >"$tmp/expected" <<END
SHA256SUMS
SHA512SUMS
$name-two-files.tar.gz
$name.tar.gz
conan/test_package/consumer.c
END
(cd pkgconfig && find conan vcpkg -type f) | sed 's/\.in$//' >>"$tmp/expected"
LC_ALL=C sort "$tmp/expected" | diff - "$tmp/found" >"$tmp/diff"
nothing "make dist leaves the archives, their checksums and the recipes" "$tmp/diff"

two=$tmp/$name-two-files
check "a stranger's program with the two files" \
    $CC -O1 -I"$two" tests/install/consumer.c "$two/sinkattn.c" -lm $LDFLAGS -o "$tmp/consumer"
check "it runs" "$tmp/consumer"
check "the other archive has the same two files" diff -r -x LICENSE -x SHA256SUMS "$two" "$tmp/$name/amalgamation"

finish
