"""A sequence: a stream of tokens, and what is held of it.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._config import Config
from ._enums import Dtype, Gap, KeyForm
from ._errors import check, refuse
from ._facts import CacheFacts, Span
from ._native import ffi, lib
from ._step import NativeStep, Result, Step
from ._tensors import Tensor, View, contiguous, tokens_of

if TYPE_CHECKING:
    from ._pool import Pool

ALL_LAYERS: int = lib.SA_ALL_LAYERS

# In place of the position behind the last of a range: all tokens that have come.
END: int = lib.SA_END


class Cache:
    """A sequence of a pool: made by `create`, `Pool.open` or `fork`. It keeps its pool alive, and is closed by `close`,
    at the end of a `with`, or when nobody refers to it any more.

    Calls release the GIL. Those on one pool wait for each other, so any thread may use it at any time. The comments of
    the functions of the same name in sinkattn.h are the manual; every refusal is an Error, and has changed nothing.
    """

    def __init__(self, pool: Pool, pointer: Any) -> None:
        self._pool = pool
        self._pointer = pointer
        pool._sequences.add(self)

    # --- life ---

    @property
    def pool(self) -> Pool:
        return self._pool

    @property
    def config(self) -> Config:
        return self._pool.config

    def close(self) -> None:
        """Closes the sequence: its memory is the pool's again. May be called twice."""
        with self._pool._lock:
            if self._pool._pointer:
                lib.sa_cache_destroy(self._pointer)
            self._pointer = ffi.NULL

    def __enter__(self) -> Cache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not hasattr(self, "_pointer"):
            return
        # The garbage collector comes in any thread, which may hold another pool's lock: waiting could be for ever.
        if self._pool._lock.acquire(blocking=False):
            self.close()
            self._pool._lock.release()
        else:
            self._pool._orphans.append(self._pointer)

    def fork(self) -> Cache:
        """Another sequence with the same tokens. Nothing is copied until one of the two writes."""
        out = ffi.new("sa_cache **")
        with self._pool._lock:
            self._pool._close_orphans()
            self._call(lib.sa_cache_fork, out)
            return Cache(self._pool, out[0])

    # --- append and attend ---

    def append(self, layer: int, k: Tensor, v: Tensor) -> None:
        """Appends the tokens of k and v, of shape (tokens, kv heads, dim)."""
        self.step(Step(layer=layer, k=k, v=v))

    def attend(self, layer: int, q: Tensor, out: Tensor | None = None) -> Tensor:
        """Attention of the newest tokens, as many as q has, each over what it sees."""
        return self.step(Step(layer=layer, q=q, out=out, q_offset=-tokens_of(q))).out

    def append_attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, out: Tensor | None = None) -> Tensor:
        """Both in one, for any number of tokens."""
        return self.step(Step(layer=layer, q=q, k=k, v=v, out=out)).out

    def step(self, step: Step) -> Result:
        """The general step."""
        with self._pool._lock:
            native = self._prepare(step)
            self._call(lib.sa_step, native.pointer)
            self._finish(step, native)
        return native.result

    def _prepare(self, step: Step) -> NativeStep:
        by_key = bool(step.key_mass) or step.value_norms
        return NativeStep(step, self.config, self.info(step.layer).keys_most if by_key else 0)

    def _finish(self, step: Step, native: NativeStep) -> None:
        if step.key_mass or step.value_norms:
            facts = self.info(step.layer)
            heads = range(self.config.layer(step.layer).kv_heads if facts.n_lanes > 1 else 1)
            native.trim(facts.keys_in_front + max(self._count(lib.sa_cache_positions, step.layer, h) for h in heads))

    # --- what it holds ---

    def info(self, layer: int = 0) -> CacheFacts:
        facts = ffi.new("sa_cache_facts *", {"struct_size": ffi.sizeof("sa_cache_facts")})
        with self._pool._lock:
            self._ask(lib.sa_cache_info(self._pointer, layer, facts), "layer")
        return CacheFacts.of(facts)

    def spans(self, layer: int = 0, kv_head: int = 0) -> list[Span]:
        """What a kv head holds, oldest first."""
        with self._pool._lock:
            n = self._count(lib.sa_cache_spans, layer, kv_head)
            spans, n_out = ffi.new("sa_span[]", n), ffi.new("int32_t *")
            self._ask(lib.sa_cache_spans(self._pointer, layer, kv_head, n, spans, n_out), "layer, kv_head")
        return [Span.of(span) for span in spans]

    def positions(self, layer: int = 0, kv_head: int = 0) -> npt.NDArray[np.uint64]:
        """The stream positions of the tokens that a kv head holds, oldest first."""
        with self._pool._lock:
            n = self._count(lib.sa_cache_positions, layer, kv_head)
            positions, n_out = np.empty(n, np.uint64), ffi.new("int64_t *")
            to = ffi.from_buffer("uint64_t[]", positions)
            self._ask(lib.sa_cache_positions(self._pointer, layer, kv_head, n, to, n_out), "layer, kv_head")
        return positions

    def _count(self, of: Callable[..., int], layer: int, kv_head: int) -> int:
        out = ffi.new("int32_t *" if of is lib.sa_cache_spans else "int64_t *")
        self._ask(of(self._pointer, layer, kv_head, 0, ffi.NULL, out), "layer, kv_head")
        return int(out[0])

    def read(
        self,
        positions: Sequence[int] | npt.NDArray[Any],
        layer: int = 0,
        *,
        kv_head: int = 0,
        n_kv_heads: int = 0,
        key_form: KeyForm = KeyForm.AS_STORED,
        places: Sequence[int] | npt.NDArray[Any] | None = None,
        dtype: npt.DTypeLike = np.float32,
        rows: bool = False,
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Keys and values of tokens that the layer holds: two new arrays of shape (positions, heads, dim).

        With `rows`, positions are numbers of rows of the host.
        """
        at = np.ascontiguousarray(positions, np.uint64)
        to = None if places is None else np.ascontiguousarray(places, np.int64)
        if at.ndim != 1 or (to is not None and to.shape != at.shape):
            raise refuse("positions, and places if they are given, must be one-dimensional and of one length")
        args = ffi.new("sa_read_args *", {"struct_size": ffi.sizeof("sa_read_args"), "layer": layer})
        args.n_tokens, args.kv_head, args.n_kv_heads, args.key_form = len(at), kv_head, n_kv_heads, key_form
        args.flags = lib.SA_READ_ROWS if rows else 0
        args.positions = ffi.from_buffer("uint64_t[]", at)
        if to is not None:
            args.places = ffi.from_buffer("int64_t[]", to)
        shape = self.config.layer(layer) if 0 <= layer < self.config.n_layers else self.config
        heads = max(n_kv_heads or shape.kv_heads - kv_head, 0)
        k = np.empty((len(at), heads, shape.head_dim), dtype)
        v = np.empty((len(at), heads, shape.v_dim), dtype)
        View(k, "k").into(args.k, "k", k.shape)
        View(v, "v").into(args.v, "v", v.shape)
        with self._pool._lock:
            self._call(lib.sa_cache_read, args)
        return k, v

    # --- going back, jumping, removing, pinning ---

    def reset(self, layer: int = ALL_LAYERS) -> None:
        """Forgets all tokens."""
        self._call(lib.sa_cache_reset, layer)

    def rollback(self, n_tokens: int, layer: int = ALL_LAYERS) -> None:
        """Takes back the newest tokens, as if they had never come."""
        self._call(lib.sa_cache_rollback, layer, n_tokens)

    def seek(self, position: int, layer: int = ALL_LAYERS) -> None:
        """Jumps ahead, as if the tokens between had come and were masked out."""
        self._call(lib.sa_cache_seek, layer, position)

    def restart(self, position: int, layer: int = ALL_LAYERS) -> None:
        """As seek, but empties the window also where the layer already stands there."""
        self._call(lib.sa_cache_restart, layer, position)

    def remove(self, start: int, end: int = END, gap: Gap = Gap.CLOSE, layer: int = ALL_LAYERS) -> None:
        """Removes the tokens at positions start .. end-1."""
        self._call(lib.sa_cache_remove, layer, start, end, gap)

    def pin(self, start: int, end: int = END, layer: int = ALL_LAYERS) -> None:
        """Keeps the tokens at positions start .. end-1 when the window leaves them."""
        self._call(lib.sa_cache_pin, layer, start, end)

    def unpin(self, start: int, end: int = END, layer: int = ALL_LAYERS) -> None:
        """Takes pins back."""
        self._call(lib.sa_cache_unpin, layer, start, end)

    def anchor(self, start: int, end: int = END, layer: int = ALL_LAYERS) -> None:
        """Makes the tokens at positions start .. end-1 the sinks."""
        self._call(lib.sa_cache_anchor, layer, start, end)

    def accept(self, path: Sequence[int], layer: int = ALL_LAYERS) -> None:
        """Ends a draft: the nodes of the path become the newest tokens, all others are gone."""
        self._call(lib.sa_draft_accept, layer, len(path), ffi.new("int32_t[]", list(path)))

    # --- saving ---

    def save(self, start: int = 0) -> bytearray:
        """A snapshot of the sequence, or of its tokens from position `start` on."""
        size, written = ffi.new("size_t *"), ffi.new("size_t *")
        with self._pool._lock:
            self._call(lib.sa_cache_save_size, start, size)
            snapshot = bytearray(size[0])
            self._call(lib.sa_cache_save, start, ffi.from_buffer(snapshot), size[0], written)
        return snapshot

    def load(self, snapshot: bytes | bytearray | memoryview) -> None:
        """Makes the sequence what it was when the snapshot was saved."""
        with ffi.from_buffer(snapshot) as data:
            self._call(lib.sa_cache_load, data, len(data))

    # --- rows that are no tokens ---

    def set_sink_kv(self, layer: int, k: Tensor, v: Tensor) -> None:
        """Hands in a layer's learned sink rows: contiguous, of config.io_dtype."""
        shape = self.config.layer(layer)
        dtype = self.config.io_dtype or Dtype.F32
        rows = shape.n_sink_kv
        self._call(
            lib.sa_set_sink_kv,
            layer,
            contiguous(k, "k", (rows, shape.kv_heads, shape.head_dim), dtype),
            contiguous(v, "v", (rows, shape.kv_heads, shape.v_dim), dtype),
        )

    def set_rows(
        self,
        layer: int,
        first: int,
        k: Tensor,
        v: Tensor,
        *,
        places: Sequence[Sequence[int]] | npt.NDArray[Any] | None = None,
        biases: Sequence[Sequence[float]] | npt.NDArray[Any] | None = None,
        at_distance: bool = False,
        kv_head: int = 0,
        n_kv_heads: int = 0,
    ) -> None:
        """Replaces rows of the host: those with numbers first, first + 1, ... of n_kv_heads kv heads from kv_head on.

        Tensors, and places and biases per (row, kv head), are of these heads; 0 means all from kv_head on.
        """
        shape, n = self.config.layer(layer), tokens_of(k)
        args = self._rows(layer, first, n, kv_head, n_kv_heads)
        heads = n_kv_heads or shape.kv_heads - kv_head
        View(k, "k").into(args.k, "k", (n, heads, shape.head_dim))
        View(v, "v").into(args.v, "v", (n, heads, shape.v_dim))
        by_row = (n, heads)
        at = None if places is None else self._by_row("places", np.ascontiguousarray(places, np.int64), by_row)
        bias = None if biases is None else self._by_row("biases", np.ascontiguousarray(biases, np.float32), by_row)
        args.places = ffi.NULL if at is None else ffi.from_buffer("int64_t[]", at)
        args.biases = ffi.NULL if bias is None else ffi.from_buffer("float[]", bias)
        args.flags = lib.SA_ROWS_AT_DISTANCE if at_distance else 0
        self._call(lib.sa_set_rows, args)

    @staticmethod
    def _by_row(name: str, array: npt.NDArray[Any], shape: tuple[int, int]) -> npt.NDArray[Any]:
        if array.shape != shape:
            raise refuse(f"{name} must have shape (rows, kv heads) = {shape}, not {array.shape}")
        return array

    def clear_rows(self, layer: int, first: int, n_rows: int, kv_head: int = 0, n_kv_heads: int = 0) -> None:
        """Takes rows of the host away."""
        self._call(lib.sa_set_rows, self._rows(layer, first, n_rows, kv_head, n_kv_heads))

    def _rows(self, layer: int, first: int, n_rows: int, kv_head: int, n_kv_heads: int) -> Any:
        args = ffi.new("sa_rows *", {"struct_size": ffi.sizeof("sa_rows"), "layer": layer})
        args.first, args.n_rows = first, n_rows
        args.kv_head, args.n_kv_heads = kv_head, n_kv_heads
        return args

    # --- calls ---

    def _call(self, function: Callable[..., int], *arguments: Any) -> None:
        """Calls a function of the sequence, and raises what it refuses with the library's sentence."""
        with self._pool._lock:
            check(function(self._pointer, *arguments), lib.sa_cache_error(self._pointer))

    def _ask(self, status: int, arguments: str) -> None:
        """Raises what a question about the sequence was refused with; those leave sa_cache_error as it is."""
        if status and not self._pointer:
            check(status, lib.sa_cache_error(self._pointer))
        if status == lib.SA_ERR_ARGUMENT:
            raise refuse(f"{arguments}: out of range")
        check(status)
