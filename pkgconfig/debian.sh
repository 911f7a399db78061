#!/bin/sh
# Builds the Debian packages from a release's archive, which `make dist` has made, in the folder named.
# SPDX-License-Identifier: MIT
#
#   make dist && sh pkgconfig/debian.sh build/debian
#
# Behind the folder stand dpkg-buildpackage's own arguments. Debian's tools want a folder called debian in the sources: it
# is put there in a copy.
folder=${1:?usage: sh pkgconfig/debian.sh FOLDER [DPKG-BUILDPACKAGE-ARGUMENT...]}
shift
dist=${DIST:-${BUILD:-build}/dist}
version=$(sed -n 's/^.define SA_VERSION_[MP][A-Z]* \([0-9]*\)$/\1/p' include/sinkattn.h | paste -s -d. -)
archive=$dist/sinkattn-$version.tar.gz
[ -f "$archive" ] || { echo "no $archive: please run make dist first" >&2; exit 1; }

rm -rf "$folder" && mkdir -p "$folder" || exit 1
cp "$archive" "$folder/sinkattn_$version.orig.tar.gz"
cp -R pkgconfig/debian "$folder/debian"
cd "$folder" && tar -xzf "sinkattn_$version.orig.tar.gz" && mv debian "sinkattn-$version/debian" || exit 1
cd "sinkattn-$version" || exit 1
date=$(date -u -R -d "@$(date -r SHA256SUMS +%s)")
sed -e "s|@version@|$version|" -e "s|@date@|$date|" debian/changelog.in >debian/changelog && rm debian/changelog.in
# Nothing of this build is the package's: it begins afresh.
exec env -u MAKEFLAGS -u BUILD -u CC -u CXX -u CFLAGS -u CPPFLAGS -u LDFLAGS -u LDLIBS -u OPENMP -u VERSION \
    dpkg-buildpackage -us -uc "$@"
