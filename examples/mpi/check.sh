#!/bin/sh
# Host: one cache over several processes, by Open MPI. The digests of 1, 2, 3 and 4 ranks must be equal.
# SPDX-License-Identifier: MIT
. tests/gates/common.sh

for tool in mpicc mpirun; do
    has $tool || { missing "no $tool here (Debian: apt-get install openmpi-bin libopenmpi-dev)"; finish; }
done

mkdir -p "$BUILD"
$MAKE -s static >"$tmp/make.log" 2>&1 || { fail "the library: $(tail -n 3 "$tmp/make.log")"; finish; }
check "builds without a warning" mpicc -std=c99 -O2 -Wall -Wextra -Werror -Iinclude -o "$BUILD/mpi" \
    examples/mpi/*.c "$BUILD/libsinkattn.a" -lm
[ -x "$BUILD/mpi" ] || finish

# All ranks on this machine, more than it has cores, over shared memory; Open MPI refuses root unless told twice.
export OMPI_MCA_btl=self,vader OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_rmaps_base_oversubscribe=1
[ "$(id -u)" -ne 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

for n in 1 2 3 4; do
    mpirun -n $n "$BUILD/mpi" >"$tmp/$n" 2>"$tmp/$n.err" || fail "$n ranks: $(tail -n 3 "$tmp/$n.err")"
    grep digest "$tmp/$n" >"$tmp/$n.digests"
    grep -q "4 of 4 as if they had never moved" "$tmp/$n" && ok "$n ranks: sessions go on as if they had never moved" ||
        fail "$n ranks: $(grep '^sessions' "$tmp/$n")"
done
[ "$(wc -l <"$tmp/1.digests")" -eq 6 ] && ok "keys, heads and 4 sessions have digests" || fail "$(cat "$tmp/1.digests")"
for n in 2 3 4; do
    diff "$tmp/1.digests" "$tmp/$n.digests" >"$tmp/diff"
    nothing "$n ranks give the bits of 1" "$tmp/diff"
done

# Both other ways to add up are equal within rounding: results are at most 1, in f32.
for what in MPI_Reduce "one cache of all keys"; do
    worst=$(sed -n "s/.*$what differs by \([^ ]*\) at most/\1/p" "$tmp"/[1-4] | sort -g | tail -n 1)
    awk "BEGIN { exit !(\"$worst\" != \"\" && $worst + 0 < 1e-6) }" && ok "$what differs by $worst at most" ||
        fail "$what differs by '$worst'"
done
grep -h "keys," "$tmp"/[1-4]

# What ends a run ends all of its ranks.
mpirun -n 2 "$BUILD/mpi" 0 >"$tmp/refused" 2>&1 && fail "no tokens a piece are accepted" ||
    ok "a run that cannot be ends with an error"
finish
