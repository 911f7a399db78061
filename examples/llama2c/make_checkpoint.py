"""Writes a llama2.c checkpoint of random weights, of the shape of stories260K: for machines that do not have that.

SPDX-License-Identifier: MIT
"""

import array
import random
import struct
import sys

DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, VOCAB, CONTEXT = 64, 172, 5, 8, 4, 512, 512


def weights(count: int, scale: float) -> array.array:
    """Random numbers of the given standard deviation."""
    return array.array("f", (random.gauss(0.0, scale) for _ in range(count)))


def main(path: str) -> None:
    """Writes the checkpoint: the same one every time."""
    random.seed(1)
    head_dim = DIM // HEADS
    kv = KV_HEADS * head_dim
    ones = array.array("f", [1.0]) * (LAYERS * DIM)
    parts = [
        weights(VOCAB * DIM, 1.0),
        ones,
        weights(LAYERS * DIM * DIM, 0.15),
        weights(LAYERS * DIM * kv, 0.15),
        weights(LAYERS * DIM * kv, 0.15),
        weights(LAYERS * DIM * DIM, 0.15),
        ones,
        weights(LAYERS * DIM * HIDDEN, 0.1),
        weights(LAYERS * DIM * HIDDEN, 0.1),
        weights(LAYERS * DIM * HIDDEN, 0.1),
        ones[:DIM],
        array.array("f", [0.0]) * (CONTEXT * head_dim),
    ]
    with open(path, "wb") as file:
        file.write(struct.pack("<7i", DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, VOCAB, CONTEXT))
        for part in parts:
            if sys.byteorder == "big":
                part.byteswap()
            file.write(part.tobytes())


if __name__ == "__main__":
    main(sys.argv[1])
