#!/bin/sh
# Gate: a DESTDIR install is all a stranger's program needs: pkg-config gives the flags, uninstall takes it back.
# SPDX-License-Identifier: MIT
. tests/gates/common.sh

# Clean flags: this is a packager's build, not the caller's. Spaces and a quote in the paths must not matter.
dest="$tmp/dest of it's own"
house() {
    $MAKE -s CC="$CC" CFLAGS=-O1 CPPFLAGS= LDFLAGS= LDLIBS= OPENMP=0 BUILD="$tmp/build" DESTDIR="$dest" \
        prefix="$prefix" libdir="$prefix/lib64" "$@"
}
prefix="/opt/my sink"
check "make install into a DESTDIR and prefix with spaces" house install
version=$(sed -n 's/^.define SA_VERSION_[MP][A-Z]* \([0-9]*\)$/\1/p' include/sinkattn.h | paste -s -d. -)
(cd "$dest" && find . -type f -o -type l) | LC_ALL=C sort >"$tmp/found"
cat >"$tmp/expected" <<END
./opt/my sink/include/sinkattn.h
./opt/my sink/lib64/cmake/sinkattn/sinkattn-config-version.cmake
./opt/my sink/lib64/cmake/sinkattn/sinkattn-config.cmake
./opt/my sink/lib64/cmake/sinkattn/sinkattn-targets.cmake
./opt/my sink/lib64/libsinkattn.a
./opt/my sink/lib64/libsinkattn.so
./opt/my sink/lib64/libsinkattn.so.0
./opt/my sink/lib64/libsinkattn.so.$version
./opt/my sink/lib64/pkgconfig/sinkattn.pc
END
diff "$tmp/expected" "$tmp/found" >"$tmp/diff"
nothing "it installs these files and no other" "$tmp/diff"
grep -rl "$tmp" "$dest" >"$tmp/out"
nothing "no installed file knows where it was built" "$tmp/out"

# The shell must read pkg-config's quotes, hence eval.
if has pkg-config; then
    library="$dest$prefix/lib64"
    export PKG_CONFIG_SYSROOT_DIR="$dest" PKG_CONFIG_LIBDIR="$library/pkgconfig"
    pc_version=$(pkg-config --modversion sinkattn)
    [ "$pc_version" = "$version" ] && ok "pkg-config says $version" || fail "pkg-config says $pc_version"

    check "a program built by pkg-config, shared" \
        eval "$CC tests/install/consumer.c -std=c99 $(pkg-config --cflags --libs sinkattn) -o '$tmp/shared'"
    check "it runs" env LD_LIBRARY_PATH="$library" "$tmp/shared"
    if has ldd && has readelf; then
        readelf -d "$tmp/shared" | grep -q 'NEEDED.*libsinkattn\.so\.0' && ok "it asks for libsinkattn.so.0" ||
            fail "it does not ask for libsinkattn.so.0"
        ldd "$library/libsinkattn.so" | awk '{ print $1 }' |
            grep -vE '^(linux-vdso\.so|linux-gate\.so|libc\.so|libm\.so|/.*/ld-linux|statically)' >"$tmp/out"
        nothing "ldd shows libc and libm alone" "$tmp/out"
    else
        missing "what the shared library needs: no ldd, readelf here"
    fi
    check "a program built by pkg-config --static" eval "$CC tests/install/consumer.c -std=c99 -static \
        $(pkg-config --static --cflags --libs sinkattn) -o '$tmp/static'"
    check "it runs, needing nothing" "$tmp/static"
else
    missing "programs built by pkg-config: no pkg-config here"
fi

# CMake, from the same files, and moved to another place than they were made for.
if has cmake; then
    for library in "" static shared; do
        rm -rf "$tmp/found_by_cmake"
        check "a program built by find_package(sinkattn${library:+ COMPONENTS $library})" \
            cmake -S tests/install/find_package -B "$tmp/found_by_cmake" \
            "-Dsinkattn_DIR=$dest$prefix/lib64/cmake/sinkattn" "-DCOMPONENT=$library"
        check "it builds" cmake --build "$tmp/found_by_cmake"
        check "it runs" "$tmp/found_by_cmake/consumer"
        [ "${library:-shared}" = shared ] && expected=1 || expected=0
        [ "$(readelf -d "$tmp/found_by_cmake/consumer" | grep -c 'NEEDED.*libsinkattn')" = $expected ] &&
            ok "it has the library that it asked for" || fail "it has not the ${library:-shared} library"
    done
    cmake -S tests/install/find_package -B "$tmp/found_by_cmake" -DCOMPONENT=other >"$tmp/log" 2>&1
    grep -q 'not to be had here as: other' "$tmp/log" && ok "what is not there is named" || fail "no word on what is missing"
else
    missing "programs built by find_package: no cmake here"
fi

check "make uninstall" house uninstall
find "$tmp" -path "$dest*" >"$tmp/out"
nothing "uninstall leaves nothing, not even the directories that install has made" "$tmp/out"

# Directories that were there before, or that somebody else has put something into, are not ours to remove.
mkdir -p "$dest/opt"
check "make install into a directory that is there" house install
echo theirs >"$dest$prefix/lib64/theirs"
check "make uninstall beside others" house uninstall
find "$dest" | sed "s|^$tmp/||" | LC_ALL=C sort >"$tmp/found"
cat >"$tmp/expected" <<END
dest of it's own
dest of it's own/opt
dest of it's own/opt/my sink
dest of it's own/opt/my sink/lib64
dest of it's own/opt/my sink/lib64/theirs
END
diff "$tmp/expected" "$tmp/found" >"$tmp/diff"
nothing "it leaves what is not ours" "$tmp/diff"
rm -r "$dest$prefix"
check "make install again, where only some directories are ours" house install
check "make uninstall again" house uninstall
find "$dest" | sed "s|^$tmp/||" | LC_ALL=C sort >"$tmp/found"
head -n 2 "$tmp/expected" | diff - "$tmp/found" >"$tmp/diff"
nothing "a directory that was there before stays, though it is empty" "$tmp/diff"

finish
