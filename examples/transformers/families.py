"""Tiny random models of many families, sharp enough that a wrong rotation, window or sink changes what they say.

SPDX-License-Identifier: MIT
"""

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

BASE: dict[str, Any] = dict(
    vocab_size=128,
    hidden_size=64,
    intermediate_size=128,
    num_hidden_layers=2,
    num_attention_heads=4,
    max_position_embeddings=4096,
    bos_token_id=1,
    eos_token_id=None,
    pad_token_id=0,
    initializer_range=0.2,
)
GROUPED = dict(BASE, num_key_value_heads=2)
LATENT = dict(
    BASE,
    num_key_value_heads=4,
    moe_intermediate_size=32,
    n_routed_experts=4,
    n_shared_experts=1,
    num_experts_per_tok=2,
    n_group=1,
    topk_group=1,
    kv_lora_rank=32,
    q_lora_rank=None,
    qk_rope_head_dim=16,
    qk_nope_head_dim=16,
    v_head_dim=24,
    first_k_dense_replace=1,
)
SLIDING_THEN_FULL = ["sliding_attention", "full_attention"]

FAMILIES: dict[str, dict[str, Any]] = {
    "llama": GROUPED,
    "mistral": dict(GROUPED, sliding_window=32),
    "qwen2": GROUPED,
    "qwen3": dict(GROUPED, head_dim=32),
    "gemma2": dict(GROUPED, head_dim=16, sliding_window=32, layer_types=SLIDING_THEN_FULL),
    "gemma3_text": dict(GROUPED, head_dim=16, sliding_window=32, layer_types=SLIDING_THEN_FULL),
    "phi": BASE,
    "phi3": GROUPED,
    "gpt_neox": dict(BASE, rotary_pct=0.25),
    "gptj": dict(BASE, rotary_dim=8, n_inner=128),
    "falcon": dict(BASE, num_kv_heads=2, new_decoder_architecture=True),
    "falcon multi-query": dict(BASE, multi_query=True, new_decoder_architecture=False),
    "falcon alibi": dict(BASE, alibi=True, multi_query=False, new_decoder_architecture=False),
    "gpt_oss": dict(
        GROUPED,
        head_dim=16,
        sliding_window=32,
        num_local_experts=4,
        num_experts_per_tok=2,
    ),
    "cohere": GROUPED,
    "cohere2": dict(GROUPED, sliding_window=32, layer_types=SLIDING_THEN_FULL),
    "glm": dict(GROUPED, head_dim=16),
    "granite": dict(GROUPED, attention_multiplier=0.1),
    "olmo2": GROUPED,
    "smollm3": dict(GROUPED, no_rope_layers=[1, 0]),
    "stablelm": GROUPED,
    "starcoder2": GROUPED,
    "deepseek_v2": LATENT,
    "deepseek_v3": LATENT,
}


def tiny(family: str, seed: int = 0, **changes: Any) -> PreTrainedModel:
    """A random model in float32 of a family of FAMILIES; `changes` are further fields of its config."""
    torch.manual_seed(seed)
    config = AutoConfig.for_model(family.split()[0], **{**FAMILIES[family], **changes})
    # Falcon's eager attention adds its ALiBi twice.
    own = "sdpa" if family == "falcon alibi" else "eager"
    model = AutoModelForCausalLM.from_config(config, attn_implementation=own).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("sinks"):
            torch.nn.init.normal_(parameter)
    return model
