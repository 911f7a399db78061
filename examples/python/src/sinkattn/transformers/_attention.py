"""The attention implementation "sinkattn", and the hooks that tell it which cache a pass through a model has.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from types import MethodType
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.utils.hooks import RemovableHandle
from transformers import AttentionInterface, AttentionMaskInterface

from ._config import Unsupported

if TYPE_CHECKING:
    from ._cache import SinkCache

NAME = "sinkattn"
_active: ContextVar[SinkCache | None] = ContextVar("sinkattn_cache", default=None)


def attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: Any,
    scaling: float | None = None,
    softcap: float | None = None,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Stands where transformers' eager attention stands."""
    cache = _active.get()
    if cache is None:
        raise Unsupported('attn_implementation "sinkattn" needs cache=SinkCache(model)')
    if torch.is_grad_enabled() and query.requires_grad:
        raise Unsupported("attention of this library has no backward pass: use torch.no_grad()")
    number = module.layer_idx
    config = cache.config.layer(number)  # type: ignore[arg-type]
    same(number, "scaling", scaling, config.scale or config.head_dim**-0.5)
    same(number, "softcap", softcap or 0.0, config.softcap)
    if sliding_window is not None and config.window > sliding_window:
        raise Unsupported(f"layer {number} slides over {sliding_window} tokens, and its config says {config.window}")
    return cache.attend(number, query, key, value), None  # type: ignore[arg-type]


def same(number: Any, name: str, given: float | None, ours: float) -> None:
    if given is not None and abs(given - ours) > 1e-6 * abs(ours):
        raise Unsupported(f"layer {number} has {name} {given}, and its config {ours}")


def no_mask(*args: Any, **kwargs: Any) -> None:
    """What a token sees follows from its cache."""


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, no_mask)


def is_attached(model: Any) -> bool:
    return hasattr(model.get_decoder(), "_sinkattn")


def attach(model: Any) -> None:
    """Makes "sinkattn" the model's attention, and has passes with a SinkCache announced to it."""
    decoder = model.get_decoder()
    if is_attached(model):
        return
    former = model.config._attn_implementation
    set_implementation(model, NAME)
    names = list(inspect.signature(decoder.forward).parameters)
    decoder._sinkattn = Attached(
        former,
        decoder.register_forward_pre_hook(before(names), with_kwargs=True),
        decoder.register_forward_hook(after, with_kwargs=True, always_call=True),
    )


def detach(model: Any) -> None:
    """Makes a model what it was before its first SinkCache."""
    decoder = model.get_decoder()
    if is_attached(model):
        former, *hooks = decoder._sinkattn
        del decoder._sinkattn
        for hook in hooks:
            hook.remove()
        set_implementation(model, former)


class Attached(NamedTuple):
    former: str
    before: RemovableHandle
    after: RemovableHandle


def set_implementation(model: Any, name: str) -> None:
    """As model.set_attn_implementation, also for models of ours that it does not know."""
    if model._can_set_attn_implementation():
        model.set_attn_implementation(name)
        return
    if model.config.model_type != "falcon":
        raise Unsupported(f"{model.config.model_type} does not call transformers' attention interface")
    model.config._attn_implementation_internal = name
    for module in model.modules():
        if hasattr(module, "query_key_value"):
            patch(module, name)


def before(names: list[str]) -> Callable[..., tuple[tuple[()], dict[str, Any]]]:
    """Announces the cache of a pass, takes its mask, and puts every token at position 0: the library rotates."""

    def hook(decoder: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        kwargs = {**dict(zip(names, args, strict=False)), **kwargs}
        cache = cache_of(kwargs)
        if cache is not None:
            if decoder.config._attn_implementation != NAME:
                raise Unsupported('the attention implementation of a model with a SinkCache must stay "sinkattn"')
            tokens = kwargs.get("input_ids") if kwargs.get("input_ids") is not None else kwargs.get("inputs_embeds")
            n_rows, n = tokens.shape[:2]  # type: ignore[union-attr]
            refuse_others(kwargs)
            cache.begin(n_rows, n, kwargs.get("attention_mask"))
            kwargs["attention_mask"] = None
            kwargs["position_ids"] = torch.zeros((1, n), dtype=torch.long)
        _active.set(cache)
        return (), kwargs

    return hook


def refuse_others(kwargs: dict[str, Any]) -> None:
    """What a pass may ask for, and would not get."""
    if kwargs.get("output_attentions"):
        raise Unsupported("weights of attention are never written down: output_attentions must be False")
    positions = kwargs.get("position_ids")
    if positions is not None and positions.dim() == 3 and not bool((positions == positions[:1]).all()):
        raise Unsupported("position_ids of images have more than one axis, and a cache has places one behind the other")


def after(decoder: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
    cache = _active.get()
    _active.set(None)
    if cache is not None:
        cache.end(finished=output is not None)


def cache_of(kwargs: dict[str, Any]) -> SinkCache | None:
    from ._cache import SinkCache

    return next((value for value in kwargs.values() if isinstance(value, SinkCache)), None)


def sinks(model: Any) -> list[list[float]] | None:
    """The sink logits of each layer's heads, where the model has some among its weights (gpt-oss)."""
    modules = {m.layer_idx: m for m in model.modules() if isinstance(getattr(m, "sinks", None), torch.nn.Parameter)}
    return [modules[i].sinks.detach().float().tolist() for i in sorted(modules)] or None


# --- models that do not call the attention interface ---


def patch(module: Any, name: str) -> None:
    """Falcon computes attention in its own forward, in place of which ours is called."""
    if name == NAME:
        module.forward = MethodType(falcon, module)
    else:
        module.__dict__.pop("forward", None)


def falcon(self: Any, hidden_states: torch.Tensor, alibi: Any, attention_mask: Any, **kwargs: Any) -> Any:
    """FalconAttention.forward, by the attention above. Rotation is left out: all tokens stand at position 0."""
    rows, n, _ = hidden_states.shape
    grouped = self.new_decoder_architecture or not self.multi_query
    kv_heads = self.num_kv_heads if grouped else 1
    shape = (rows, n, kv_heads, self.num_heads // kv_heads + 2, self.head_dim)
    fused = self.query_key_value(hidden_states).view(shape)
    q = fused[..., :-2, :].flatten(2, 3).transpose(1, 2)
    k, v = fused[..., -2, :].transpose(1, 2), fused[..., -1, :].transpose(1, 2)
    if kwargs.get("layer_past") is not None:
        k, v = kwargs["layer_past"].update(k, v, self.layer_idx)
    out, _ = attention(self, q, k, v, None)
    return self.dense(out.flatten(2)), None
