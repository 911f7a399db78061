"""Tokens per second of single tokens, with eager attention, sdpa and a SinkCache, at the same number of keys.

    python bench.py MODEL.gguf           a real model
    python bench.py                      a random Llama of 4 layers, 32/8 heads of 128 dims

Rounds of the three are interleaved and medians are compared, so that a machine that others use too tells the same.

SPDX-License-Identifier: MIT
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    DynamicCache,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)
from transformers.utils import logging

from sinkattn.transformers import SinkCache, detach

Round = Callable[[int], None]


def load(path: Path | None) -> PreTrainedModel:
    if path is not None:
        return AutoModelForCausalLM.from_pretrained(str(path.parent), gguf_file=path.name, dtype=torch.float32).eval()
    config = LlamaConfig(
        vocab_size=4096,
        hidden_size=1024,
        intermediate_size=2048,
        num_hidden_layers=4,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=128,
        max_position_embeddings=8192,
    )
    return LlamaForCausalLM(config).eval()


def dense(model: PreTrainedModel, implementation: str, keys: int) -> Round:
    """Rounds on a cache of transformers that holds `keys` keys, and afterwards again."""
    detach(model)
    model.set_attn_implementation(implementation)
    cache = DynamicCache(config=model.config)
    fill(model, cache, keys)

    def run(tokens: int) -> None:
        detach(model)
        model.set_attn_implementation(implementation)
        decode(model, cache, tokens)
        cache.crop(-tokens)

    return run


def sinks(model: PreTrainedModel, keys: int) -> Round:
    cache = SinkCache(model, n_sink=4, window=keys - 4)
    fill(model, cache, keys + 100)

    def run(tokens: int) -> None:
        SinkCache(model)  # makes ours the model's attention
        decode(model, cache, tokens)

    return run


def fill(model: PreTrainedModel, cache: object, tokens: int) -> None:
    ids = torch.arange(1, 1 + tokens)[None] % model.config.vocab_size
    with torch.no_grad():
        for part in ids.split(256, 1):
            model(part, cache=cache, logits_to_keep=1)


def decode(model: PreTrainedModel, cache: object, tokens: int) -> None:
    ids = torch.tensor([[7]])
    with torch.no_grad():
        for _ in range(tokens):
            ids = model(ids, cache=cache).logits[:, -1:].argmax(-1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--keys", type=int, nargs="+", default=[1024, 4096])
    parser.add_argument("--tokens", type=int, default=16, help="of a round")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()

    logging.disable_progress_bar()
    model = load(args.model)
    print(f"{torch.get_num_threads()} threads, {model.dtype}")
    print(f"{'keys':>6}{'eager':>12}{'sdpa':>12}{'sinks':>12}   tokens/s; sinks/eager, sinks/sdpa")
    for keys in args.keys:
        runs = {name: dense(model, name, keys) for name in ("eager", "sdpa")}
        runs["sinks"] = sinks(model, keys)
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for number in range(args.rounds + 1):
            for name, run in runs.items():
                began = time.perf_counter()
                run(args.tokens)
                if number:  # the first round warms up
                    seconds[name].append(time.perf_counter() - began)
        rate = {name: args.tokens / statistics.median(times) for name, times in seconds.items()}
        rates = "".join(f"{rate[name]:12.1f}" for name in runs)
        print(
            f"{keys:>6}{rates}   {rate['sinks'] / rate['eager']:.2f} {rate['sinks'] / rate['sdpa']:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
