"""What the paper's authors compute, in PyTorch alone: attention over sinks and a window with positions in the cache.

Two forms that share no code with the library, nor with each other:
- `literal` goes token by token as the reference loop does: it keeps unrotated keys, throws out what is between sinks
  and window, and rotates all that is left to its place in the cache;
- `parallel` takes a whole text at once, with a mask and each query rotated twice.

Both are attention implementations of transformers, for a model that is told that every token stands at position 0.

SPDX-License-Identifier: MIT
"""

from collections.abc import Callable
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel

Tensor = torch.Tensor


def rotated(x: Tensor, positions: Tensor, frequencies: Tensor) -> Tensor:
    """x (..., tokens, dim) rotated to `positions` (tokens), dims i and i + dim/2 together; angles in double."""
    angles = positions.double()[:, None] * frequencies.double()
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


def grouped(x: Tensor, q: Tensor) -> Tensor:
    return x.repeat_interleave(q.shape[1] // x.shape[1], 1)


def literal(n_sink: int, window: int, frequencies: Tensor) -> Callable[..., tuple[Tensor, None]]:
    """The authors' loop; call the model with one token at a time. Evicting after a pass, their recent_size is
    window - 1."""
    kept: dict[int, tuple[Tensor, Tensor]] = {}

    def attention(
        module: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *args: Any,
        scaling: float,
        **kwargs: Any,
    ) -> Any:
        if module.layer_idx in kept:
            old_k, old_v = kept[module.layer_idx]
            k, v = torch.cat((old_k, k), 2), torch.cat((old_v, v), 2)
        n = k.shape[2]
        place = torch.arange(n)
        keys = rotated(grouped(k, q), place, frequencies)
        logits = rotated(q, place[-1:], frequencies) @ keys.transpose(2, 3) * scaling
        out = logits.softmax(-1) @ grouped(v, q)
        if n >= n_sink + window:
            k, v = (torch.cat((x[:, :, :n_sink], x[:, :, n - (window - 1) :]), 2) for x in (k, v))
        kept[module.layer_idx] = k, v
        return out.transpose(1, 2), None

    return attention


def parallel(n_sink: int, window: int, frequencies: Tensor, rows: int = 256) -> Callable[..., tuple[Tensor, None]]:
    """The same for a whole text: what token t sees, at distance min(t, n_sink + window - 1) - j of a sink j."""

    def attention(
        module: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *args: Any,
        scaling: float,
        **kwargs: Any,
    ) -> Any:
        at = torch.arange(q.shape[2])
        keys, values = rotated(grouped(k, q), at, frequencies), grouped(v, q)
        out = torch.empty_like(q)
        for i in range(0, len(at), rows):
            t = at[i : i + rows]
            first = max(int(t[0]) - window + 1, n_sink)
            u = torch.cat((at[:n_sink], at[first : int(t[-1]) + 1]))
            near = rotated(q[:, :, t], t.clamp(max=n_sink + window - 1), frequencies) @ keys[:, :, :n_sink].mT
            far = rotated(q[:, :, t], t, frequencies) @ keys[:, :, u[len(near[0, 0, 0]) :]].mT
            logits = torch.cat((near, far), -1) * scaling
            seen = (u <= t[:, None]) & ((u < n_sink) | (t[:, None] - u < window))
            out[:, :, t] = logits.masked_fill(~seen, -torch.inf).softmax(-1) @ values[:, :, u]
        return out.transpose(1, 2), None

    return attention


def logits(
    model: PreTrainedModel,
    ids: Tensor,
    form: Callable[..., Any],
    n_sink: int,
    window: int,
) -> Tensor:
    """Logits of a Llama-like model over ids (1, tokens) by one of the two forms."""
    AttentionInterface.register("reference", form(n_sink, window, model.get_decoder().rotary_emb.inv_freq))
    AttentionMaskInterface.register("reference", lambda *args, **kwargs: None)
    former = model.config._attn_implementation
    model.set_attn_implementation("reference")
    parts = ids.split(1 if form is literal else ids.shape[1], 1)
    with torch.no_grad():
        out = [model(part, position_ids=torch.zeros_like(part), use_cache=False).logits for part in parts]
    model.set_attn_implementation(former)
    return torch.cat(out, 1)
