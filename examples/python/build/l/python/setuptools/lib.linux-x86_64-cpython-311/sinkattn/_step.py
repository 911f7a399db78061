"""The general step: what goes in, what comes out.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ._config import Config
from ._errors import refuse
from ._native import ffi, lib
from ._tensors import Tensor, View, empty_like, float_pointer, tokens_of, zeros_like


@dataclass(kw_only=True)
class Step:
    """Append (with k and v), attend (with q), or both, in a layer: `sa_step_args` of the header is the manual.

    Tensors have the shape (tokens, heads, dim), any strides of tokens and heads, and are read where they lie. `out` is
    written if it is given, else a new one is made, of the kind and dtype of q.
    """

    layer: int = 0
    q: Tensor | None = None
    k: Tensor | None = None
    v: Tensor | None = None
    out: Tensor | None = None
    q_offset: int = 0
    nodes: bool = False
    """The queries are those of nodes q_offset, q_offset + 1, ... of the layer's draft."""
    parents: Sequence[int] | None = None
    """The tokens are drafted, each with this parent."""
    view_window: int = 0
    view_sinks: int = 0
    lse: bool = False
    sink_mass: bool = False
    partial: bool = False
    """The un-normalised state in place of the result."""
    key_mass: Literal["kv_head", "head"] | None = None
    value_norms: bool = False


@dataclass
class Result:
    """What a step has written; what it was not asked for is None."""

    out: Tensor | None = None
    lse: Tensor | None = None
    sink_mass: Tensor | None = None
    partial_max: Tensor | None = None
    partial_sum: Tensor | None = None
    key_mass: Tensor | None = None
    """(kv heads or heads, keys): the keys in front (see `CacheFacts.keys_in_front`), then those of `positions`."""
    value_norms: Tensor | None = None


class NativeStep:
    """A Step as the C struct, with all that its pointers lead to, and its results."""

    def __init__(self, step: Step, config: Config, keys_most: int) -> None:
        self.result = Result()
        self._kept: list[Any] = []
        self.pointer = ffi.new("sa_step_args *")
        layer = config.layer(step.layer) if 0 <= step.layer < config.n_layers else config
        n = tokens_of(step.q if step.q is not None else step.k)
        self._simple(step, n)
        self._inputs(step, layer, n)
        if step.q is not None:
            self._outputs(step, layer, n, keys_most)
        if step.parents is not None:
            self._parents(step.parents, n)

    def _simple(self, step: Step, n: int) -> None:
        native = self.pointer
        native.struct_size = ffi.sizeof("sa_step_args")
        native.layer, native.n_tokens, native.q_offset = step.layer, n, step.q_offset
        native.view_window, native.view_sinks = step.view_window, step.view_sinks
        if step.nodes:
            native.flags |= lib.SA_STEP_NODES
        if step.key_mass == "head":
            native.flags |= lib.SA_STEP_MASS_PER_HEAD

    def _inputs(self, step: Step, layer: Config, n: int) -> None:
        native = self.pointer
        self._tensor(native.q, "q", step.q, (n, layer.n_heads, layer.head_dim))
        self._tensor(native.k, "k", step.k, (n, layer.kv_heads, layer.head_dim))
        self._tensor(native.v, "v", step.v, (n, layer.kv_heads, layer.v_dim))

    def _tensor(self, native: Any, name: str, tensor: Tensor | None, shape: tuple[int, int, int]) -> None:
        if tensor is not None:
            view = View(tensor, name, writable=name == "out")
            view.into(native, name, shape)
            self._kept.append(tensor)

    def _outputs(self, step: Step, layer: Config, n: int, keys_most: int) -> None:
        shape = (n, layer.n_heads, layer.v_dim)
        result = self.result
        result.out = empty_like(step.q, shape, float32=step.partial) if step.out is None else step.out
        self._tensor(self.pointer.out, "out", result.out, shape)
        rows = {"lse": step.lse, "sink_mass": step.sink_mass, "partial_max": step.partial, "partial_sum": step.partial}
        for name, wanted in rows.items():
            if wanted:
                self._floats(name, empty_like(step.q, (n, layer.n_heads), float32=True))
        if step.key_mass or step.value_norms:
            self.pointer.key_stride = keys_most
        if step.key_mass:
            heads = layer.n_heads if step.key_mass == "head" else layer.kv_heads
            self._floats("key_mass", zeros_like(step.q, (heads, keys_most)))
        if step.value_norms:
            self._floats("value_norms", zeros_like(step.q, (layer.kv_heads, keys_most)))

    def _floats(self, name: str, tensor: Tensor) -> None:
        setattr(self.result, name, tensor)
        setattr(self.pointer, name, float_pointer(tensor))

    def _parents(self, parents: Sequence[int], n: int) -> None:
        numbers = np.ascontiguousarray(parents, np.int32)
        if numbers.shape != (n,):
            raise refuse(f"parents must have one number for each of the {n} tokens")
        self._kept.append(numbers)
        self.pointer.parents = ffi.from_buffer("int32_t[]", numbers)

    def trim(self, keys: int) -> None:
        """Cuts what was written per key to the keys that there are."""
        for name in ("key_mass", "value_norms"):
            tensor = getattr(self.result, name)
            if tensor is not None:
                setattr(self.result, name, tensor[:, :keys])
