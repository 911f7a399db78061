"""Tokens per second of single tokens, with eager attention, sdpa and a SinkCache, at the same number of keys.

    python bench.py                      a random Llama of 4 layers, 32/8 heads of 128 dims
    python bench.py MODEL.gguf           a real model
    python bench.py --at-least 1.5       fails where a SinkCache is not so many times as fast as the other two

Rounds are interleaved, and a ratio is the median of those of each round, so that a machine that others use too tells
nearly the same. "no keys" is the model with a SinkCache that holds a single token: no attention can be faster, since
what is left are the model's own matrix products.

SPDX-License-Identifier: MIT
"""

import argparse
import statistics
import sys
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


def dense(model: PreTrainedModel, implementation: str, keys: int, rows: int) -> Round:
    """Rounds on a cache of transformers that holds `keys` keys, and afterwards again."""
    detach(model)
    model.set_attn_implementation(implementation)
    cache = DynamicCache(config=model.config)
    fill(model, cache, keys, rows)

    def run(tokens: int) -> None:
        detach(model)
        model.set_attn_implementation(implementation)
        decode(model, cache, tokens, rows)
        cache.crop(-tokens)

    return run


def sinks(model: PreTrainedModel, keys: int, rows: int) -> Round:
    n_sink = min(4, keys - 1)
    cache = SinkCache(model, n_sink=n_sink, window=keys - n_sink)
    fill(model, cache, keys + 100, rows)

    def run(tokens: int) -> None:
        SinkCache(model)  # makes ours the model's attention
        decode(model, cache, tokens, rows)

    return run


def fill(model: PreTrainedModel, cache: object, tokens: int, rows: int) -> None:
    ids = torch.arange(1, 1 + tokens).expand(rows, -1) % model.config.vocab_size
    with torch.no_grad():
        for part in ids.split(256, 1):
            model(part, cache=cache, logits_to_keep=1)


def decode(model: PreTrainedModel, cache: object, tokens: int, rows: int) -> None:
    ids = torch.full((rows, 1), 7)
    with torch.no_grad():
        for _ in range(tokens):
            ids = model(ids, cache=cache).logits[:, -1:].argmax(-1)


def measured(runs: dict[str, Round], tokens: int, rounds: int) -> dict[str, list[float]]:
    """The seconds of each round of each, in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            began = time.perf_counter()
            run(tokens)
            if number:  # the first round warms up
                seconds[name].append(time.perf_counter() - began)
    return seconds


def compare(model: PreTrainedModel, keys: int, args: argparse.Namespace) -> float:
    """Prints a line of the table, and returns the smaller of its two ratios."""
    runs = {name: dense(model, name, keys, args.rows) for name in ("eager", "sdpa")}
    runs |= {"sinks": sinks(model, keys, args.rows), "no keys": sinks(model, 1, args.rows)}
    seconds = measured(runs, args.tokens, args.rounds)
    rates = "".join(f"{args.rows * args.tokens / statistics.median(seconds[name]):10.1f}" for name in runs)
    ratios = [
        statistics.median(theirs / ours for theirs, ours in zip(seconds[name], seconds["sinks"], strict=True))
        for name in ("eager", "sdpa")
    ]
    print(f"{keys:>6}{rates}   {ratios[0]:.2f} {ratios[1]:.2f}", flush=True)
    return min(ratios)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--keys", type=int, nargs="+", default=[1024, 4096])
    parser.add_argument("--rows", type=int, default=1, help="of the batch")
    parser.add_argument("--tokens", type=int, default=16, help="of a round")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--at-least", type=float, default=0.0, metavar="RATIO")
    args = parser.parse_args()

    logging.disable_progress_bar()
    model = load(args.model)
    print(f"{torch.get_num_threads()} threads, {model.dtype}")
    print("  keys     eager      sdpa     sinks   no keys   tokens/s; sinks/eager, sinks/sdpa")
    ratios = [compare(model, keys, args) for keys in args.keys]
    return int(min(ratios) < args.at_least)


if __name__ == "__main__":
    sys.exit(main())
