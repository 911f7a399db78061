"""The rows of a batch: one sequence each, and their steps as C structs that are kept from call to call.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from .._cache import Cache
from .._config import Config
from .._enums import Dtype
from .._errors import Error, text
from .._native import ffi, lib
from .._pool import Pool

DTYPES = {torch.float32: Dtype.F32, torch.float16: Dtype.F16, torch.bfloat16: Dtype.BF16}

# Of a row, the tokens of a call that are no padding: the first one, and how many.
Run = tuple[int, int]


class Rows:
    """Sequences of one pool, and a batch call over all of them."""

    def __init__(self, config: Config, n: int) -> None:
        self.pool = Pool(replace(config, n_sequences=n))
        self.sequences: list[Cache] = [self.pool.open() for _ in range(n)]
        self._args = ffi.new("sa_step_args[]", n)
        self._pointers = ffi.new("sa_step_args *[]", [self._args + i for i in range(n)])
        self._failed = ffi.new("int32_t *")
        for i in range(n):
            args = self._args[i]
            args.struct_size = ffi.sizeof("sa_step_args")
            for tensor in (args.q, args.k, args.v, args.out):
                tensor.flags = lib.SA_TENSOR_STRIDES_GIVEN
        self._point()

    def _point(self) -> None:
        self._caches = ffi.new("sa_cache *[]", [sequence._pointer for sequence in self.sequences])

    def __len__(self) -> int:
        return len(self.sequences)

    def step(
        self,
        layer: int,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        out: torch.Tensor,
        runs: Sequence[Run] | None,
    ) -> None:
        """Appends and attends in a layer: tensors of shape (rows, heads, tokens, dim), read where they lie."""
        n = q.shape[2]
        for i in range(len(self.sequences)):
            args = self._args[i]
            first, args.n_tokens = runs[i] if runs else (0, n)
            args.layer = layer
        for name, tensor in (("q", q), ("k", k), ("v", v), ("out", out)):
            self._place(name, tensor, runs)
        with self.pool._lock:
            status = lib.sa_batch(self.pool._pointer, len(self.sequences), self._caches, self._pointers, self._failed)
            if status:
                raise Error(status, f"row {self._failed[0]}: {text(lib.sa_pool_error(self.pool._pointer))}")

    def _place(self, name: str, tensor: torch.Tensor, runs: Sequence[Run] | None) -> None:
        size, address, dtype = tensor.element_size(), tensor.data_ptr(), DTYPES[tensor.dtype]
        row, head, token, _ = (stride * size for stride in tensor.stride())
        for i in range(len(self.sequences)):
            native = getattr(self._args[i], name)
            first = runs[i][0] if runs else 0
            native.data = ffi.cast("void *", address + i * row + first * token)
            native.token_stride, native.head_stride, native.dtype = token, head, dtype

    def select(self, order: Sequence[int]) -> Rows:
        """These rows in another order, some several times, some not at all. Nothing is copied as long as there are not
        more than before."""
        if len(order) != len(self.sequences):
            return self._elsewhere(order)
        old, taken = self.sequences, set()
        for i in set(range(len(old))) - set(order):
            old[i].close()
        self.sequences = []
        for i in order:
            self.sequences.append(old[i].fork() if i in taken else old[i])
            taken.add(i)
        self._point()
        return self

    def _elsewhere(self, order: Sequence[int]) -> Rows:
        rows = Rows(self.pool.config, len(order))
        for sequence, i in zip(rows.sequences, order, strict=True):
            sequence.load(self.sequences[i].save())
        return rows
