"""Does a model give the same logits with this library's attention as with its own?

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from typing import Any

import torch

from ._attention import detach, set_implementation
from ._cache import SinkCache
from ._config import Unsupported


def own(model: Any) -> str:
    """The model's own attention. (Falcon's eager one adds its ALiBi twice; sdpa does not.)"""
    return "sdpa" if model.config.model_type == "falcon" else "eager"


def verify(model: Any, *, tokens: int = 24, tolerance: float = 2e-3) -> float:
    """Compares eager attention with a SinkCache that keeps all of `tokens` tokens; in two calls, so that the second one
    finds the first one's keys. Returns the largest difference of a logit as a share of the largest logit, and raises
    Unsupported if it is more than `tolerance` (ten times that in float16 and bfloat16)."""
    size = model.config.get_text_config(decoder=True).vocab_size
    ids = torch.arange(3, 3 + 7 * tokens, 7)[None] % size
    half = tokens // 2
    detach(model)
    former = model.config._attn_implementation
    with torch.no_grad():
        set_implementation(model, own(model))
        expected = model(ids, use_cache=False).logits.float()
        set_implementation(model, former)
        cache = SinkCache(model, window=max(tokens, 1020))
        got = torch.cat([model(part, cache=cache).logits.float() for part in (ids[:, :half], ids[:, half:])], 1)
    difference = float((got - expected).abs().max() / expected.abs().max())
    if not difference <= tolerance * (1 if model.dtype == torch.float32 else 10):
        raise Unsupported(f"logits differ from eager attention's by {difference:.1e} of the largest one")
    return difference
