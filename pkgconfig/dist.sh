#!/bin/sh
# Writes a release into the folder named: two archives, their checksums, and recipes that build from them.
# SPDX-License-Identifier: MIT
#
#   sinkattn-VERSION.tar.gz              all sources and, in amalgamation/, the library as two files
#   sinkattn-VERSION-two-files.tar.gz    sinkattn.c, sinkattn.h and the licence alone
#   SHA256SUMS, SHA512SUMS               of the two
#   vcpkg/, conan/                       recipes that know the first archive's URL and checksums
#
# The same sources give the same bytes (with the same gzip): files are sorted, belong to nobody, and have the date of the
# last commit, or $SOURCE_DATE_EPOCH. An unpacked archive gives itself again.
out=${1:?usage: sh pkgconfig/dist.sh FOLDER [URL]}
url=$2
version=$(sed -n 's/^.define SA_VERSION_[MP][A-Z]* \([0-9]*\)$/\1/p' include/sinkattn.h | paste -s -d. -)
name=sinkattn-$version

stop() {
    echo "$*" >&2
    exit 1
}
tar=tar
$tar --version 2>/dev/null | grep -q GNU || tar=gtar
$tar --version 2>/dev/null | grep -q GNU || stop "an archive of always the same bytes needs GNU tar"

# sums BITS: the tool, which has two names.
sums() {
    if command -v "sha$1sum" >/dev/null 2>&1; then echo "sha$1sum"; else echo "shasum -a $1"; fi
}

# An unpacked archive has no history; its list of checksums names its files, and has its date.
files() {
    git ls-files 2>/dev/null | grep . || sed -n 's/^[0-9a-f]*  //p' SHA256SUMS | grep -v '^amalgamation/'
}
files >/dev/null 2>&1 || stop "neither git nor SHA256SUMS knows which files are the library's"
date=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct -- . 2>/dev/null)}
[ -n "$date" ] || date=$(date -r SHA256SUMS +%s) || exit 1

rm -rf "$out" && mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd) || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# pack NAME: the folder $work/NAME as an archive, with the checksums of what is in it.
pack() {
    (cd "$work/$1" && find . -type f ! -name SHA256SUMS | sed 's|^\./||' | LC_ALL=C sort | tr '\n' '\0' |
        xargs -0 $(sums 256) >SHA256SUMS) || exit 1
    $tar -C "$work" --sort=name --format=ustar --mtime="@$date" --owner=0 --group=0 --numeric-owner \
        --mode='u+rw,go=rX' -cf "$work/$1.tar" "$1" || exit 1
    gzip -9n <"$work/$1.tar" >"$out/$1.tar.gz" || exit 1
}

mkdir "$work/$name" "$work/$name-two-files"
files | $tar -cf - -T - | $tar -C "$work/$name" -xf - || exit 1
sh lib/amalgamate.sh "$work/$name/amalgamation" || exit 1
cp LICENSE "$work/$name/amalgamation/sinkattn.c" "$work/$name/amalgamation/sinkattn.h" "$work/$name-two-files"
pack "$name"
pack "$name-two-files"
for bits in 256 512; do
    (cd "$out" && $(sums $bits) "$name.tar.gz" "$name-two-files.tar.gz" >SHA${bits}SUMS) || exit 1
done

# Recipes with what only a release knows. Without a URL they take the archive from where it lies.
sha() {
    sed -n "s/  $name\.tar\.gz\$//p" "$out/SHA$1SUMS"
}
for recipe in vcpkg conan; do
    (cd pkgconfig && find $recipe -type f) | while read -r file; do
        mkdir -p "$out/$(dirname "$file")"
        sed -e "s|@version@|$version|g" -e "s|@url@|${url:-file://$out/$name.tar.gz}|g" \
            -e "s|@sha256@|$(sha 256)|g" -e "s|@sha512@|$(sha 512)|g" "pkgconfig/$file" >"$out/${file%.in}"
    done
done
cp tests/install/consumer.c "$out/conan/test_package"
