#!/bin/sh
# Gate: the gates can fail. Faults are planted in a copy of the repository, and the gate that guards against each must see it.
# SPDX-License-Identifier: MIT
. tests/gates/common.sh

# The copy is built quickly; what stands in the caller's flags is not what is tested. (Without any optimisation the
# compiler calls floor, ceil and copysign, which tests/abi/undefined.txt does not have.)
copy=$tmp/copy
mkdir "$copy"
cp -R Makefile CMakeLists.txt include lib tests examples docs pkgconfig README.md "$copy"
jobs=$(nproc 2>/dev/null || echo 1)
export CFLAGS=-O1 CPPFLAGS= LDFLAGS= LDLIBS= OPENMP=0 BUILD=build

# gate NAME: what a gate says about the copy is in $tmp/said, and its status is the gate's.
gate() {
    case $1 in
    # What does not build is no red gate.
    symbols) $MAKE -C "$copy" -s -j"$jobs" all >"$tmp/said" 2>&1 || return 0 ;;
    examples) $MAKE -C "$copy" -s -j"$jobs" examples >"$tmp/said" 2>&1 || return 0 ;;
    snapshot) $MAKE -C "$copy" -s -j"$jobs" static >"$tmp/said" 2>&1 || return 0 ;;
    esac
    (cd "$copy" && sh "tests/gates/$1.sh") >"$tmp/said" 2>&1
}

# plant FILE PATTERN REPLACEMENT: sed's, in the copy; the original is kept beside.
plant() {
    [ -e "$copy/$1.sound" ] || cp "$copy/$1" "$copy/$1.sound"
    sed "s/$2/$3/" "$copy/$1" >"$tmp/planted"
    if cmp -s "$tmp/planted" "$copy/$1"; then
        fail "nothing to plant in $1: $2"
    fi
    cat "$tmp/planted" >"$copy/$1"
}

# append FILE LINE
append() {
    [ -e "$copy/$1.sound" ] || cp "$copy/$1" "$copy/$1.sound"
    echo "$2" >>"$copy/$1"
}

# red GATE MESSAGE FAULT: the gate must fail and name what it has found; then everything is sound again.
red() {
    if gate "$1"; then
        fail "$1 does not see: $3"
        tail -n 5 "$tmp/said"
    elif grep '^FAIL\|error' "$tmp/said" | grep -q -e "$2"; then
        ok "$1 sees: $3"
    else
        fail "$1 fails, but not because of: $3"
        head -n 20 "$tmp/said"
    fi
    find "$copy" -name '*.sound' | while read -r f; do
        cat "$f" >"${f%.sound}"
        rm "$f"
    done
}

# green GATE: with no fault planted it passes. True if so; a gate that could not run proves nothing.
green() {
    if gate "$1" && ! grep -q '^0 passed' "$tmp/said"; then
        ok "$1 passes where nothing is wrong"
    else
        missing "$1 cannot pass here: $(grep '^FAIL\|^skip' "$tmp/said" | head -n 3 | tr '\n' ' ')"
        return 1
    fi
}

header=include/sinkattn.h
if green layout; then
    plant $header 'SA_ERR_FULL = -11' 'SA_ERR_FULL = -13'
    red layout 'SA_ERR_FULL' "SA_ERR_FULL is -13"
    plant $header 'SA_ISA_AVX2 = 3' 'SA_ISA_AVX2 = 14'
    red layout 'SA_ISA_AVX2' "SA_ISA_AVX2 is 14"
    plant $header 'SA_CONFIG_COOPERATIVE = 2' 'SA_CONFIG_COOPERATIVE = 4'
    red layout 'SA_CONFIG_COOPERATIVE' "SA_CONFIG_COOPERATIVE is 4"
    plant $header 'SA_ISA_AUTO = 0,' 'SA_ISA_AUTO = 0, SA_ISA_NEW = 99,'
    red layout 'constants of the header' "a constant that the table does not name"
    plant $header 'int32_t n_heads;' 'int32_t n_swap;'
    plant $header 'int32_t n_kv_heads; \(.*divides\)' 'int32_t n_heads; \1'
    plant $header 'int32_t n_swap;' 'int32_t n_kv_heads;'
    red layout 'n_heads' "two fields of sa_config are swapped"
    plant docs/abi.md '^| `sa_cache_facts` | [0-9]*' '| `sa_cache_facts` | 72'
    red layout 'docs.abi.md' "a size in docs/abi.md that is not so"
fi

if green api; then
    plant $header 'SA_API sa_status sa_cache_unpin(sa_cache \*cache, int32_t layer' '&, int32_t how'
    red api 'docs.api.json' "a parameter that docs/api.json does not have"
    plant docs/api.json '"offset": {"64": 12' '"offset": {"64": 20'
    red api 'layout.c' "a place in docs/api.json that is not so"
    plant docs/api.json '{"name": "k", "type": "const void \*"}' '{"name": "k", "type": "void *"}'
    red api 'beside the header' "a type in docs/api.json that is not so"
fi

if green symbols; then
    plant lib/sinkattn.map 'local:' '    sa_extra;\
local:'
    append lib/api.c '__attribute__((visibility("default"))) int sa_extra(void) { return 1; }'
    red symbols 'exported' "an export that the header does not declare"
    plant lib/sinkattn.map '^ *sa_isa_name;' ''
    red symbols 'header functions' "a function of the header that is no longer exported"
    append lib/api.c 'int sai_counter = 1;'
    red symbols 'writable data' "a global variable"
    append lib/api.c 'int printf(const char *, ...); void sai_says(void); void sai_says(void) { printf("%d", 1); }'
    red symbols 'undefined.txt' "a function that prints"
fi

# A whole change, with everything that the other gates compare: the committed description alone knows what was before.
# remove_function: sa_isa_name is gone everywhere. add_function: sa_extra is there everywhere.
remove_function() {
    plant $header '\(SA_API const char \*\)sa_isa_name' '\1sai_isa_name'
    plant lib/api.c '\(^const char \*\)sa_isa_name' '\1sai_isa_name'
    plant lib/sinkattn.map '^ *sa_isa_name;' ''
}
add_function() {
    plant $header '^\(SA_API const char \*sa_isa_name.*\)' '\1 SA_API int32_t sa_extra(void);'
    append lib/api.c 'int32_t sa_extra(void) { return 1; }'
    plant lib/sinkattn.map 'local:' '    sa_extra;\
local:'
}
if green abi; then
    remove_function
    red abi 'binary interface differs' "a function is removed"
    add_function
    red abi 'binary interface differs' "a function is added"
    plant $header 'int32_t n_heads;' 'int32_t n_swap;'
    plant $header 'int32_t n_kv_heads; \(.*divides\)' 'int32_t n_heads; \1'
    plant $header 'int32_t n_swap;' 'int32_t n_kv_heads;'
    red abi 'binary interface differs' "two fields of sa_config are swapped"
    plant $header '\(sa_cache_seek(.*\)int64_t' '\1int32_t'
    plant lib/stream.c '\(sa_cache_seek(.*\)int64_t' '\1int32_t'
    red abi 'binary interface differs' "a parameter is 32 bits wide"
fi

if green examples; then
    plant examples/related/context_vector.c 'logf((float)m->n)' '0'
    red examples 'context_vector' "a mean that counts as one token in place of all"
    plant examples/related/lean_attention.c 'from = share_end(w++, n)' 'from = share_end(w++, n) - 1'
    red examples 'lean_attention' "shares that overlap by one key"
    plant lib/partial.c '\*sum_a = (float)(\*sum_a \* a' '*sum_a = (float)(*sum_a'
    red examples 'attention_rnn' "merged sums that are not weighed"
fi

if green snapshot; then
    plant lib/save.c 'sai_set64(at + 8, a->end)' 'sai_set64(at + 8, a->end - 1)'
    red snapshot 'says otherwise' "a snapshot whose spans end early"
fi

# What the header must not say to a C++ compiler or beside <signal.h>.
if green header; then
    append $header 'static inline int *sa_new(void *class) { return class; }'
    red header 'c++' "C that is no C++"
    append $header 'typedef int sa_thing_t;'
    red header 'ends in _t' "a name that ends in _t"
fi

# (That these two pass where nothing is wrong, `make check` has seen: they take longer than the others.)
if has cmake; then
    plant CMakeLists.txt '"-O3 ' '"'
    red cmake 'optimised as it should be' "CMake compiles without optimisation"
fi
plant Makefile '^TO_LIB = .*' 'TO_LIB = $(DESTDIR)$(libdir)'
red install 'with spaces' "a path that is not quoted"

# A tool that is not there: red where CI is set, and elsewhere "skipped", never "passed".
mkdir "$tmp/few"
for tool in sh sed grep awk cat diff cmp head tail tr wc sort uniq mktemp rm mkdir dirname uname find comm; do
    has $tool && ln -s "$(command -v $tool)" "$tmp/few/$tool"
done
# without TOOLS GATE: runs the gate in the copy where nothing but a few tools of POSIX are on the path.
without() {
    (cd "$copy" && PATH=$tmp/few CC=nothing MAKE=nothing CI=$2 "$tmp/few/sh" "tests/gates/$1.sh") >"$tmp/said" 2>&1
}
for name in abi format cmake; do
    without $name 1 && fail "$name is green in CI without its tool" || ok "$name is red in CI without its tool"
    without $name ''
    [ "$(tail -n 2 "$tmp/said" | tr '\n' ' ')" = "1 skipped 0 passed, 0 failed " ] &&
        ok "$name says skipped elsewhere" || fail "$name says elsewhere: $(tail -n 2 "$tmp/said")"
done

finish
