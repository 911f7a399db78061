"""Does a model give the same logits with this library's attention as with its own?

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from typing import Any

import torch

from ._attention import attach, detach, is_attached, set_implementation
from ._cache import SinkCache
from ._config import Unsupported


def own(model: Any) -> str:
    """The model's own attention. (Falcon's eager one adds its ALiBi twice; sdpa does not.)"""
    return "sdpa" if model.config.model_type == "falcon" else "eager"


def own_logits(model: Any, ids: torch.Tensor) -> torch.Tensor:
    former = model.config._attn_implementation
    set_implementation(model, own(model))
    try:
        return model(ids, use_cache=False).logits.float()  # type: ignore[no-any-return]
    finally:
        set_implementation(model, former)


def verify(model: Any, *, tokens: int = 24, tolerance: float = 2e-3) -> float:
    """Compares eager attention with a SinkCache that keeps all of `tokens` tokens; in two calls, so that the second one
    finds the first one's keys. The model's attention stays what it was. Returns the largest difference of a logit as a
    share of the largest logit, and raises Unsupported if it is more than `tolerance` (ten times that in float16 and
    bfloat16)."""
    size = model.config.get_text_config(decoder=True).vocab_size
    ids = torch.arange(3, 3 + 7 * tokens, 7)[None] % size
    attached = is_attached(model)
    detach(model)
    try:
        with torch.no_grad():
            expected = own_logits(model, ids)
            cache = SinkCache(model, window=max(tokens, 1020))
            parts = (ids[:, : tokens // 2], ids[:, tokens // 2 :])
            got = torch.cat([model(part, cache=cache).logits.float() for part in parts], 1)
    finally:
        (attach if attached else detach)(model)
    difference = float((got - expected).abs().max() / expected.abs().max())
    if not difference <= tolerance * (1 if model.dtype == torch.float32 else 10):
        raise Unsupported(f"logits differ from eager attention's by {difference:.1e} of the largest one")
    return difference
