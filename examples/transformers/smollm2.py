"""SmolLM2-135M over a long text: the loss of every token with a SinkCache beside the authors' semantics in PyTorch.

    python smollm2.py MODEL.gguf TEXT.txt [--tokens 5000] [--sinks 4] [--window 1020]

SPDX-License-Identifier: MIT
"""

import argparse
import sys
import time
from pathlib import Path

import reference
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.utils import logging

from sinkattn.transformers import SinkCache

# What one token's loss may differ by, in nats.
BOUND = 2e-4


def cuts(n: int) -> list[int]:
    """Calls of all sizes: a prompt, pieces, and single tokens at the end."""
    sizes, left = [300, 1, 1, 64], n - 366 - 40
    sizes += [256] * (left // 256) + [left % 256]
    return [*sizes, *[1] * 40]


def ours(model: PreTrainedModel, ids: torch.Tensor, n_sink: int, window: int) -> torch.Tensor:
    cache = SinkCache(model, n_sink=n_sink, window=window)
    with torch.no_grad():
        return torch.cat([losses(model(part, cache=cache).logits, ids, at) for at, part in parts(ids)])


def parts(ids: torch.Tensor) -> list[tuple[int, torch.Tensor]]:
    sizes = cuts(ids.shape[1])
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return [(at, ids[:, at : at + n]) for at, n in zip(starts, sizes, strict=True) if n]


def losses(logits: torch.Tensor, ids: torch.Tensor, at: int) -> torch.Tensor:
    """The loss of the token behind each of the tokens at `at` and later; the text's last token has none behind it."""
    next_ids = ids[0, at + 1 : at + 1 + logits.shape[1]]
    return torch.nn.functional.cross_entropy(logits[0, : len(next_ids)].double(), next_ids, reduction="none")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--tokens", type=int, default=5000)
    parser.add_argument("--sinks", type=int, default=4)
    parser.add_argument("--window", type=int, default=1020)
    args = parser.parse_args()

    logging.disable_progress_bar()
    folder, file = str(args.model.parent), args.model.name
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32).eval()
    text = args.text.read_text(encoding="utf-8")[: 8 * args.tokens]
    ids = tokenizer(text, return_tensors="pt").input_ids[:, : args.tokens]
    if ids.shape[1] < args.tokens:
        sys.exit(f"the text has {ids.shape[1]} tokens only")

    began = time.monotonic()
    got = ours(model, ids, args.sinks, args.window)
    middle = time.monotonic()
    expected = losses(
        reference.logits(model, ids, reference.parallel, args.sinks, args.window),
        ids,
        0,
    )
    print(
        f"{args.tokens} tokens, {args.sinks} sinks, window {args.window}; {middle - began:.0f} s and ",
        end="",
    )
    print(f"{time.monotonic() - middle:.0f} s")
    print(f"loss {got.mean():.6f}, the authors' semantics {expected.mean():.6f}")
    worst = float((got - expected).abs().max())
    print(f"largest difference of one token's loss {worst:.1e}, mean {float((got - expected).abs().mean()):.1e}")
    return int(not worst < BOUND)


if __name__ == "__main__":
    sys.exit(main())
