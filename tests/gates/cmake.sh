#!/bin/sh
# Gate: CMake builds the library optimised, installs it as make does, and it is found: find_package, subdirectory, fetch.
# SPDX-License-Identifier: MIT
. tests/gates/common.sh

has cmake || { missing "cmake: not here"; finish; }
top=$PWD
# Optimising takes long; these builds only have to work.
quick=-DCMAKE_C_FLAGS=-O0
jobs=$(nproc 2>/dev/null || echo 1)
# What the environment says is not what is tested.
unset CFLAGS LDFLAGS CMAKE_BUILD_TYPE

# quietly COMMAND...: keeps what it says for a failure.
quietly() {
    "$@" >>"$tmp/log" 2>&1
}

# consumer NAME FOLDER CMAKE-ARGUMENT...: configures, builds and runs a consumer.
consumer() {
    name=$1
    folder=$top/tests/install/$2
    shift 2
    build="$tmp/$name"
    : >"$tmp/log"
    if quietly cmake -S "$folder" -B "$build" "$@" && quietly cmake --build "$build" --parallel "$jobs" &&
        quietly "$build/consumer"; then
        ok "$name: $(tail -n 1 "$tmp/log")"
    else
        fail "$name"
        tail -n 20 "$tmp/log"
    fi
}

# Sources, build and prefix with spaces in their paths. The prefix is named at installation: sinkattn.pc must know it.
mkdir "$tmp/a copy" && cp -R CMakeLists.txt include lib pkgconfig "$tmp/a copy"
for shared in OFF ON; do
    : >"$tmp/log"
    prefix="$tmp/prefix $shared"
    build="$tmp/a build $shared"
    if quietly cmake -S "$tmp/a copy" -B "$build" -DBUILD_SHARED_LIBS=$shared $quick &&
        quietly cmake --build "$build" --parallel "$jobs" && quietly cmake --install "$build" --prefix "$prefix"; then
        ok "cmake installs, shared $shared, with spaces in the paths"
    else
        fail "cmake installs, shared $shared, with spaces in the paths"
        tail -n 20 "$tmp/log"
        continue
    fi
    consumer "find_package shared $shared" find_package "-DCMAKE_PREFIX_PATH=$prefix"

    folder=$(dirname "$(find "$prefix" -name 'libsinkattn.*' | head -n 1)")
    # make's, for a system where it makes a shared library, and for one where it does not.
    [ $shared = ON ] && elf=shared || elf=
    $MAKE -s BUILD="$tmp/make" OPENMP=0 SHARED_IF_ELF=$elf prefix="$prefix" libdir="$folder" "$tmp/make/sinkattn.pc" \
        "$tmp/make/sinkattn-config-version.cmake" >"$tmp/log" 2>&1
    diff "$tmp/make/sinkattn.pc" "$folder/pkgconfig/sinkattn.pc" >>"$tmp/log" 2>&1
    nothing "cmake's sinkattn.pc is make's, shared $shared" "$tmp/log"
    for file in sinkattn-config-version.cmake sinkattn-config.cmake; do
        [ -e "$tmp/make/$file" ] && made=$tmp/make/$file || made=pkgconfig/$file
        diff "$made" "$folder/cmake/sinkattn/$file" >"$tmp/log" 2>&1
        nothing "cmake's $file is make's, shared $shared" "$tmp/log"
    done
    # What a stranger writes: no --static, whichever library is there.
    if has pkg-config; then
        flags=$(PKG_CONFIG_LIBDIR=$folder/pkgconfig pkg-config --cflags --libs sinkattn)
        check "a program built by pkg-config after cmake, shared $shared" \
            eval "$CC tests/install/consumer.c $flags -o '$tmp/by_pc'"
        check "it runs" env LD_LIBRARY_PATH="$folder" "$tmp/by_pc"
    else
        missing "programs built by pkg-config: no pkg-config here"
    fi
done
if [ -d "$tmp/prefix ON" ]; then
    nm -D --defined-only "$(find "$tmp/prefix ON" -name libsinkattn.so)" |
        awk '$2 != "A" && $3 !~ /^sa_.*@@SINKATTN_/' >"$tmp/out"
    nothing "cmake's shared library exports the header's functions alone" "$tmp/out"
fi

# wants VERSION yes|no: whether the installed library stands in for that one.
wants() {
    cmake -S tests/install/find_package -B "$tmp/wants" -DCMAKE_PREFIX_PATH="$tmp/prefix OFF" -DVERSION="$1" >"$tmp/log" 2>&1 &&
        found=yes || found=no
    [ $found = "$2" ] && ok "find_package(sinkattn $1): $found" || fail "find_package(sinkattn $1): $found, not $2"
}
version=$(sed -n 's/^.define SA_VERSION_[MP][A-Z]* \([0-9]*\)$/\1/p' include/sinkattn.h | paste -s -d. -)
major=${version%%.*}
wants "$version" yes
wants "$major.0" yes
wants "$major.99" no
wants "$((major + 1))" no
wants "$major.0...$version" yes
wants "$major.0...<$version" no
wants "$major.98...$major.99" no
consumer "add_subdirectory" add_subdirectory "-DSINKATTN_SOURCE=$top" $quick
fetch="-DFETCHCONTENT_SOURCE_DIR_SINKATTN=$top -DFETCHCONTENT_FULLY_DISCONNECTED=ON"
consumer "FetchContent" fetch_content $fetch $quick

# level NAME EXPECTED FOLDER CMAKE-ARGUMENT...: the last -O in the commands that compile the library. (Configuring is
# enough to see them.)
level() {
    name="optimised as it should be: $1" expected=$2 folder=$3
    shift 3
    rm -rf "$tmp/level"
    cmake -S "$folder" -B "$tmp/level" -DCMAKE_EXPORT_COMPILE_COMMANDS=ON "$@" >"$tmp/log" 2>&1
    grep '"command":.*/lib/[a-z0-9_/]*\.c"' "$tmp/level/compile_commands.json" 2>/dev/null |
        sed -E 's/ -o .*//; s/.* (-O[0-9a-z]*)( .*|$)/\1/; /^-O/!s/.*/none/' | LC_ALL=C sort -u >"$tmp/levels"
    [ "$(cat "$tmp/levels")" = "$expected" ] && ok "$name, $expected" ||
        fail "$name: $(tr '\n' ' ' <"$tmp/levels"), not $expected"
}
subdirectory=tests/install/add_subdirectory
source=-DSINKATTN_SOURCE=$top
level "alone" -O3 .
level "add_subdirectory without a build type" -O3 $subdirectory $source
level "FetchContent without a build type" -O3 tests/install/fetch_content $fetch
level "the parent's own level" -O1 $subdirectory $source -DCMAKE_C_FLAGS=-O1
level "the parent's release" -O3 $subdirectory $source -DCMAKE_BUILD_TYPE=Release
level "the parent's debugging" none $subdirectory $source -DCMAKE_BUILD_TYPE=Debug
level "the parent's small release" -Os $subdirectory $source -DCMAKE_BUILD_TYPE=MinSizeRel
# The parent's own sources are none of the library's affair.
cmake -S $subdirectory -B "$tmp/level" $source -DCMAKE_BUILD_TYPE= -DCMAKE_EXPORT_COMPILE_COMMANDS=ON >"$tmp/log" 2>&1
grep '"command":.*consumer\.c"' "$tmp/level/compile_commands.json" | grep -e ' -O' >"$tmp/out"
nothing "the parent's own sources are compiled as it says" "$tmp/out"

finish
