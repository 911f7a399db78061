# The one list of library sources, read by every build (Makefile, CMake, amalgamation).
SA_SOURCES = \
	lib/api.c \
	lib/append.c \
	lib/arguments.c \
	lib/attend.c \
	lib/config.c \
	lib/error.c \
	lib/layout.c \
	lib/mass.c \
	lib/memory.c \
	lib/panel.c \
	lib/parallel.c \
	lib/partial.c \
	lib/plan.c \
	lib/pool.c \
	lib/query.c \
	lib/rope.c \
	lib/rotations.c \
	lib/sequence.c \
	lib/spans.c \
	lib/step.c \
	lib/store.c \
	lib/stream.c \
	lib/tiles.c \
	lib/way.c \
	lib/workspace.c \
	lib/kernels/plain.c \
	lib/kernels/plain_nofma.c \
	lib/kernels/avx2.c \
	lib/kernels/avx512.c \
	lib/kernels/neon.c \
	lib/kernels/wasm.c \
	lib/kernels/wasm_relaxed.c \
	lib/kernels/rvv.c \
	lib/kernels/vsx.c \
	lib/kernels/vxe.c \
	lib/kernels/dispatch.c
