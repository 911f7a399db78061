"""What generate() does with a cache: padding, chats, beams, assistants, streams without end.

SPDX-License-Identifier: MIT
"""

import copy
import os
from typing import Any

import pytest
import torch
from families import tiny
from transformers import DynamicCache, PreTrainedModel

from sinkattn.transformers import SinkCache, Unsupported

PROMPT = torch.tensor([[1, 5, 9, 77, 23, 4]])
GREEDY: dict[str, Any] = dict(do_sample=False, max_new_tokens=60)


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return tiny("llama")


def greedy(model: PreTrainedModel, ids: torch.Tensor, **options: Any) -> torch.Tensor:
    return model.generate(ids, cache=SinkCache(model, n_sink=4, window=28), **{**GREEDY, **options})


def pad(rows: list[list[int]]) -> dict[str, torch.Tensor]:
    n = max(len(row) for row in rows)
    return {
        "input_ids": torch.tensor([[0] * (n - len(row)) + row for row in rows]),
        "attention_mask": torch.tensor([[0] * (n - len(row)) + [1] * len(row) for row in rows]),
    }


def test_rows_of_a_padded_batch_are_what_they_are_alone(model: PreTrainedModel) -> None:
    rows = [[1, 5, 9], [1, 77, 23, 4, 8, 90, 12, 33, 2, 61], list(range(2, 50))]
    batch = pad(rows)
    got = model.generate(**batch, cache=SinkCache(model, n_sink=4, window=28), **GREEDY)
    for row, out in zip(rows, got, strict=True):
        assert out[-60:].tolist() == greedy(model, torch.tensor([row]))[0, -60:].tolist()


def test_padding_on_the_right_and_rows_of_padding_alone(model: PreTrainedModel) -> None:
    ids = torch.randint(2, 128, (2, 20))
    mask = torch.ones_like(ids)
    mask[0, 12:] = 0
    with torch.no_grad():
        cache, alone = SinkCache(model, window=8), SinkCache(model, window=8)
        model(ids, attention_mask=mask, cache=cache)
        model(ids[:1, :12], cache=alone)
        new = torch.cat((mask, torch.tensor([[0] * 5, [1] * 5])), 1)
        model(ids[:, :5], attention_mask=new, cache=cache)
        assert [s.info(0).tokens_seen for s in cache.sequences] == [12, 25]
        newest = torch.cat((new, torch.ones(2, 3, dtype=torch.long)), 1)
        got = model(ids[:, :3], attention_mask=newest, cache=cache).logits[:1]
        torch.testing.assert_close(got, model(ids[:1, :3], cache=alone).logits, rtol=0, atol=1e-4)
        with pytest.raises(Unsupported, match="padding between"):
            model(
                ids[:, :3],
                attention_mask=torch.tensor([[1, 0, 1], [1, 1, 1]]),
                cache=SinkCache(model),
            )


def test_phi3_goes_on_where_it_would_change_its_frequencies() -> None:
    parameters = dict(rope_type="longrope", rope_theta=1e4, factor=8.0, original_max_position_embeddings=64)
    parameters |= dict(short_factor=[1.0] * 8, long_factor=[2.0 + i for i in range(8)])
    phi3 = tiny("phi3", rope_parameters=parameters, original_max_position_embeddings=64)
    cache, ids = SinkCache(phi3, n_sink=4, window=40), PROMPT
    with torch.no_grad():
        for _ in range(120):
            new = phi3(ids[:, cache.get_seq_length() :], cache=cache).logits[:, -1:].argmax(-1)
            ids = torch.cat((ids, new), 1)
    got = phi3.generate(PROMPT, cache=SinkCache(phi3, n_sink=4, window=40), do_sample=False, max_new_tokens=120)
    assert torch.equal(got, ids)


def test_a_chat_goes_on_where_it_was(model: PreTrainedModel) -> None:
    cache = SinkCache(model, n_sink=4, window=28)
    first = model.generate(PROMPT, cache=cache, **GREEDY)
    turn = torch.cat((first, torch.tensor([[7, 8, 9]])), 1)
    again = model.generate(turn, cache=cache, **GREEDY)
    assert again[0, -60:].tolist() == greedy(model, turn)[0, -60:].tolist()
    assert cache.get_seq_length() == again.shape[1] - 1


def test_sampling_takes_the_same_numbers_as_with_eager_attention(model: PreTrainedModel) -> None:
    other = tiny("llama")
    options: dict[str, Any] = dict(do_sample=True, temperature=1.3, num_return_sequences=3, max_new_tokens=100)
    texts = []
    for one, cache in ((other, DynamicCache(config=other.config)), (model, SinkCache(model))):
        torch.manual_seed(0)
        texts.append(one.generate(PROMPT, cache=cache, **options))
    assert torch.equal(*texts) and len(texts[0].unique(dim=0)) == 3


@pytest.mark.parametrize("beams", [2, 5])
def test_beams_are_those_of_eager_attention(model: PreTrainedModel, beams: int) -> None:
    other = tiny("llama")
    expected = other.generate(PROMPT, cache=DynamicCache(config=other.config), num_beams=beams, **GREEDY)
    got = model.generate(PROMPT, cache=SinkCache(model), num_beams=beams, **GREEDY)
    assert torch.equal(got, expected)


def test_beams_beyond_the_window_and_over_a_padded_batch(
    model: PreTrainedModel,
) -> None:
    batch = pad([[1, 5, 9], [1, 77, 23, 4, 8, 90, 12, 33, 2, 61]])
    cache = SinkCache(model, n_sink=4, window=12)
    got = model.generate(**batch, cache=cache, num_beams=3, **GREEDY)
    for row, prompt in enumerate(([1, 5, 9], [1, 77, 23, 4, 8, 90, 12, 33, 2, 61])):
        alone = SinkCache(model, n_sink=4, window=12)
        expected = model.generate(torch.tensor([prompt]), cache=alone, num_beams=3, **GREEDY)
        assert got[row, -60:].tolist() == expected[0, -60:].tolist()
    assert cache.sequences[0].pool.info().n_open == 6


def test_an_assistant_changes_nothing_but_the_time(model: PreTrainedModel) -> None:
    expected = greedy(model, PROMPT, max_new_tokens=150)
    assistant = copy.deepcopy(tiny("llama", seed=3))
    assert torch.equal(greedy(model, PROMPT, max_new_tokens=150, assistant_model=assistant), expected)
    assert torch.equal(greedy(model, PROMPT, max_new_tokens=150, prompt_lookup_num_tokens=5), expected)


def test_crop_repeat_and_select(model: PreTrainedModel) -> None:
    ids = torch.randint(2, 128, (2, 40))
    mask = torch.ones_like(ids)
    mask[0, :9] = 0
    with torch.no_grad():
        cache = SinkCache(model, n_sink=2, window=16)
        model(ids, attention_mask=mask, cache=cache)
        expected = model(ids[:, :4], attention_mask=torch.cat((mask, mask[:, -4:]), 1), cache=cache).logits
        cache.crop(-4)
        assert cache.get_seq_length() == 40
        again = model(ids[:, :4], attention_mask=torch.cat((mask, mask[:, -4:]), 1), cache=cache).logits
        torch.testing.assert_close(again, expected, rtol=0, atol=1e-5)
        cache.batch_repeat_interleave(2)
        cache.batch_select_indices(torch.tensor([3, 0]))
        assert [s.info(0).tokens_seen for s in cache.sequences] == [44, 35]
        # Back into the chunk with the padding, to its fifth column: of row 0, padding alone is left.
        fresh = SinkCache(model, n_sink=2, window=64)
        model(ids, attention_mask=mask, cache=fresh)
        fresh.crop(-35)
        assert [s.info(0).tokens_seen for s in fresh.sequences] == [0, 5]
        fresh.crop(-2)
        assert [s.info(0).tokens_seen for s in fresh.sequences] == [0, 3]


def test_a_pass_that_breaks_off_is_undone(model: PreTrainedModel) -> None:
    cache = SinkCache(model, window=28)
    with torch.no_grad():
        model(PROMPT, cache=cache)
        broken = model.get_decoder().layers[1].register_forward_pre_hook(lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            model(PROMPT, cache=cache)
        broken.remove()
    assert cache.get_seq_length() == 6
    assert [cache.sequences[0].info(layer).tokens_seen for layer in (0, 1)] == [6, 6]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype: torch.dtype) -> None:
    model = tiny("llama").to(dtype)
    with torch.no_grad():
        expected = tiny("llama")(PROMPT).logits
        got = model(PROMPT, cache=SinkCache(model)).logits
    assert got.dtype == dtype
    assert float((got.float() - expected).abs().max()) < 0.1 * float(expected.abs().max())


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="no /proc here")
def test_memory_of_a_long_text_is_flat() -> None:
    tokens = int(os.environ.get("STREAM_TOKENS", "20000"))
    model = tiny("llama", num_hidden_layers=1, max_position_embeddings=256)
    cache = SinkCache(model, n_sink=4, window=252)
    model.generate(PROMPT, cache=cache, do_sample=False, max_new_tokens=1000)
    before, size = resident(), cache.sequences[0].info().cache_size
    cache.reset()
    out = model.generate(PROMPT, cache=cache, do_sample=False, max_new_tokens=tokens)
    facts = cache.sequences[0].info()
    assert (out.shape[1], facts.tokens_seen) == (6 + tokens, 5 + tokens)
    assert facts.cache_size == size and facts.positions_held == 256
    # What generate() itself keeps of each token (its number and its place in the mask) is 16 bytes.
    assert resident() - before < 64 * tokens + 8 * 2**20
