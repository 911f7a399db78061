"""Attention by NumPy and by PyTorch beside this library: the same numbers, shapes and minutes.

SPDX-License-Identifier: MIT

    make bench-peers CSV=peers.csv          # PYTHON=... for another interpreter; ONLY=text for some cases

Library and peers take turns; of five turns each the median counts. Keys and values lie as the peer likes them best,
head by head and contiguous; nothing is masked in decode, and no positions are rotated, so all do equal work. Every
peer's result is compared with the library's. The limits come from `bench limits`, before and after the turns of each
case.
"""
import argparse
import array
import csv
import ctypes
import json
import os
import random
import statistics
import struct
import subprocess
import sys
import time

HEADER = ("mode,dtype,n_heads,n_kv_heads,head_dim,keys,n_tokens,threads,placement,peer,peer_us,time_us,ratio,limit_us,"
          "fraction").split(",")
TURNS = 5
HERE = os.path.dirname(os.path.abspath(__file__))
BYTES = {"f32": 4, "f16": 2, "bf16": 2}
# The greatest difference of a result: queries and results of a peer are rounded to its dtype, the library's are not.
BOUNDS = {"f32": 1e-4, "f16": 1e-2, "bf16": 5e-2}


def cases():
    """(mode, dtype, heads, kv heads, dim, keys, tokens, placement)"""
    for dtype in BYTES:
        for heads, kv_heads, dim in ((32, 32, 128), (32, 8, 128), (9, 3, 64), (71, 1, 64)):
            for keys in (1024, 4096):
                yield "decode", dtype, heads, kv_heads, dim, keys, 1, "cold"
            yield "decode", dtype, heads, kv_heads, dim, 1024, 1, "hot"
        yield "prefill", dtype, 32, 8, 128, 512, 512, "hot"


def last_level_cache():
    try:
        return os.sysconf("SC_LEVEL3_CACHE_SIZE") or 32 << 20
    except (ValueError, OSError):
        return 32 << 20


class Case:
    def __init__(self, mode, dtype, heads, kv_heads, dim, keys, tokens, placement, threads):
        self.mode, self.dtype, self.heads, self.kv_heads, self.dim = mode, dtype, heads, kv_heads, dim
        self.keys, self.tokens, self.placement, self.threads = keys, tokens, placement, threads
        self.bytes = 2 * kv_heads * dim * keys * BYTES[dtype]
        self.layers = 1 if placement == "hot" else 2 * last_level_cache() // self.bytes + 2
        pairs = sum(keys - tokens + 1 + i for i in range(tokens))  # each token sees those up to itself
        self.flops = 4 * heads * dim * pairs

    def key(self):
        return [self.mode, self.dtype, self.heads, self.kv_heads, self.dim, self.keys, self.tokens, self.threads,
                self.placement]

    def limit(self, rates):
        memory = 0 if self.mode == "prefill" else self.bytes / rates["l2" if self.placement == "hot" else "memory"]
        return max(memory, self.flops / rates["float"])


def numbers(n, seed):
    """n floats, about normal: a block of random ones again and again, of a prime length, so that rows differ."""
    chance = random.Random(seed)
    block = array.array("f", (chance.gauss(0, 1) for _ in range(65537)))
    return (block * (n // len(block) + 1))[:n]


class Inputs:
    def __init__(self, case):
        self.q = numbers(case.tokens * case.heads * case.dim, 1)  # (tokens, heads, dim)
        self.k = numbers(case.keys * case.kv_heads * case.dim, 2)  # (keys, kv heads, dim)
        self.v = numbers(case.keys * case.kv_heads * case.dim, 3)


# --- this library -----------------------------------------------------------------------------------------------


def pointer(numbers_):
    return ctypes.c_void_p(numbers_.buffer_info()[0])


class Library:
    """The shared library, called as docs/api.json says."""

    FORMATS = {"int32_t": "i", "uint32_t": "I", "int64_t": "q", "float": "f", "double": "d"}

    def __init__(self, path):
        with open(os.path.join(HERE, "..", "..", "docs", "api.json"), encoding="utf-8") as f:
            api = json.load(f)
        self.config = next(s for s in api["structs"] if s["name"] == "sa_config")
        self.constants = {c["name"]: c["value"] for c in api["constants"]}
        self.lib = ctypes.CDLL(os.path.abspath(path))
        self.lib.sa_status_string.restype = ctypes.c_char_p
        self.lib.sa_version_string.restype = ctypes.c_char_p
        self.lib.sa_isa_name.restype = ctypes.c_char_p
        self.name = "sinkattn %s, %s" % (self.lib.sa_version_string().decode(),
                                         self.lib.sa_isa_name(self.lib.sa_isa_best()).decode())

    def config_of(self, **fields):
        size = self.config["size"]["64"]
        block = bytearray(size)
        for field in self.config["fields"]:
            value = size if field["name"] == "struct_size" else fields.pop(field["name"], None)
            if value is not None:
                struct.pack_into("=" + self.FORMATS[field["type"]], block, field["offset"]["64"], value)
        assert not fields, fields
        return (ctypes.c_char * size).from_buffer(block)

    def must(self, status):
        if status:
            sys.exit("bench-peers: " + self.lib.sa_status_string(status).decode())

    def open(self, case, inputs):
        n = self.constants
        dtype = n["SA_" + case.dtype.upper()]
        config = self.config_of(n_layers=case.layers, n_heads=case.heads, n_kv_heads=case.kv_heads, head_dim=case.dim,
                                window=case.keys, max_append=max(case.tokens, 256), n_threads=case.threads,
                                policy=n["SA_POLICY_DENSE"], position=n["SA_POSITION_NONE"], k_dtype=dtype,
                                v_dtype=dtype)
        cache = ctypes.c_void_p()
        self.must(self.lib.sa_cache_create(config, None, ctypes.byref(cache)))
        for layer in range(case.layers):
            self.must(self.lib.sa_append_kv(cache, layer, case.keys, pointer(inputs.k), pointer(inputs.v)))
        return Ours(self, cache, case, inputs)


class Ours:
    """sa_attend over a dense cache of all layers."""

    name = "sinkattn"

    def __init__(self, library, cache, case, inputs):
        self.library, self.cache, self.n, self.inputs = library, cache, case.tokens, inputs
        self.out = array.array("f", bytes(4 * len(inputs.q)))  # (tokens, heads, dim)
        self.q_at, self.out_at = pointer(inputs.q), pointer(self.out)

    def run(self, layer):
        self.library.must(self.library.lib.sa_attend(self.cache, layer, self.n, self.q_at, self.out_at))

    def result(self):
        return list(self.out)

    def close(self):
        self.library.lib.sa_cache_destroy(self.cache)


# --- peers: NumPy --------------------------------------------------------------------------------------------------


class Numpy:
    """Two matrix products by the BLAS that NumPy has, and a softmax between them, in place where NumPy can."""

    name = "numpy"

    def __init__(self, np, case, inputs):
        group = case.heads // case.kv_heads
        shape = (case.keys, case.kv_heads, case.dim)
        k, v = (np.frombuffer(x, np.float32).reshape(shape).transpose(1, 0, 2) for x in (inputs.k, inputs.v))
        self.np, self.case = np, case
        self.k = [np.array(k, order="C") for _ in range(case.layers)]  # (kv heads, keys, dim)
        self.v = [np.array(v, order="C") for _ in range(case.layers)]
        q = np.frombuffer(inputs.q, np.float32).reshape(case.tokens, case.kv_heads, group, case.dim)
        q = q.transpose(1, 2, 0, 3).reshape(case.kv_heads, group * case.tokens, case.dim)
        self.q = np.ascontiguousarray(q) / np.float32(case.dim ** 0.5)
        self.mask = None
        if case.tokens > 1:
            later = np.triu(np.full((case.tokens, case.keys), -np.inf, np.float32), case.keys - case.tokens + 1)
            self.mask = np.tile(later, (group, 1))

    def run(self, layer):
        np = self.np
        s = self.q @ self.k[layer].transpose(0, 2, 1)
        if self.mask is not None:
            s += self.mask
        s -= s.max(axis=-1, keepdims=True)
        np.exp(s, out=s)
        total = s.sum(axis=-1, keepdims=True)
        self.out = s @ self.v[layer]
        self.out /= total

    def result(self):
        c = self.case
        out = self.out.reshape(c.kv_heads, c.heads // c.kv_heads, c.tokens, c.dim)
        return out.transpose(2, 0, 1, 3).ravel().tolist()


def numpy_peers(case):
    try:
        import numpy
    except ImportError:
        return "numpy: not installed"
    return [lambda inputs: Numpy(numpy, case, inputs)] if case.dtype == "f32" else []


# --- peers: PyTorch ------------------------------------------------------------------------------------------------


class Torch:
    """scaled_dot_product_attention, which shares keys among heads by itself where its version can."""

    name = "torch-sdpa"

    def __init__(self, torch, case, inputs):
        dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[case.dtype]
        self.torch, self.case = torch, case

        def heads_first(x, tokens, heads):
            x = torch.frombuffer(x, dtype=torch.float32).reshape(1, tokens, heads, case.dim)
            return x.transpose(1, 2).to(dtype, copy=True).contiguous()

        k, v = (heads_first(x, case.keys, case.kv_heads) for x in (inputs.k, inputs.v))
        self.k = [k.clone() for _ in range(case.layers)]  # (1, kv heads, keys, dim)
        self.v = [v.clone() for _ in range(case.layers)]
        self.q = heads_first(inputs.q, case.tokens, case.heads)
        self.options = {"enable_gqa": True} if case.heads > case.kv_heads else {}
        if case.tokens > 1:
            self.options["is_causal"] = True

    def run(self, layer):
        with self.torch.inference_mode():
            self.out = self.torch.nn.functional.scaled_dot_product_attention(self.q, self.k[layer], self.v[layer],
                                                                             **self.options)

    def result(self):
        return self.out.float().transpose(1, 2).reshape(-1).tolist()


class TorchMatmul(Torch):
    """Two matrix products and a softmax: for one query, faster than the former in some versions."""

    name = "torch-matmul"

    def __init__(self, torch, case, inputs):
        super().__init__(torch, case, inputs)
        self.rows = self.q.reshape(case.kv_heads, -1, case.dim) / case.dim ** 0.5

    def run(self, layer):
        with self.torch.inference_mode():
            s = self.rows @ self.k[layer][0].transpose(1, 2)
            self.out = (s.softmax(-1) @ self.v[layer][0]).reshape(self.q.shape)


def torch_peers(case):
    try:
        import torch
    except ImportError:
        return "torch: not installed"
    torch.set_num_threads(case.threads)
    kinds = [Torch] if case.tokens > 1 else [Torch, TorchMatmul]
    return [lambda inputs, kind=kind: kind(torch, case, inputs) for kind in kinds]


# --- turns ---------------------------------------------------------------------------------------------------------


def microseconds(runner, case):
    """Of a call: a sweep over all layers, or one layer again and again for 20 ms."""
    time.sleep(0.01)  # threads of the one before, which wait for work by spinning, have gone to sleep
    start, calls = time.perf_counter(), 0
    while True:
        for layer in range(case.layers):
            runner.run(layer)
        calls += case.layers
        took = time.perf_counter() - start
        if case.placement == "cold" or took > 0.02:
            return took / calls * 1e6


def measured_rates(bench, threads):
    for line in subprocess.run([bench, "limits"], check=True, capture_output=True, text=True).stdout.splitlines():
        words = line.split()
        if int(words[0]) == threads:
            return dict(zip(("memory", "l2", "float", "integer"), map(float, words[1:])))
    return sys.exit("bench-peers: no limits for %d threads" % threads)


def check_equal(case, ours, peer):
    worst = max(abs(a - b) for a, b in zip(ours.result(), peer.result()))
    if not worst <= BOUNDS[case.dtype]:  # NaN is a failure
        sys.exit("FAIL %s: %s differs by %g" % (",".join(map(str, case.key())), peer.name, worst))


def run_case(case, library, bench, makers, write):
    inputs = Inputs(case)
    ours, peers = library.open(case, inputs), [make(inputs) for make in makers]
    for runner in [ours] + peers:
        runner.run(0)
    for peer in peers:
        check_equal(case, ours, peer)
    rates = [measured_rates(bench, case.threads)]
    turns = [[microseconds(runner, case) for runner in [ours] + peers] for _ in range(TURNS)]
    rates.append(measured_rates(bench, case.threads))
    ours.close()
    times = [statistics.median(t[i] for t in turns) for i in range(1 + len(peers))]
    limit = 1e6 * case.limit({k: statistics.mean(r[k] for r in rates) for k in rates[0]})
    for peer, peer_us in zip(peers, times[1:]):
        write(case.key() + [peer.name, "%.2f" % peer_us, "%.2f" % times[0], "%.3f" % (peer_us / times[0]),
                            "%.2f" % limit, "%.4f" % (limit / times[0])])
    return limit / times[0]


def run_all(args):
    """All cases of one count of threads; 1 if a figure exceeds its limit."""
    library, out, above = Library(args.library), csv.writer(open(args.part, "w", newline="", encoding="utf-8")), 0

    def write(row):
        out.writerow(row)
        print("%-7s %-4s %2s/%-2s x %-3s %5s %4s %s %-4s  %-12s %11s us  sinkattn %10s us  ratio %6s  limit %10s us %6s"
              % tuple(row), flush=True)

    for plain in cases():
        case = Case(*plain, args.threads)
        if args.only and args.only not in ",".join(map(str, case.key())):
            continue
        makers = [m for m in (numpy_peers(case), torch_peers(case)) if not isinstance(m, str)]
        if sum(makers, []) and run_case(case, library, args.bench, sum(makers, []), write) > 1:
            print("FAIL %s: above its limit, so the limit is none" % ",".join(map(str, case.key())))
            above = 1
    return above


def say_peers(library):
    """What runs, and what is missing; the number of peers that are there."""
    print(library.name)
    there = 0
    for name in ("numpy", "torch"):
        try:
            print("%s %s" % (name, __import__(name).__version__))
            there += 1
        except ImportError:
            print("%s: missing, so it is not compared; `pip install %s` brings it" % (name, name))
    return there


def with_threads(args, threads, part):
    """A process for each count of threads: most of these libraries read it once, as they begin."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    command = [sys.executable, os.path.abspath(__file__), "--library", args.library, "--bench", args.bench,
               "--part", part, "--threads", str(threads)] + (["--only", args.only] if args.only else [])
    return subprocess.run(command, env=dict(os.environ, **{n: str(threads) for n in names})).returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--library", required=True, help="the shared library, with OpenMP")
    parser.add_argument("--bench", required=True, help="the benchmark, which knows the machine's limits")
    parser.add_argument("--csv", help="where the rows go")
    parser.add_argument("--only", help="cases whose row has this text")
    parser.add_argument("--threads", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--part", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        return run_all(args)
    if not say_peers(Library(args.library)):
        return "bench-peers: no peer is installed, so there is nothing to compare"
    path, failed = args.csv or os.devnull, 0
    part = (args.csv or os.path.join(os.path.dirname(args.library), "peers.csv")) + ".part"
    with open(path, "w", newline="", encoding="utf-8") as out:
        out.write(",".join(HEADER) + "\n")
        for threads in range(1, min(2, os.cpu_count() or 1) + 1):
            failed |= with_threads(args, threads, part)
            if os.path.exists(part):
                with open(part, newline="", encoding="utf-8") as rows:
                    out.write(rows.read().replace("\r\n", "\n"))
                os.remove(part)
    return failed


if __name__ == "__main__":
    sys.exit(main())
