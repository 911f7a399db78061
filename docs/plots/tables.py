"""Puts the tables of docs/performance.md, made from bench.csv and latency.csv, between its two marks.

SPDX-License-Identifier: MIT

    python3 docs/plots/tables.py
"""
import csv
import os

FOLDER = os.path.dirname(os.path.abspath(__file__))
PAGE = os.path.join(FOLDER, os.pardir, "performance.md")
BEGIN, END = "<!-- tables.py puts its tables here -->\n", "<!-- end of the tables -->"
OUT = []


def read(name):
    with open(os.path.join(FOLDER, name), newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


BENCH = [r for r in read("bench.csv") if r["isa"] not in ("llama2c-loop", "re-rotate")]
DTYPES = list(dict.fromkeys(r["k_dtype"] for r in BENCH if r["k_dtype"] == r["v_dtype"]))


def pick(mode, dtype, heads, dim, window, n, threads, placement):
    want = {"mode": mode, "k_dtype": dtype, "v_dtype": dtype, "n_heads": heads.split("/")[0],
            "n_kv_heads": heads.split("/")[1], "head_dim": str(dim), "window": str(window), "n_tokens": str(n),
            "threads": str(threads), "placement": placement}
    found = [r for r in BENCH if all(r[k] == v for k, v in want.items())]
    return found[0] if found else None


def number(x):
    return "%.0f" % x if x >= 100 else "%.1f" % x if x >= 10 else "%.2f" % x


def cell(row):
    return "%s us, %s" % (number(float(row["time_us"])), number(float(row["fraction"]))) if row else ""


def table(head, rows):
    OUT.append("| " + " | ".join(head) + " |")
    OUT.append("|" + "---|" * len(head))
    OUT.extend("| " + " | ".join(r) + " |" for r in rows)
    OUT.append("")


def ratio(row, to):
    return number(float(row["time_us"]) / float(to["time_us"])) if row and to else ""


def decode_cold():
    OUT.append("Decode beyond the cache, 32/32 heads x 128: time, and fraction of the limit:\n")
    table(["window", "threads"] + DTYPES + [d + " / f16" for d in DTYPES if d.startswith("i")],
          [[str(w), str(t)] + [cell(pick("decode", d, "32/32", 128, w, 1, t, "cold")) for d in DTYPES] +
           [ratio(pick("decode", d, "32/32", 128, w, 1, t, "cold"), pick("decode", "f16", "32/32", 128, w, 1, t, "cold"))
            for d in DTYPES if d.startswith("i")]
           for w in (1024, 4096, 16384) for t in (1, 2)])
    OUT.append("The same where heads share keys, f16:\n")
    groups = ["32/8", "64/8", "71/1"]
    table(["window", "threads"] + groups,
          [[str(w), str(t)] + [cell(pick("decode", "f16", g, 128, w, 1, t, "cold")) for g in groups]
           for w in (1024, 4096, 16384) for t in (1, 2)])


def decode_hot():
    OUT.append("Decode in the cache, one layer, head_dim 128, window 1024 (the limit is that of\nthe second-level cache):\n")
    table(["heads", "threads"] + DTYPES,
          [[g, str(t)] + [cell(pick("decode", d, g, 128, 1024, 1, t, "hot")) for d in DTYPES]
           for g in ("8/2", "32/32", "32/8", "64/8", "71/1") for t in (1, 2)])


def prefill():
    OUT.append("Prefill, 32/8 heads; the fraction is of the multiply-add peak, visible pairs only:\n")
    rows = []
    for d in ("f32", "f16"):
        for dim in (64, 128):
            for w in (1024, 4096):
                for n in (512, 4096):
                    one, two = (pick("prefill", d, "32/8", dim, w, n, t, "hot") for t in (1, 2))
                    if one and two:
                        rows.append([d, str(dim), str(w), str(n), cell(one), cell(two), ratio(one, two)])
    table(["dtype", "head_dim", "window", "tokens", "1 thread", "2 threads", "speed-up"], rows)


def small():
    OUT.append("Appends of 32/8 x 128 to a window of 4096, and the smallest decode step (1 head x 64, window 64):\n")
    rows = []
    for d in DTYPES:
        cells = [pick("append", d, "32/8", 128, 4096, n, 1, p) for n, p in ((1, "hot"), (1, "cold"), (16, "cold"))]
        cells.append(pick("decode", d, "1/1", 64, 64, 1, 1, "hot"))
        rows.append([d] + [number(float(c["time_us"])) + " us" if c else "" for c in cells])
    table(["dtype", "1 token, hot", "1 token, cold", "16 tokens, cold", "smallest step, hot"], rows)


def latency():
    OUT.append("Single tokens (4/1 heads x 64, 4 sinks, window 508, f16): `sink-window` and `dense` at a place of the "
               "stream,\n`-run` a million one by one, `-least` the least time of each of the million in three runs:\n")
    table(["what", "place or count", "median", "99 %", "slowest", "slowest / median", "over 4 medians"],
          [[r["kind"], "10^%d" % (len(r["position"]) - 1)] +
           [number(float(r[k])) + " us" for k in ("median_us", "p99_us", "slowest_us")] +
           [number(float(r["slowest_over_median"])), r["over_4x"]] for r in read("latency.csv")])


decode_cold()
decode_hot()
prefill()
small()
latency()
with open(PAGE, encoding="utf-8") as page:
    text = page.read()
head, rest = text.split(BEGIN)
tail = rest[rest.index(END):]
with open(PAGE, "w", encoding="utf-8") as page:
    page.write(head + BEGIN + "\n" + "\n".join(OUT) + "\n" + tail)
