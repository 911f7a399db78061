"""A transformers Cache that keeps sinks and a window, and attends by itself.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from transformers.cache_utils import Cache as TransformersCache
from transformers.cache_utils import CacheLayerMixin

from .._cache import Cache
from .._config import Config
from .._enums import RopeLayout
from ._attention import attach, detach, sinks
from ._config import Unsupported, from_hf_config
from ._rows import DTYPES, Rows, Run

# Families that this repository's tests hold to eager attention; any other one is compared when it is first used.
TESTED = {
    "llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text", "phi", "phi3", "gpt_neox", "gptj", "falcon",
    "gpt_oss", "cohere", "cohere2", "glm", "granite", "olmo2", "smollm3", "stablelm", "starcoder2", "deepseek_v2",
    "deepseek_v3",
}  # fmt: skip

# Families whose rotation takes interleaved dims and leaves them half-split.
SORTED = {"deepseek_v3"}


@dataclass
class Chunk:
    """Columns of a batch among which there was padding: the first column, and each row's run of tokens."""

    column: int
    n: int
    runs: list[Run]


class SinkCache(TransformersCache):
    """Sinks and a window in constant memory, for `model(..., cache=...)` and `model.generate(..., cache=...)`:

        cache = SinkCache(model, n_sink=4, window=1020)
        model.generate(**inputs, cache=cache, max_new_tokens=100_000)

    Positions are those in the cache, as in the paper, exact however long the stream: the model is told that every token
    stands at position 0, so its own rotation does nothing, and the library rotates.

    The model's attention implementation becomes "sinkattn", which refuses to run without a SinkCache; `detach(model)`
    makes it what it was. Rows of a batch may be padded on either side.
    `rollback` tokens can always be taken back (assisted generation); `fields` are further fields of sinkattn.Config.
    `sequences` are the rows, as sinkattn.Cache: pin, remove, save them.
    """

    def __init__(self, model: Any, *, n_sink: int = 4, window: int = 1020, rollback: int = 64, **fields: Any) -> None:
        self.config = adapted(model, n_sink=n_sink, window=window, rollback=rollback, **fields)
        self.config.check()
        attach(model)
        verify_once(model)
        super().__init__(layers=[SinkLayer(self, number) for number in range(self.config.n_layers)])
        self._model_type = model.config.get_text_config(decoder=True).model_type
        self._rows: Rows | None = None
        self._columns = 0
        self._padded: list[Chunk] = []
        self._runs: list[Run] | None = None
        self._updated: int | None = None
        self._passing = False

    def __bool__(self) -> bool:
        # Phi-3 gives up its cache where its frequencies would change, if the cache is true: ours never change.
        return self._model_type not in ("phi3", "phimoe")

    @property
    def sequences(self) -> Sequence[Cache]:
        """The rows of the batch, once there are any."""
        return self._rows.sequences if self._rows else ()

    # --- a pass through the model, from the hooks of _attention.py ---

    def begin(self, n_rows: int, n: int, mask: torch.Tensor | None) -> None:
        """Before the layers: a pass of n columns. `mask` (rows, all columns so far) is 0 where there is padding."""
        if self._rows is None:
            self._rows = Rows(self.config, n_rows)
        if n_rows != len(self._rows):
            raise Unsupported(f"the cache has {len(self._rows)} rows, and the batch {n_rows}")
        self._before = [sequence.info(0).tokens_seen for sequence in self._rows.sequences]
        self._runs, self._n, self._passing = runs_of(mask, n), n, True

    def end(self, finished: bool) -> None:
        """Behind the layers. A pass that broke off between two of them is undone."""
        if finished:
            if self._runs:
                self._padded.append(Chunk(self._columns, self._n, self._runs))
            self._columns += self._n
        elif self._rows is not None:
            for sequence, before in zip(self._rows.sequences, self._before, strict=True):
                seen = max(sequence.info(layer).tokens_seen for layer in range(self.config.n_layers))
                sequence.rollback(seen - before)
        self._runs = self._updated = None
        self._passing = False

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Gives back what came: keys and values are stored where they are attended to."""
        if not self._passing:
            raise Unsupported("a SinkCache is of one model, and of no use to it after detach(model)")
        self._updated = layer_idx
        return key_states, value_states

    def attend(self, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """(rows, heads, tokens, dim) in, (rows, tokens, heads, dim) out; padding gives 0."""
        if self._rows is None or self._updated != layer:
            raise Unsupported(f"layer {layer} attends without keys of its own")
        self._updated = None
        shape = self.config.layer(layer)
        rows, _, n, _ = q.shape
        heads, kv_heads, dim, v_dim = shape.n_heads, shape.kv_heads, shape.head_dim, shape.v_dim
        for name, x, expected in (("q", q, (heads, dim)), ("k", k, (kv_heads, dim)), ("v", v, (kv_heads, v_dim))):
            if x.shape != (rows, expected[0], n, expected[1]):
                raise Unsupported(f"layer {layer} has {name} of shape {tuple(x.shape)}, not as its config says")
        new = torch.zeros if self._runs else torch.empty
        out = new((rows, n, heads, v_dim), dtype=q.dtype)
        q, k, v = (x if x.stride(-1) == 1 else x.contiguous() for x in (q, k, v))
        self._rows.step(layer, q, k, v, out.transpose(1, 2), self._runs)
        return out

    # --- what generate() asks and does ---

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self._columns

    def get_mask_sizes(self, query_length: int, layer_idx: int = 0) -> tuple[int, int]:
        return self._columns + query_length, 0

    def get_max_length(self, layer_idx: int | None = None) -> int:
        return -1

    @property
    def batch_size(self) -> int:
        return len(self._rows) if self._rows else -1

    @property
    def is_initialized(self) -> bool:
        return self._rows is not None

    def reset(self) -> None:
        self._rows, self._columns, self._padded = None, 0, []

    def crop(self, tokens_to_remove: int) -> None:
        """Takes back the newest `-tokens_to_remove` columns."""
        columns = self._columns - abs(tokens_to_remove)
        if self._rows is None or columns == self._columns:
            return
        for row, sequence in enumerate(self._rows.sequences):
            padding = sum(padding_from(chunk, columns, row) for chunk in self._padded)
            sequence.rollback(self._columns - columns - padding)
        self._padded = [cut(chunk, columns) for chunk in self._padded if chunk.column < columns]
        self._columns = columns

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        self._select(beam_idx.tolist())

    def batch_repeat_interleave(self, repeats: int) -> None:
        self._select([row for row in range(self.batch_size) for _ in range(repeats)])

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        self._select(torch.arange(max(self.batch_size, 0))[indices].tolist())

    def _select(self, order: list[int]) -> None:
        if self._rows is not None:
            self._rows = self._rows.select(order)
            self._padded = [replace(chunk, runs=[chunk.runs[row] for row in order]) for chunk in self._padded]


# Decoders of families that no test has seen, and that have been compared.
_verified: weakref.WeakSet[Any] = weakref.WeakSet()


def verify_once(model: Any) -> None:
    """Compares a model of an unknown family with eager attention, before it is used."""
    if model.config.get_text_config(decoder=True).model_type in TESTED or model.get_decoder() in _verified:
        return
    from ._verify import verify

    _verified.add(model.get_decoder())
    try:
        verify(model)
    except Unsupported:
        _verified.discard(model.get_decoder())
        detach(model)
        raise


class SinkLayer(CacheLayerMixin):  # type: ignore[no-untyped-call]
    """What looks at a cache layer by layer finds this; all is kept by the cache."""

    is_croppable = True
    supports_early_init = False

    def __init__(self, cache: SinkCache, number: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._cache, self._number = cache, number

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return self._cache.update(key_states, value_states, self._number)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._cache.get_mask_sizes(query_length)

    def get_seq_length(self) -> int:
        return self._cache.get_seq_length()

    def get_max_length(self) -> int:
        return -1


def adapted(model: Any, **fields: Any) -> Config:
    """The Config for what the model's attention hands over: q and k rotated to position 0, in the model's dtype."""
    dtype = DTYPES.get(model.dtype)
    if dtype is None or model.device.type != "cpu":
        found = f"{model.dtype} on {model.device}"
        raise Unsupported(f"the model must be float32, float16 or bfloat16 on the CPU, not {found}")
    defaults = {"k_dtype": dtype, "v_dtype": dtype, "n_threads": torch.get_num_threads()}
    config = from_hf_config(model.config, sink_logits=sinks(model), **{**defaults, **fields})
    sorts = model.config.get_text_config(decoder=True).model_type in SORTED
    layers = config.layers and [at_zero(layer or config, sorts) for layer in config.layers]
    return replace(at_zero(config, sorts), layers=layers)


def at_zero(config: Config, sorts: bool) -> Config:
    """What is left of a config's rotation when the model has rotated to position 0: it has multiplied by the attention
    factor, and some sort the dims of a pair apart."""
    if config.rope_inv_freq is None:
        return config
    layout = RopeLayout.HALF_SPLIT if sorts else config.rope_layout
    return replace(config, rope_attention_factor=1.0, rope_layout=layout)


def runs_of(mask: torch.Tensor | None, n: int) -> list[Run] | None:
    """Each row's tokens among the newest n columns, or None where there is no padding."""
    if mask is None:
        return None
    if mask.dim() != 2:
        raise Unsupported("attention_mask must be (rows, columns): what a token sees is its sinks and window")
    new = mask[:, -n:] != 0
    if bool(new.all()):
        return None
    runs = []
    for row in new.tolist():
        first, count = (row.index(True), sum(row)) if any(row) else (0, 0)
        if not all(row[first : first + count]):
            raise Unsupported("attention_mask has padding between tokens of a row")
        runs.append((first, count))
    return runs


def padding_from(chunk: Chunk, column: int, row: int) -> int:
    """How many columns of padding a row has in the chunk at `column` and later."""
    first, count = chunk.runs[row]
    begin = min(max(column - chunk.column, 0), chunk.n)
    tokens = max(first + count - max(begin, first), 0)
    return chunk.n - begin - tokens


def cut(chunk: Chunk, column: int) -> Chunk:
    """What is left of a chunk when the columns from `column` on are taken back."""
    n = min(chunk.n, column - chunk.column)
    return Chunk(chunk.column, n, [(min(first, n), max(min(count, n - first), 0)) for first, count in chunk.runs])
