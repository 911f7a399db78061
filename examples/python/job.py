"""The job of examples/job.c in Python: 5,000 tokens of a stream, a rollback, a fork, a snapshot, and a refusal. It
prints the same digest as the C program.

SPDX-License-Identifier: MIT
"""

from array import array

import numpy as np
import numpy.typing as npt

import sinkattn

HEADS, KV_HEADS, HEAD_DIM, SINKS, WINDOW = 8, 2, 64, 4, 252
Floats = npt.NDArray[np.float32]


class Job:
    """The numbers that go in, and the digest of what comes out."""

    def __init__(self) -> None:
        self.random = 1
        self.digest = 0xCBF29CE484222325

    def draw(self, heads: int) -> Floats:
        numbers, x = array("I"), self.random
        for _ in range(heads * HEAD_DIM):
            x ^= x << 13 & 0xFFFFFFFF
            x ^= x >> 17
            x ^= x << 5 & 0xFFFFFFFF
            numbers.append(x >> 8)
        self.random = x
        floats = np.array(numbers, np.float32) * np.float32(2**-23) - np.float32(1)
        return floats.reshape(1, heads, HEAD_DIM)

    def feed(self, cache: sinkattn.Cache, tokens: int) -> None:
        digest = self.digest
        for _ in range(tokens):
            q, k, v = self.draw(HEADS), self.draw(KV_HEADS), self.draw(KV_HEADS)
            for byte in cache.append_attend(0, q, k, v).astype("<f4").tobytes():
                digest = (digest ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
        self.digest = digest


def run(job: Job, pool: sinkattn.Pool) -> None:
    a = pool.open()
    job.feed(a, 3000)
    a.rollback(20)  # the last 20 tokens are taken back
    job.feed(a, 20)
    with a.fork() as fork:
        job.feed(fork, 500)  # a does not see these
    job.feed(a, 1000)
    b = pool.open()
    b.load(a.save())
    a.close()
    job.feed(b, 480)
    try:
        zeros = np.zeros((1, KV_HEADS, HEAD_DIM), np.float32)
        b.append(7, zeros, zeros)
        print("refused: nothing")
    except sinkattn.Error as error:
        print(f"refused: {error}")


def main() -> None:
    job = Job()
    with sinkattn.Pool(
        n_layers=1,
        n_threads=1,
        max_append=1,
        rollback=32,
        n_heads=HEADS,
        n_kv_heads=KV_HEADS,
        head_dim=HEAD_DIM,
        n_sink=SINKS,
        window=WINDOW,
        k_dtype=sinkattn.Dtype.F16,
        v_dtype=sinkattn.Dtype.F16,
        position=sinkattn.Position.ROPE,
        n_sequences=2,
    ) as pool:
        run(job, pool)
    print(f"digest {job.digest:016x}")


if __name__ == "__main__":
    main()
