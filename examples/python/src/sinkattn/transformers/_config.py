"""What a Hugging Face config says about attention, as a sinkattn.Config.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from transformers.cache_utils import get_layer_types_and_kwargs
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from .._config import Config
from .._enums import Policy, Position, RopeLayout

# Models that rotate dims 2i and 2i + 1, as their projections give q and k.
INTERLEAVED = {
    "gptj", "codegen", "cohere", "cohere2", "glm", "glm4", "helium", "ernie4_5", "deepseek_v2", "deepseek_v3",
}  # fmt: skip

Fields = dict[str, Any]


class Unsupported(ValueError):
    """A model, or a way to call it, that attention of this library cannot be put into; the message says why."""


def from_hf_config(
    config: Any,
    *,
    n_sink: int = 4,
    window: int = 1020,
    sink_logits: Sequence[Sequence[float]] | None = None,
    **fields: Any,
) -> Config:
    """The Config of a Hugging Face decoder-only model that keeps `n_sink` sinks and a window of `window` tokens.

    Keys and queries are expected as the model has them before it rotates them. A sliding layer whose own window is not
    larger than `window` stays what it is; so such a layer attends exactly as in the dense model, for ever. gpt-oss has
    its sinks among its weights: `sink_logits` has those of each layer. `fields` are further fields of Config, which
    replace what is found.

    Raises Unsupported, with the reason, for what cannot be said.
    """
    text = config.get_text_config(decoder=True)
    types = layer_types(text)
    refuse_others(text, types)
    layers = [
        layer_fields(text, types, number, n_sink, window) | sinks_of(text, sink_logits, number)
        for number in range(len(types))
    ]
    common = {"n_layers": len(types), **fields}
    if all(layer == layers[0] for layer in layers):
        return Config(**{**layers[0], **common})
    whole = Config(**common)
    return replace(whole, layers=[Config(**{**layer, **of_a_layer(fields)}) for layer in layers])


# Fields that are read of the whole cache alone.
WHOLE = {"n_layers", "max_append", "rollback", "isa", "n_threads", "io_dtype", "n_sequences", "max_draft"}


def of_a_layer(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if name not in WHOLE}


def layer_types(text: Any) -> list[tuple[str, int | None]]:
    """Each layer's type and, if it slides, its window."""
    types, kwargs = get_layer_types_and_kwargs(text)
    return [(kind, kw.get("sliding_window")) for kind, kw in zip(types, kwargs, strict=True)]


def refuse_others(text: Any, types: list[tuple[str, int | None]]) -> None:
    strange = sorted({kind for kind, _ in types} - {"full_attention", "sliding_attention"})
    if strange:
        raise Unsupported(f"{text.model_type} has layers that do not attend to keys of their own: {', '.join(strange)}")
    if getattr(text, "is_encoder_decoder", False):
        raise Unsupported(f"{text.model_type} has an encoder")
    if getattr(text, "is_heterogeneous", False):
        raise Unsupported(f"{text.model_type} has layers of more than one shape")
    if getattr(text, "num_kv_shared_layers", 0):
        raise Unsupported(f"{text.model_type} shares keys between layers")
    if getattr(text, "use_bidirectional_attention", False):
        raise Unsupported(f"{text.model_type} attends in both directions")


def layer_fields(text: Any, types: list[tuple[str, int | None]], number: int, n_sink: int, window: int) -> Fields:
    kind, sliding = types[number]
    kept: Fields = {"n_sink": n_sink, "window": window}
    if sliding is not None and sliding <= window:
        kept = {"policy": Policy.WINDOW, "window": sliding}
    fields = geometry(text) | kept | softmax(text)
    return fields | position(text, kind, number, fields["head_dim"], n_sink + window)


def geometry(text: Any) -> Fields:
    heads = text.num_attention_heads
    if getattr(text, "kv_lora_rank", None):
        # Multi-head latent attention, with keys and values written out: the rotated dims come last.
        dim = text.qk_nope_head_dim + text.qk_rope_head_dim
        return {"n_heads": heads, "head_dim": dim, "v_head_dim": text.v_head_dim}
    kv_heads = getattr(text, "num_key_value_heads", None) or heads
    if text.model_type == "falcon":
        kv_heads = text.num_kv_heads if text.new_decoder_architecture or not text.multi_query else 1
    return {"n_heads": heads, "n_kv_heads": kv_heads, "head_dim": head_dim(text)}


def head_dim(text: Any) -> int:
    return int(getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads)


def softmax(text: Any) -> Fields:
    """Scale and softcap, where they are not the usual ones."""
    fields: Fields = {}
    if getattr(text, "query_pre_attn_scalar", None):
        fields["scale"] = text.query_pre_attn_scalar**-0.5
    if getattr(text, "attention_multiplier", None):
        fields["scale"] = text.attention_multiplier
    if getattr(text, "kv_lora_rank", None):
        fields["scale"] = latent_scale(text)
    if getattr(text, "attn_logit_softcapping", None):
        fields["softcap"] = text.attn_logit_softcapping
    return fields


def latent_scale(text: Any) -> float:
    """DeepSeek's, with the square of YaRN's factor in it."""
    scale = float((text.qk_nope_head_dim + text.qk_rope_head_dim) ** -0.5)
    rope = text.rope_parameters
    all_dim = rope.get("mscale_all_dim", 0)
    if rope.get("rope_type", "default") == "default" or not all_dim or rope["factor"] <= 1:
        return scale
    return scale * float(0.1 * all_dim * math.log(rope["factor"]) + 1) ** 2


def position(text: Any, kind: str, number: int, dim: int, held: int) -> Fields:
    if text.model_type == "bloom" or (text.model_type == "falcon" and text.alibi):
        return alibi(text, dim)
    if without_rotation(text, kind, number):
        return {"position": Position.NONE}
    frequencies, attention_factor = rope(text, kind, held)
    fields: Fields = {
        "position": Position.ROPE,
        "rope_inv_freq": frequencies,
        "rope_dims": 2 * len(frequencies),
        "rope_attention_factor": attention_factor,
    }
    if getattr(text, "kv_lora_rank", None):
        fields["rope_offset"] = text.qk_nope_head_dim
    if text.model_type in INTERLEAVED and getattr(text, "rope_interleave", True):
        fields["rope_layout"] = RopeLayout.INTERLEAVED
    return fields


def alibi(text: Any, dim: int) -> Fields:
    fields: Fields = {"position": Position.ALIBI}
    if text.model_type == "falcon":
        # Falcon scales the bias together with the products; slopes come after the scale here.
        fields["alibi_slopes"] = [slope / math.sqrt(dim) for slope in alibi_slopes(text.num_attention_heads)]
    return fields


def alibi_slopes(heads: int) -> list[float]:
    """Press et al.'s: for the largest power of two in `heads`, then every other one of twice as many."""
    power = 2 ** math.floor(math.log2(heads))
    slopes = [2.0 ** (-8 * (i + 1) / power) for i in range(power)]
    return slopes + [2.0 ** (-4 * (2 * i + 1) / power) for i in range(heads - power)]


def without_rotation(text: Any, kind: str, number: int) -> bool:
    if text.model_type == "cohere2":
        return kind == "full_attention"
    used: Any = getattr(text, "no_rope_layers", None)  # 1: the layer rotates
    return bool(used) and not used[number]


def rope(text: Any, kind: str, held: int) -> tuple[list[float], float]:
    """The frequencies of a layer's type, and the factor of its q and k; `held` tokens are the most that it sees."""
    if text.model_type in ("gptj", "codegen"):
        return default_frequencies(10000.0, text.rotary_dim or head_dim(text)), 1.0
    parameters = getattr(text, "rope_parameters", None)
    if not parameters:
        raise Unsupported(f"{text.model_type} has neither rotary positions nor ALiBi as this library knows them")
    nested = "rope_type" not in parameters
    own = parameters[kind] if nested else parameters
    scaling = own["rope_type"]
    if "dynamic" in scaling and held > text.max_position_embeddings:
        raise Unsupported(
            f"rope_type {scaling} changes frequencies beyond {text.max_position_embeddings} tokens, which stored keys "
            f"cannot follow: n_sink + window must not be larger"
        )
    if scaling == "default" or "dynamic" in scaling:
        dims = int(getattr(text, "qk_rope_head_dim", None) or head_dim(text))
        return default_frequencies(own["rope_theta"], int(dims * own.get("partial_rotary_factor", 1.0))), 1.0
    if scaling not in ROPE_INIT_FUNCTIONS:
        raise Unsupported(f"rope_type {scaling} is unknown")
    of_type = {"layer_type": kind} if nested else {}
    frequencies, factor = ROPE_INIT_FUNCTIONS[scaling](text, "cpu", seq_len=held, **of_type)
    return [float(x) for x in frequencies], float(factor)


def default_frequencies(theta: float, dims: int) -> list[float]:
    return [theta ** (-i / dims) for i in range(0, dims, 2)]


def sinks_of(text: Any, sink_logits: Sequence[Sequence[float]] | None, number: int) -> Fields:
    if sink_logits is not None:
        return {"sink_logits": [float(x) for x in sink_logits[number]]}
    if text.model_type == "gpt_oss":
        raise Unsupported("gpt_oss has a sink logit for each head among its weights: sink_logits is missing")
    return {}
