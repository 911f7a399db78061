"""What a layer, its spans, and a pool hold, as named tuples of the C structs.

SPDX-License-Identifier: MIT
"""

from typing import Any, NamedTuple

from ._enums import Isa, SpanKind


class CacheFacts(NamedTuple):
    """Facts of a layer, and of its cache: `sa_cache_facts` of the header."""

    isa: Isa
    tokens_seen: int
    tokens_held: int
    positions_held: int
    rollback_now: int
    cache_size: int
    kv_size: int
    n_threads: int
    max_append: int
    n_lanes: int
    n_draft: int
    rows_used: int
    keys_in_front: int
    keys_most: int

    @classmethod
    def of(cls, native: Any) -> "CacheFacts":
        facts = cls(*(getattr(native, name) for name in cls._fields))
        return facts._replace(isa=Isa(facts.isa))


class PoolFacts(NamedTuple):
    """Facts of a pool and of a kv head's lane: `sa_pool_facts` of the header."""

    n_sequences: int
    n_open: int
    pool_size: int
    tiles: int
    tiles_free: int
    tile_size: int

    @classmethod
    def of(cls, native: Any) -> "PoolFacts":
        return cls(*(getattr(native, name) for name in cls._fields))


class Span(NamedTuple):
    """A run of stream positions that a layer holds: `sa_span` of the header."""

    start: int
    end: int
    shift: int
    kind: SpanKind
    masked: bool

    @classmethod
    def of(cls, native: Any) -> "Span":
        # A field named `from` is no Python attribute.
        start = getattr(native, "from")
        return cls(start, native.end, native.shift, SpanKind(native.kind), bool(native.masked))
