"""Configuration from keyword arguments.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from ._enums import (
    ConfigFlag,
    Dtype,
    Isa,
    Policy,
    Position,
    PositionMode,
    RopeLayout,
    RopeScaling,
    SinkKvPosition,
)
from ._errors import check, refuse
from ._native import ffi, lib

# Fields that are arrays in C: their element type, and how many elements the library reads.
ARRAYS: dict[str, tuple[str, Callable[[Config], int]]] = {
    "rope_inv_freq": ("double[]", lambda c: (c.rope_dims or c.head_dim) // 2),
    "rope_short_factors": ("float[]", lambda c: (c.rope_dims or c.head_dim) // 2),
    "rope_long_factors": ("float[]", lambda c: (c.rope_dims or c.head_dim) // 2),
    "alibi_slopes": ("float[]", lambda c: c.n_heads),
    "sink_logits": ("float[]", lambda c: c.n_heads),
    "head_windows": ("int32_t[]", lambda c: c.kv_heads),
    "head_sinks": ("int32_t[]", lambda c: c.kv_heads),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """All a pool or cache needs to know. The fields are those of `sa_config` in sinkattn.h, which is their manual; 0 or
    None means the default. Required are n_layers, n_heads, head_dim, window and position.

    One default is this package's own: `n_threads` 0 takes all processors that the process may use, where the library
    was built with OpenMP. `layers` has a Config, or None, for each layer.
    """

    flags: ConfigFlag = ConfigFlag.NONE
    n_layers: int = 0
    max_append: int = 0
    rollback: int = 0
    isa: Isa = Isa.AUTO
    n_threads: int = 0
    io_dtype: Dtype = Dtype.DEFAULT
    n_heads: int = 0
    n_kv_heads: int = 0
    head_dim: int = 0
    v_head_dim: int = 0
    policy: Policy = Policy.SINK_WINDOW
    n_sink: int = 0
    window: int = 0
    k_dtype: Dtype = Dtype.DEFAULT
    v_dtype: Dtype = Dtype.DEFAULT
    scale: float = 0.0
    softcap: float = 0.0
    n_sink_kv: int = 0
    sink_kv_position: SinkKvPosition = SinkKvPosition.BEFORE
    position: Position = Position.UNSET
    position_mode: PositionMode = PositionMode.IN_CACHE
    rope_layout: RopeLayout = RopeLayout.HALF_SPLIT
    rope_dims: int = 0
    rope_offset: int = 0
    rope_scaling: RopeScaling = RopeScaling.NONE
    rope_original_context: int = 0
    rope_theta: float = 0.0
    rope_factor: float = 0.0
    rope_attention_factor: float = 0.0
    rope_beta_fast: float = 0.0
    rope_beta_slow: float = 0.0
    rope_low_freq_factor: float = 0.0
    rope_high_freq_factor: float = 0.0
    rope_inv_freq: Sequence[float] | None = None
    rope_short_factors: Sequence[float] | None = None
    rope_long_factors: Sequence[float] | None = None
    alibi_slopes: Sequence[float] | None = None
    sink_logits: Sequence[float] | None = None
    layers: Sequence[Config | None] | None = field(default=None)
    sink_k_dtype: Dtype = Dtype.DEFAULT
    sink_v_dtype: Dtype = Dtype.DEFAULT
    n_recent: int = 0
    recent_k_dtype: Dtype = Dtype.DEFAULT
    recent_v_dtype: Dtype = Dtype.DEFAULT
    query_bits: int = 0
    weight_bits: int = 0
    n_sequences: int = 0
    n_spans: int = 0
    n_pin: int = 0
    n_rows: int = 0
    max_draft: int = 0
    pool_tokens: int = 0
    head_windows: Sequence[int] | None = None
    head_sinks: Sequence[int] | None = None

    @property
    def kv_heads(self) -> int:
        return self.n_kv_heads or self.n_heads

    @property
    def v_dim(self) -> int:
        return self.v_head_dim or self.head_dim

    def layer(self, number: int) -> Config:
        """What layer `number` is made from."""
        return (self.layers[number] if self.layers else None) or self

    def check(self) -> None:
        """Raises Error with the field and the reason if the library would refuse this config."""
        NativeConfig(self).check()

    def cache_size(self) -> int:
        """Bytes of a cache of this config: all it will ever take."""
        return NativeConfig(self).size(lib.sa_cache_size)

    def pool_size(self) -> int:
        """Bytes of a pool of n_sequences sequences of this config: all it will ever take."""
        return NativeConfig(self).size(lib.sa_pool_size)


def has_openmp() -> bool:
    """Was the library built with OpenMP, so that it can run several workers?"""
    config = NativeConfig(Config(n_layers=1, n_heads=1, head_dim=1, window=1, position=Position.NONE, n_threads=2))
    return not lib.sa_config_check(config.pointer, ffi.NULL, ffi.NULL)


def usable_processors() -> int:
    """How many processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class NativeConfig:
    """A Config as the C struct, with all that its pointers lead to."""

    def __init__(self, config: Config) -> None:
        self._kept: list[Any] = []
        self.pointer = self._struct(config)
        if not config.n_threads and threads_by_default() > 1:
            self.pointer.n_threads = threads_by_default()

    def check(self) -> None:
        why = ffi.new("const char **")
        check(lib.sa_config_check(self.pointer, why, ffi.NULL), why[0])

    def size(self, of: Any) -> int:
        self.check()
        size, alignment = ffi.new("size_t *"), ffi.new("size_t *")
        check(of(self.pointer, size, alignment))
        return int(size[0])

    def _struct(self, config: Config) -> Any:
        native = self._keep(ffi.new("sa_config *"))
        native.struct_size = ffi.sizeof("sa_config")
        for item in fields(config):
            value = getattr(config, item.name)
            if value is None or item.name == "layers":
                continue
            setattr(native, item.name, self._array(config, item.name) if item.name in ARRAYS else value)
        if config.layers is not None:
            native.layers = self._layers(config, config.layers)
        return native

    def _array(self, config: Config, name: str) -> Any:
        ctype, length = ARRAYS[name]
        values = list(getattr(config, name))
        if len(values) != length(config):
            raise refuse(f"{name} must have {length(config)} elements, not {len(values)}")
        return self._keep(ffi.new(ctype, values))

    def _layers(self, config: Config, layers: Sequence[Config | None]) -> Any:
        if len(layers) != config.n_layers:
            raise refuse(f"layers must have n_layers = {config.n_layers} elements, not {len(layers)}")
        structs = [ffi.NULL if layer is None else self._struct(layer) for layer in layers]
        return self._keep(ffi.new("const struct sa_config *[]", structs))

    def _keep(self, native: Any) -> Any:
        self._kept.append(native)
        return native


@functools.cache
def threads_by_default() -> int:
    """The workers of a cache whose config does not say how many."""
    return min(usable_processors(), 1024) if has_openmp() else 1
