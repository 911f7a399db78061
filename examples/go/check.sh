#!/bin/sh
# Checks the Go module: formatting, vet, tests, races, and that the job gives the digest of the C program.
# SPDX-License-Identifier: MIT
#
#   sh examples/go/check.sh         from the top of the repository; needs go 1.21 and a C compiler
. tests/gates/common.sh

here=examples/go
has go || {
    echo "skipped: no go here"
    missing "Go: no go here"
    finish
}

case $(go version) in
*" go1.1"[0-9]* | *" go1.20"* | *" go1."[0-9]" "* | *" go1."[0-9].*)
    skip "Go: $(go version | cut -d' ' -f3) is too old: runtime.Pinner came with 1.21"
    finish
    ;;
esac

# go does not look at files outside the module: this makes it build anew when the library has changed.
CGO_CPPFLAGS=-DSINKATTN_SOURCES=$(cat include/*.h lib/*.[ch] lib/kernels/* | cksum | cut -d' ' -f1)
export CGO_CPPFLAGS

out=$BUILD/examples/go
mkdir -p "$out/cache"
out=$(cd "$out" && pwd)
GOCACHE=$out/cache
GOFLAGS=-buildvcs=false
CGO_ENABLED=1
export GOCACHE GOFLAGS CGO_ENABLED

# in_module COMMAND...
in_module() {
    (cd "$here" && "$@")
}

# tests NAME FLAGS...: go test, and how many
tests() {
    name=$1
    shift
    if in_module go test -count=1 -v "$@" >"$tmp/log" 2>&1; then
        ok "$name: $(grep -c '^--- PASS' "$tmp/log") tests"
    else
        fail "$name"
        grep -v '^=== RUN\|^--- PASS' "$tmp/log" | tail -n 60
    fi
}

check "the C program" $MAKE -s BUILD="$BUILD" "$BUILD/libsinkattn.a" "$BUILD/examples/job"
check "the job compiles" in_module go build -o "$out/job" ./cmd/job
"$out/job" >"$tmp/got" 2>&1
same_job

in_module gofmt -l . >"$tmp/unformatted"
nothing "gofmt" "$tmp/unformatted"
check "go vet" in_module go vet ./...
tests "tests" ./...
# The installed library, as it would be found by pkg-config, and go's detector of races.
printf '#!/bin/sh\ncase "$*" in *--cflags*) echo "-I%s";; *) echo "%s -lm";; esac\n' "$(pwd)/include" \
    "$(cd "$BUILD" && pwd)/libsinkattn.a" >"$tmp/pkg-config"
chmod +x "$tmp/pkg-config"
PKG_CONFIG=$tmp/pkg-config
export PKG_CONFIG
tests "tests, with an installed library" -tags sinkattn_system .
case $(uname -sm) in
"Linux x86_64" | "Linux aarch64") tests "tests, races looked for" -race -tags sinkattn_system . ;;
*) skip "races: go's detector is for other systems" ;;
esac

finish
