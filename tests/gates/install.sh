#!/bin/sh
# Gate: a DESTDIR install is all a stranger's program needs: pkg-config gives the flags, uninstall takes it back.
# SPDX-License-Identifier: MIT
. tests/gates/common.sh

# Clean flags: this is a packager's build, not the caller's.
dest=$tmp/dest
house() {
    $MAKE -s CC="$CC" CFLAGS=-O1 CPPFLAGS= LDFLAGS= LDLIBS= OPENMP=0 BUILD="$tmp/build" DESTDIR="$dest" \
        prefix=/opt/sink libdir=/opt/sink/lib64 "$@"
}
check "make install into DESTDIR" house install
(cd "$dest" && find . -type f -o -type l) | LC_ALL=C sort >"$tmp/found"
version=$(sed -n 's/^.define SA_VERSION_[MP][A-Z]* \([0-9]*\)$/\1/p' include/sinkattn.h | paste -s -d. -)
cat >"$tmp/expected" <<END
./opt/sink/include/sinkattn.h
./opt/sink/lib64/libsinkattn.a
./opt/sink/lib64/libsinkattn.so
./opt/sink/lib64/libsinkattn.so.0
./opt/sink/lib64/libsinkattn.so.$version
./opt/sink/lib64/pkgconfig/sinkattn.pc
END
diff "$tmp/expected" "$tmp/found" >"$tmp/diff"
nothing "it installs these files and no other" "$tmp/diff"
grep -rl "$tmp" "$dest" >"$tmp/out"
nothing "no installed file knows where it was built" "$tmp/out"

if has pkg-config; then
    export PKG_CONFIG_SYSROOT_DIR="$dest" PKG_CONFIG_LIBDIR="$dest/opt/sink/lib64/pkgconfig"
    pc_version=$(pkg-config --modversion sinkattn)
    [ "$pc_version" = "$version" ] && ok "pkg-config says $version" || fail "pkg-config says $pc_version"

    check "a program built by pkg-config, shared" \
        $CC tests/install/consumer.c -std=c99 $(pkg-config --cflags --libs sinkattn) -o "$tmp/shared"
    check "it runs" env LD_LIBRARY_PATH="$dest/opt/sink/lib64" "$tmp/shared"
    if has ldd && has readelf; then
        readelf -d "$tmp/shared" | grep -q 'NEEDED.*libsinkattn\.so\.0' && ok "it asks for libsinkattn.so.0" ||
            fail "it does not ask for libsinkattn.so.0"
        ldd "$dest/opt/sink/lib64/libsinkattn.so" | awk '{ print $1 }' |
            grep -vE '^(linux-vdso\.so|linux-gate\.so|libc\.so|libm\.so|/.*/ld-linux|statically)' >"$tmp/out"
        nothing "ldd shows libc and libm alone" "$tmp/out"
    else
        skip "ldd: not here"
    fi
    check "a program built by pkg-config --static" $CC tests/install/consumer.c -std=c99 -static \
        $(pkg-config --static --cflags --libs sinkattn) -o "$tmp/static"
    check "it runs, needing nothing" "$tmp/static"
else
    skip "programs built by pkg-config: no pkg-config here"
fi

check "make uninstall" house uninstall
find "$dest" -type f -o -type l >"$tmp/out"
nothing "uninstall leaves nothing" "$tmp/out"

finish
