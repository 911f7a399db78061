"""The named values of the C header, as Python enumerations.

SPDX-License-Identifier: MIT
"""

from enum import IntEnum, IntFlag

from ._native import lib


class Status(IntEnum):
    """What a refused call came to."""

    ARGUMENT = lib.SA_ERR_ARGUMENT
    CONFIG = lib.SA_ERR_CONFIG
    STRUCT_SIZE = lib.SA_ERR_STRUCT_SIZE
    MEMORY = lib.SA_ERR_MEMORY
    BUFFER = lib.SA_ERR_BUFFER
    ALIGNMENT = lib.SA_ERR_ALIGNMENT
    ISA = lib.SA_ERR_ISA
    FORMAT = lib.SA_ERR_FORMAT
    STATE = lib.SA_ERR_STATE
    OVERFLOW = lib.SA_ERR_OVERFLOW
    FULL = lib.SA_ERR_FULL
    DEPTH = lib.SA_ERR_DEPTH
    POOL = lib.SA_ERR_POOL


class Dtype(IntEnum):
    """Element types; I8 and I4 only of stored keys and values. DEFAULT is what the header says of the field."""

    DEFAULT = 0
    F32 = lib.SA_F32
    F16 = lib.SA_F16
    BF16 = lib.SA_BF16
    I8 = lib.SA_I8
    I4 = lib.SA_I4


class Policy(IntEnum):
    """What a layer keeps."""

    SINK_WINDOW = lib.SA_POLICY_SINK_WINDOW
    WINDOW = lib.SA_POLICY_WINDOW
    DENSE = lib.SA_POLICY_DENSE


class Position(IntEnum):
    """How position enters the logit; there is no default, and UNSET is refused."""

    UNSET = 0
    NONE = lib.SA_POSITION_NONE
    ROPE = lib.SA_POSITION_ROPE
    ROPE_APPLIED = lib.SA_POSITION_ROPE_APPLIED
    ALIBI = lib.SA_POSITION_ALIBI


class PositionMode(IntEnum):
    """Which distance a sink is at."""

    IN_CACHE = lib.SA_IN_CACHE
    IN_STREAM = lib.SA_IN_STREAM


class RopeLayout(IntEnum):
    """Which two dims a rotation takes."""

    HALF_SPLIT = lib.SA_ROPE_HALF_SPLIT
    INTERLEAVED = lib.SA_ROPE_INTERLEAVED


class RopeScaling(IntEnum):
    """How frequencies are scaled for longer contexts."""

    NONE = lib.SA_ROPE_SCALING_NONE
    LINEAR = lib.SA_ROPE_SCALING_LINEAR
    NTK = lib.SA_ROPE_SCALING_NTK
    YARN = lib.SA_ROPE_SCALING_YARN
    LLAMA3 = lib.SA_ROPE_SCALING_LLAMA3
    LONGROPE = lib.SA_ROPE_SCALING_LONGROPE


class SinkKvPosition(IntEnum):
    """Where learned sink rows stand."""

    BEFORE = lib.SA_SINK_KV_BEFORE
    AT_ZERO = lib.SA_SINK_KV_AT_ZERO


class ConfigFlag(IntFlag):
    """Bits of Config.flags."""

    NONE = 0
    YARN_NO_TRUNCATE = lib.SA_CONFIG_YARN_NO_TRUNCATE


class Isa(IntEnum):
    """Instruction sets."""

    AUTO = lib.SA_ISA_AUTO
    PLAIN = lib.SA_ISA_PLAIN
    PLAIN_NOFMA = lib.SA_ISA_PLAIN_NOFMA
    AVX2 = lib.SA_ISA_AVX2
    AVX512 = lib.SA_ISA_AVX512
    NEON = lib.SA_ISA_NEON
    WASM = lib.SA_ISA_WASM
    WASM_RELAXED = lib.SA_ISA_WASM_RELAXED
    RVV = lib.SA_ISA_RVV
    VSX = lib.SA_ISA_VSX
    VXE = lib.SA_ISA_VXE
    AVX512_VNNI = lib.SA_ISA_AVX512_VNNI
    AVX2_VNNI = lib.SA_ISA_AVX2_VNNI
    NEON_DOT = lib.SA_ISA_NEON_DOT


class Gap(IntEnum):
    """What becomes of the positions of a removed range."""

    CLOSE = lib.SA_GAP_CLOSE
    KEEP = lib.SA_GAP_KEEP


class SpanKind(IntEnum):
    """Why the tokens of a span are held."""

    WINDOW = lib.SA_SPAN_WINDOW
    SINK = lib.SA_SPAN_SINK
    PIN = lib.SA_SPAN_PIN


class KeyForm(IntEnum):
    """In which form keys are read."""

    AS_STORED = lib.SA_KEY_AS_STORED
    UNROTATED = lib.SA_KEY_UNROTATED
    AT_PLACE = lib.SA_KEY_AT_PLACE
