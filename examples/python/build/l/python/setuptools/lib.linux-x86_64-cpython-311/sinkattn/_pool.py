"""Pools: many sequences of one model in one block of memory.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from ._cache import Cache
from ._config import Config, NativeConfig
from ._errors import Error, check, refuse, text
from ._facts import PoolFacts
from ._native import ffi, lib
from ._step import Result, Step


class Pool:
    """Memory for `n_sequences` sequences. `Pool(config)`, or `Pool(n_layers=..., ...)` with the fields of Config."""

    def __init__(self, config: Config | None = None, /, **fields: Any) -> None:
        self.config = config or Config(**fields)
        # In a cycle of garbage a pool may be finalised before its sequences: then they find no pointer here.
        self._pointer = ffi.NULL
        # One call at a time, on the pool and all its sequences. Re-entrant, since a sequence may be closed by the
        # garbage collector at any moment of its thread.
        self._lock = threading.RLock()
        self._sequences: weakref.WeakSet[Cache] = weakref.WeakSet()
        self._orphans: deque[Any] = deque()
        native, out = NativeConfig(self.config), ffi.new("sa_pool **")
        native.check()
        check(lib.sa_pool_create(native.pointer, ffi.NULL, out))
        self._pointer = out[0]

    def open(self) -> Cache:
        """An empty sequence."""
        out = ffi.new("sa_cache **")
        with self._lock:
            self._close_orphans()
            check(lib.sa_pool_open(self._pointer, out), lib.sa_pool_error(self._pointer))
            return Cache(self, out[0])

    def batch(self, steps: Sequence[tuple[Cache, Step]]) -> list[Result]:
        """Runs a step of each of several sequences, all in the same layer, as one call."""
        with self._lock:
            if any(cache.pool is not self for cache, _ in steps):
                raise refuse("a sequence is not one of this pool")
            natives = [cache._prepare(step) for cache, step in steps]
            caches = ffi.new("sa_cache *[]", [cache._pointer for cache, _ in steps])
            args = ffi.new("sa_step_args *[]", [native.pointer for native in natives])
            failed = ffi.new("int32_t *")
            status = lib.sa_batch(self._pointer, len(steps), caches, args, failed)
            if status:
                where = f"step {failed[0]}: " if failed[0] >= 0 else ""
                raise Error(status, where + text(lib.sa_pool_error(self._pointer)))
            for (cache, step), native in zip(steps, natives, strict=True):
                cache._finish(step, native)
        return [native.result for native in natives]

    def can_append(self, tokens: Sequence[tuple[Cache, int]]) -> None:
        """Raises Error unless these sequences together could append so many tokens each, now, in every layer."""
        with self._lock:
            caches = ffi.new("sa_cache *[]", [cache._pointer for cache, _ in tokens])
            counts = ffi.new("int32_t[]", [n for _, n in tokens])
            status = lib.sa_pool_can_append(self._pointer, len(tokens), caches, counts, ffi.NULL)
            check(status, lib.sa_pool_error(self._pointer))

    def _close_orphans(self) -> None:
        """Closes the sequences that the garbage collector found while a call was running."""
        while self._pointer and self._orphans:
            lib.sa_cache_destroy(self._orphans.popleft())

    def info(self, layer: int = 0, kv_head: int = 0) -> PoolFacts:
        facts = ffi.new("sa_pool_facts *", {"struct_size": ffi.sizeof("sa_pool_facts")})
        with self._lock:
            if lib.sa_pool_info(self._pointer, layer, kv_head, facts):
                closed = "" if self._pointer else "the pool is closed, or "
                raise refuse(f"{closed}layer or kv_head is out of range")
        return PoolFacts.of(facts)

    def close(self) -> None:
        """Ends the pool and all its sequences. May be called twice."""
        with self._lock:
            for cache in list(self._sequences):
                cache._pointer = ffi.NULL
            lib.sa_pool_destroy(self._pointer)
            self._pointer = ffi.NULL
            self._orphans.clear()

    def __del__(self) -> None:
        if hasattr(self, "_orphans"):
            self.close()

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def create(config: Config | None = None, /, **fields: Any) -> Cache:
    """A cache of one sequence: `create(n_layers=..., ...)` with the fields of Config, or `create(config)`."""
    return Pool(config, **fields).open()
