#!/bin/sh
# Gate: the recipes for Conan, vcpkg and Debian build packages from a release's archive, and a stranger's program with each.
# SPDX-License-Identifier: MIT
. tests/gates/common.sh

version=$(sed -n 's/^.define SA_VERSION_[MP][A-Z]* \([0-9]*\)$/\1/p' include/sinkattn.h | paste -s -d. -)
check "make dist" sh pkgconfig/dist.sh "$tmp/dist"
[ -f "$tmp/dist/SHA256SUMS" ] || finish
grep -rl '@[a-z0-9]*@' "$tmp/dist/conan" "$tmp/dist/vcpkg" >"$tmp/out"
nothing "the recipes are filled in" "$tmp/out"
# Optimising takes long, and so do all instruction sets and dtypes; these builds only have to work. What the environment
# says is not what is tested, and Conan finds no compiler where CC is cc.
few="SA_NO_AVX512 SA_NO_INTEGERS SA_NO_F16 SA_NO_BF16"
few_flags=$(printf -- '-D%s ' $few)
unset CC CXX CFLAGS CPPFLAGS LDFLAGS CMAKE_BUILD_TYPE
jobs=$(nproc 2>/dev/null || echo 1)

# --- Conan: its own folder for everything, and no server ---

if has conan; then
    export CONAN_HOME="$tmp/conan"
    conan profile detect >"$tmp/log" 2>&1 && conan remote disable '*' >>"$tmp/log" 2>&1
    for shared in False True; do
        check "conan create, shared $shared: it builds, and a program with it runs" \
            conan create "$tmp/dist/conan" --build=missing -s build_type=Debug -o "sinkattn/*:shared=$shared" \
            -c "tools.build:defines=['$(echo $few | sed "s/ /','/g")']"
    done
    conan list "sinkattn/*" 2>/dev/null | grep -q "sinkattn/$version" && ok "its version is $version" ||
        fail "conan knows no sinkattn $version"
    folder=$(find "$tmp/conan/p" -path '*/p/licenses/LICENSE' | head -n 1)
    [ -n "$folder" ] && ok "the licence is in the package" || fail "no licence in the package"
else
    missing "the Conan recipe: no conan here (pip install conan)"
fi

# --- vcpkg: by itself where it is; otherwise what its functions do, as far as the port uses them ---

python3 - "$tmp/dist/vcpkg" "$version" >"$tmp/out" 2>&1 <<'END'
import json, re, sys
port, version = sys.argv[1:]
manifest = json.load(open(port + "/vcpkg.json"))
portfile = open(port + "/portfile.cmake").read()
known = {"name", "version-semver", "description", "license", "dependencies", "features"}
if set(manifest) - known: print("unknown in vcpkg.json:", set(manifest) - known)
if manifest["name"] != "sinkattn" or manifest["version-semver"] != version: print("name or version in vcpkg.json")
called = set(re.findall(r"^(vcpkg_\w+)", portfile, re.M))
if "vcpkg_cmake_configure" in called and not any(d["name"] == "vcpkg-cmake" and d["host"] for d in manifest["dependencies"]):
    print("vcpkg-cmake is used and not named")
for feature in re.findall(r"FEATURES (.*)\)", portfile)[0].split()[::2]:
    if feature not in manifest["features"]: print("a feature that vcpkg.json does not have:", feature)
END
nothing "vcpkg.json and the portfile agree" "$tmp/out"
if has vcpkg; then
    check "vcpkg install" vcpkg install sinkattn --overlay-ports="$tmp/dist/vcpkg" --x-install-root="$tmp/vcpkg"
    installed=$(find "$tmp/vcpkg" -path '*/share/sinkattn' | head -n 1)
else
    skip "vcpkg itself is not here: its port is run by stand-ins"
    check "the port, by stand-ins" cmake -DFOLDER="$tmp/dist/vcpkg" -DWORK="$tmp/vcpkg" -DVERSION="$version" -DJOBS="$jobs" \
        "-DFLAGS=-O0 $few_flags" -P tests/install/vcpkg.cmake
    installed=$tmp/vcpkg/packages/share/sinkattn
fi
for file in copyright usage sinkattn-config.cmake sinkattn-targets.cmake; do
    [ -f "$installed/$file" ] || echo "$file"
done >"$tmp/out"
nothing "the port has its licence, its usage and what find_package reads" "$tmp/out"

# --- Debian ---

if [ "$(. /etc/os-release 2>/dev/null && echo "$ID")" != debian ]; then
    skip "Debian packages: this system is another"
elif has dpkg-buildpackage && has dh; then
    check "dpkg-buildpackage" env DIST="$tmp/dist" DEB_BUILD_OPTIONS="nocheck noopt parallel=$jobs" \
        DEB_CPPFLAGS_APPEND="$few_flags" sh pkgconfig/debian.sh "$tmp/debian"
    for package in libsinkattn0 libsinkattn-dev; do
        dpkg-deb -x "$tmp/debian/${package}_$version-1"_*.deb "$tmp/system" 2>"$tmp/log"
    done
    (cd "$tmp/system" && find usr/lib usr/include -type f -o -type l) | sed 's|/[a-z0-9_]*-linux-gnu[a-z0-9]*/|/HERE/|' |
        LC_ALL=C sort >"$tmp/found"
    cat >"$tmp/expected" <<END
usr/include/sinkattn.h
usr/lib/HERE/cmake/sinkattn/sinkattn-config-version.cmake
usr/lib/HERE/cmake/sinkattn/sinkattn-config.cmake
usr/lib/HERE/cmake/sinkattn/sinkattn-targets.cmake
usr/lib/HERE/libsinkattn.a
usr/lib/HERE/libsinkattn.so
usr/lib/HERE/libsinkattn.so.0
usr/lib/HERE/libsinkattn.so.$version
usr/lib/HERE/pkgconfig/sinkattn.pc
END
    diff "$tmp/expected" "$tmp/found" >"$tmp/diff"
    nothing "the packages have these files and no other" "$tmp/diff"
    [ "$(find "$tmp/system" -name 'sa_*.3.gz' | grep -c .)" -ge 49 ] && ok "and the manual pages" || fail "no manual pages"
    # What an installed package would give: the places are those of the unpacked one.
    folder=$(dirname "$(find "$tmp/system" -name sinkattn.pc)")
    flags=$(PKG_CONFIG_SYSROOT_DIR=$tmp/system PKG_CONFIG_LIBDIR=$folder pkg-config --cflags --libs sinkattn)
    check "a program with them" eval "cc tests/install/consumer.c $flags -I'$tmp/system/usr/include' \
        -L'${folder%/pkgconfig}' -o '$tmp/consumer'"
    check "it runs" env LD_LIBRARY_PATH="${folder%/pkgconfig}" "$tmp/consumer"
    if has lintian; then
        # (No bug of a tracker asks for this package.)
        lintian --no-tag-display-limit --fail-on none --suppress-tags initial-upload-closes-no-bugs "$tmp"/debian/*.changes 2>"$tmp/log" |
            grep '^[EW]:' >"$tmp/out"
        nothing "lintian has no error and no warning" "$tmp/out"
    else
        missing "Debian packages read by lintian: not here"
    fi
else
    missing "Debian packages: no dpkg-buildpackage and dh here (dpkg-dev, debhelper)"
fi

finish
