"""Every family says with a SinkCache what it says with eager attention, and what the paper's authors compute.

SPDX-License-Identifier: MIT
"""

from typing import Any

import pytest
import reference
import torch
from families import FAMILIES, tiny
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache

import sinkattn
from sinkattn.transformers import SinkCache, Unsupported, detach, from_hf_config, verify

PROMPT = torch.tensor([[1, 5, 9, 77, 23, 4]])


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_text_of_500_tokens_is_that_of_eager_attention(family: str) -> None:
    model = tiny(family)
    # Falcon computes its ALiBi in bfloat16, whatever the model's dtype: beyond 256 tokens, distances are rounded.
    tokens = 200 if family == "falcon alibi" else 500
    expected = model.generate(PROMPT, cache=DynamicCache(config=model.config), max_new_tokens=tokens, do_sample=False)
    got = model.generate(PROMPT, cache=SinkCache(model, window=1020), max_new_tokens=tokens, do_sample=False)
    assert expected.shape == (1, 6 + tokens) and torch.equal(got, expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_eager_attention(family: str) -> None:
    assert verify(tiny(family, seed=1), tokens=200) < 2e-4


ROPES: dict[str, dict[str, Any]] = {
    "linear": dict(factor=4.0),
    "dynamic": dict(factor=4.0),
    "yarn": dict(factor=4.0, original_max_position_embeddings=64),
    "llama3": dict(
        factor=8.0,
        low_freq_factor=1.0,
        high_freq_factor=4.0,
        original_max_position_embeddings=64,
    ),
    "longrope": dict(
        short_factor=[1.0 + i / 8 for i in range(8)],
        long_factor=[2.0 + i for i in range(8)],
        factor=8.0,
    ),
}


@pytest.mark.parametrize("scaling", ROPES)
def test_rope_scalings(scaling: str) -> None:
    parameters = dict(rope_type=scaling, rope_theta=10000.0, **ROPES[scaling])
    if scaling == "longrope":
        parameters["original_max_position_embeddings"] = 2048  # so a window of 1020 takes the short factors
    model = tiny("llama", rope_parameters=parameters)
    assert verify(model, tokens=100) < 2e-4
    config = from_hf_config(model.config)
    assert config.position == sinkattn.Position.ROPE and config.rope_dims == 16
    expected = {"yarn": 0.1 * 1.3862943611198906 + 1}.get(scaling, 1.0)
    if scaling != "longrope":
        assert config.rope_attention_factor == pytest.approx(expected)


def test_longrope_takes_the_long_factors_where_the_window_is_long() -> None:
    parameters = dict(
        rope_type="longrope",
        rope_theta=10000.0,
        original_max_position_embeddings=64,
        **ROPES["longrope"],
    )
    config = tiny("llama", rope_parameters=parameters).config
    short, long = (from_hf_config(config, n_sink=4, window=w).rope_inv_freq for w in (60, 61))
    assert short and long and short[0] == 1.0 and long[0] == 0.5


def test_a_rotation_that_is_not_the_models_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sinkattn.transformers._config.INTERLEAVED", {"llama"})
    with pytest.raises(Unsupported, match="logits differ"):
        verify(tiny("llama"))


def test_a_family_that_is_not_known_is_compared_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sinkattn.transformers._cache.TESTED", set())
    SinkCache(tiny("llama"))
    monkeypatch.setattr("sinkattn.transformers._config.INTERLEAVED", {"llama"})
    model = tiny("llama")
    with pytest.raises(Unsupported, match="logits differ"):
        SinkCache(model)
    assert model.config._attn_implementation == "eager"


@pytest.mark.parametrize(("n_sink", "window"), [(4, 28), (0, 17), (1, 40), (3, 1)])
def test_beyond_the_window_it_is_what_the_authors_compute(n_sink: int, window: int) -> None:
    model = tiny("llama")
    ids = torch.randint(2, 128, (1, 150))
    literal = reference.logits(model, ids, reference.literal, n_sink, window)
    parallel = reference.logits(model, ids, reference.parallel, n_sink, window)
    torch.testing.assert_close(parallel, literal, rtol=0, atol=2e-4)
    with torch.no_grad():
        for cuts in ([150], [1] * 150, [70, 1, 1, 64, 14]):
            cache = SinkCache(model, n_sink=n_sink, window=window)
            got = torch.cat([model(part, cache=cache).logits for part in ids.split(cuts, 1)], 1)
            torch.testing.assert_close(got, literal, rtol=0, atol=2e-4)


def test_sliding_layers_keep_their_own_window() -> None:
    config = from_hf_config(tiny("gemma2").config, n_sink=4, window=60)
    sliding, full = (config.layer(i) for i in (0, 1))
    assert (sliding.policy, sliding.window, sliding.n_sink) == (
        sinkattn.Policy.WINDOW,
        32,
        0,
    )
    assert (full.policy, full.window, full.n_sink) == (
        sinkattn.Policy.SINK_WINDOW,
        60,
        4,
    )
    assert full.softcap == 50.0 and full.scale == pytest.approx(256**-0.5)
    narrow = from_hf_config(tiny("gemma2").config, n_sink=4, window=20)
    assert narrow.layer(0).window == 20 and narrow.layer(0).n_sink == 4


def test_deepseeks_scale_has_yarns_factor_in_it() -> None:
    parameters = dict(
        rope_type="yarn", rope_theta=10000.0, factor=40.0, mscale=1.0, mscale_all_dim=1.0,
        original_max_position_embeddings=64,
    )  # fmt: skip
    model = tiny("deepseek_v3", rope_parameters=parameters)
    config = from_hf_config(model.config)
    assert config.scale == pytest.approx(32**-0.5 * (0.1 * 3.6888794541139363 + 1) ** 2)
    assert (config.rope_offset, config.rope_dims, config.v_head_dim) == (16, 16, 24)
    assert verify(model) < 2e-4


@pytest.mark.parametrize(
    ("model_type", "fields", "reason"),
    [
        ("mamba", {}, "mamba|layers"),
        ("t5", {}, "encoder"),
        ("gpt2", {}, "neither rotary positions nor ALiBi"),
        ("gpt_oss", dict(num_hidden_layers=2), "sink_logits is missing"),
        ("llama4_text", dict(num_hidden_layers=4), "chunked_attention"),
        ("qwen3_next", {}, "linear_attention"),
        ("gemma3n_text", {}, "do not attend to keys of their own"),
        ("gemma3_text", dict(use_bidirectional_attention=True), "both directions"),
        ("gemma3_text", dict(num_kv_shared_layers=2), "shares keys"),
        ("gemma4_text", {}, "more than one shape"),
        ("llama", dict(rope_parameters=dict(rope_type="spiral", rope_theta=1e4)), "spiral is unknown"),
        (
            "llama",
            dict(
                max_position_embeddings=512,
                rope_parameters=dict(rope_type="dynamic", factor=2.0, rope_theta=1e4),
            ),
            "dynamic changes frequencies",
        ),
    ],
)
def test_what_cannot_be_said_is_refused_with_the_reason(model_type: str, fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unsupported, match=reason):
        from_hf_config(AutoConfig.for_model(model_type, **fields))


def test_without_a_cache_of_ours_nothing_is_computed() -> None:
    model = tiny("llama")
    SinkCache(model)
    with pytest.raises(Unsupported, match="needs cache=SinkCache"), torch.no_grad():
        model(PROMPT)
    with pytest.raises(Unsupported, match="no backward"):
        model(PROMPT, cache=SinkCache(model))
    cache = SinkCache(model)
    with torch.no_grad():
        with pytest.raises(Unsupported, match="of one model"):
            tiny("llama")(PROMPT, cache=cache)
        model.set_attn_implementation("sdpa")
        with pytest.raises(Unsupported, match='must stay "sinkattn"'):
            model(PROMPT, cache=cache)
        assert cache.get_seq_length() == 0
        detach(model)
        assert model.config._attn_implementation == "eager"
        model(PROMPT)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (dict(n_sink=-1), "n_sink must be"),
        (dict(window=0), "window must be"),
        (dict(rollback=-1), "rollback must be"),
        (dict(k_dtype=77), "k_dtype must be"),
    ],
)
def test_a_cache_that_cannot_be_leaves_the_model_as_it_was(fields: dict[str, Any], reason: str) -> None:
    model = tiny("llama")
    with pytest.raises(sinkattn.Error, match=reason):
        SinkCache(model, **fields)
    with pytest.raises(Unsupported, match="float64"):
        SinkCache(tiny("llama").double())
    verify(model)
    assert model.config._attn_implementation == "eager"


def test_a_model_without_the_attention_interface_is_refused() -> None:
    sizes = dict(hidden_size=64, n_layer=2, n_head=4, vocab_size=128)
    bloom = AutoModelForCausalLM.from_config(AutoConfig.for_model("bloom", **sizes))
    with pytest.raises(Unsupported, match="does not call"):
        SinkCache(bloom)


def test_a_pass_that_would_get_something_else_is_refused() -> None:
    model = tiny("llama")
    image = torch.arange(18).view(3, 1, 6)
    with torch.no_grad():
        for asked, reason in (
            (dict(attention_mask=torch.ones(1, 1, 6, 6)), "must be .rows, columns."),
            (dict(output_attentions=True), "never written down"),
            (dict(position_ids=image), "more than one axis"),
        ):
            with pytest.raises(Unsupported, match=reason):
                model(PROMPT, cache=SinkCache(model), **asked)
        cache = SinkCache(model)
        model(PROMPT, cache=cache)
        with pytest.raises(Unsupported, match="1 rows, and the batch 2"):
            model(PROMPT.repeat(2, 1), cache=cache)
        assert cache.get_seq_length() == 6
        model.get_decoder().layers[0].self_attn.scaling = 0.5
        with pytest.raises(Unsupported, match="scaling 0.5"):
            model(PROMPT, cache=cache)
        sliding = tiny("mistral")
        cache = SinkCache(sliding)
        sliding.config.sliding_window = 8
        with pytest.raises(Unsupported, match="slides over 8"):
            sliding(PROMPT, cache=cache)
