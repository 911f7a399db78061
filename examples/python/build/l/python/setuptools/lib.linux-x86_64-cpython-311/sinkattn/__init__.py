"""The key/value cache and attention of a transformer that never stops.

    cache = sinkattn.create(n_layers=2, n_heads=4, n_kv_heads=2, head_dim=64, n_sink=4, window=1020,
                            position=sinkattn.Position.ROPE)
    out = cache.append_attend(layer, q, k, v)      # (tokens, heads, dim); NumPy arrays or torch CPU tensors

sinkattn.transformers runs models of Hugging Face's library on it.

SPDX-License-Identifier: MIT
"""

from ._cache import ALL_LAYERS, END, Cache
from ._config import Config
from ._enums import (
    ConfigFlag,
    Dtype,
    Gap,
    Isa,
    KeyForm,
    Policy,
    Position,
    PositionMode,
    RopeLayout,
    RopeScaling,
    SinkKvPosition,
    SpanKind,
    Status,
)
from ._errors import Error, text
from ._facts import CacheFacts, PoolFacts, Span
from ._native import lib as _lib
from ._partial import Partial, finish, merge
from ._pool import Pool, create
from ._step import Result, Step

__version__ = text(_lib.sa_version_string())


def best_isa() -> Isa:
    """The instruction set that Isa.AUTO takes on this processor."""
    return Isa(_lib.sa_isa_best())


def isa_available(isa: Isa) -> bool:
    """Do this build and processor have it?"""
    return bool(_lib.sa_isa_available(isa))


__all__ = [
    "ALL_LAYERS",
    "END",
    "Cache",
    "CacheFacts",
    "Config",
    "ConfigFlag",
    "Dtype",
    "Error",
    "Gap",
    "Isa",
    "KeyForm",
    "Partial",
    "Policy",
    "Pool",
    "PoolFacts",
    "Position",
    "PositionMode",
    "Result",
    "RopeLayout",
    "RopeScaling",
    "SinkKvPosition",
    "Span",
    "SpanKind",
    "Status",
    "Step",
    "best_isa",
    "create",
    "finish",
    "isa_available",
    "merge",
]
