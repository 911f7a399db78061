"""States of attention that is not finished: merged over several caches, then turned into results.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from typing import NamedTuple

from ._enums import Dtype
from ._errors import check
from ._native import ffi, lib
from ._step import Result
from ._tensors import Tensor, contiguous, empty_like


class Partial(NamedTuple):
    """The state of attention, per row: `max` and `sum` of shape (tokens, heads), `values` (tokens, heads, dim), all
    float32 and contiguous."""

    max: Tensor
    sum: Tensor
    values: Tensor

    @classmethod
    def of(cls, result: Result) -> Partial:
        """What a step with partial=True gave."""
        return cls(result.partial_max, result.partial_sum, result.out)


def merge(into: Partial, other: Partial) -> None:
    """Merges the state `other` into the state `into`, which is then that of both sets of keys."""
    n, dim, a = _pointers(into, True)
    m, other_dim, b = _pointers(other, False)
    check(lib.sa_merge_partial(n, dim, *a, *b) if (n, dim) == (m, other_dim) else lib.SA_ERR_ARGUMENT)


def finish(state: Partial) -> tuple[Tensor, Tensor]:
    """The result and its log-sum-exp. `state.values` becomes the result."""
    n, dim, pointers = _pointers(state, True)
    lse = empty_like(state.values, tuple(state.max.shape), float32=True)
    check(lib.sa_finish_partial(n, dim, *pointers, ffi.cast("float *", contiguous(lse, "lse", lse.shape, Dtype.F32))))
    return state.values, lse


def _pointers(state: Partial, written: bool) -> tuple[int, int, list[object]]:
    tokens, heads, dim = (int(size) for size in state.values.shape)
    shapes = {"max": (tokens, heads), "sum": (tokens, heads), "values": (tokens, heads, dim)}
    pointers = [
        ffi.cast("float *", contiguous(tensor, name, shape, Dtype.F32, written))
        for tensor, (name, shape) in zip(state, shapes.items(), strict=True)
    ]
    return tokens * heads, dim, pointers
