#!/bin/sh
# Measures what docs/performance.md shows: the part of `make bench` that its tables and pictures need, and
# `make bench-latency`, into bench.csv and latency.csv beside this script. About six minutes; let the machine
# do nothing else. RUN, if set, is put before each command.
# SPDX-License-Identifier: MIT
cd "$(dirname "$0")/../.." || exit 1
bench=${BUILD:-build}/bench
out=docs/plots/bench.csv
part=$(mktemp) || exit 1
trap 'rm -f "$part"' EXIT

# some TEXT...: the cases whose key has all the texts; the first call also writes the header.
some() {
    only=
    for text in "$@"; do only="$only --only $text"; done
    $RUN "$bench" $only --csv "$part" || exit 1
    if [ "$first" ]; then cat "$part"; else sed 1d "$part"; fi >>"$out.new"
    first=
}

first=1
: >"$out.new"
for window in 1024 4096 16384; do
    some decode ",32,32,128,$window,1," cold
    some decode f16,f16 ",64,8,128,$window,1," cold
    some decode f16,f16 ",71,1,128,$window,1," cold
done
some decode ,32,8,128, ,1,1,cold
some decode f16,f16,32,8,128, ,1,2,cold
for heads in 8,2 32,32 32,8 64,8 71,1; do some decode ",$heads,128,1024,1," hot; done
for dim in 64 128; do
    for window in 1024 4096; do
        some prefill f16,f16 ",32,8,$dim,$window,"
        some prefill f32,f32 ",32,8,$dim,$window,"
    done
done
some append
some decode ,1,1,64,64,1,1,hot
mv "$out.new" "$out"
$RUN "$bench" latency --csv docs/plots/latency.csv
