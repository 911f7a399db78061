#!/bin/sh
# Gate: CMake builds, installs and is found: find_package (static and shared) and add_subdirectory.
# SPDX-License-Identifier: MIT
. tests/gates/common.sh

has cmake || { skip "cmake: not here"; finish; }
top=$PWD

# quietly COMMAND...: keeps what it says for a failure.
quietly() {
    "$@" >>"$tmp/log" 2>&1
}

# consumer NAME FOLDER CMAKE-ARGUMENT...: configures, builds and runs a consumer.
consumer() {
    name=$1
    folder=$top/tests/install/$2
    shift 2
    build=$tmp/$(echo "$name" | tr ' ' '_')
    : >"$tmp/log"
    if quietly cmake -S "$folder" -B "$build" "$@" && quietly cmake --build "$build" &&
        quietly "$build/consumer"; then
        ok "$name: $(tail -n 1 "$tmp/log")"
    else
        fail "$name"
        tail -n 20 "$tmp/log"
    fi
}

for shared in OFF ON; do
    : >"$tmp/log"
    prefix=$tmp/prefix$shared
    if quietly cmake -S . -B "$tmp/build$shared" -DBUILD_SHARED_LIBS=$shared -DCMAKE_INSTALL_PREFIX="$prefix" &&
        quietly cmake --build "$tmp/build$shared" && quietly cmake --install "$tmp/build$shared"; then
        ok "cmake installs, shared $shared"
        consumer "find_package shared $shared" find_package "-DCMAKE_PREFIX_PATH=$prefix"
    else
        fail "cmake installs, shared $shared"
        tail -n 20 "$tmp/log"
    fi
done
if [ -d "$tmp/prefixON" ]; then
    nm -D --defined-only "$(find "$tmp/prefixON" -name libsinkattn.so)" |
        awk '$2 != "A" && $3 !~ /^sa_.*@@SINKATTN_/' >"$tmp/out"
    nothing "cmake's shared library exports the header's functions alone" "$tmp/out"
fi
consumer "add_subdirectory" add_subdirectory "-DSINKATTN_SOURCE=$top"

finish
