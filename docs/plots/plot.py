"""Draws the pictures of docs/performance.md from the rows that `make bench` and `make bench-latency` write.

SPDX-License-Identifier: MIT

    python3 docs/plots/plot.py [FOLDER]     # reads bench.csv and latency.csv there, writes stream.svg, window.svg
"""
import csv
import math
import os
import sys

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 420, 70, 150, 44, 52
INK, GRID = "#333333", "#dddddd"
COLOURS = ["#0b6e99", "#c4561e", "#3d8b37", "#8054a3", "#b8860b", "#14868c", "#aa3355"]


def power(x):
    """A number as people write it: 1000, 10^6, 0.5."""
    e = math.log10(x)
    if x >= 1e4 and abs(e - round(e)) < 1e-9:
        return "10<tspan dy='-5' font-size='9'>%d</tspan>" % round(e)
    return "%d" % x if x == int(x) else "%g" % x


class Chart:
    """Lines over two logarithmic axes; each line has its name at its end."""

    def __init__(self, title, x_name, y_name, x_ticks, y_ticks):
        self.x_ticks, self.y_ticks, self.ends = x_ticks, y_ticks, []
        self.out = ["<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %d %d' font-family='sans-serif' "
                    "font-size='12' fill='%s'>" % (WIDTH, HEIGHT, INK),
                    "<rect width='%d' height='%d' fill='#ffffff'/>" % (WIDTH, HEIGHT)]
        self.text(LEFT, 22, title, "start", 14)
        self.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, x_name, "middle")
        self.out.append("<text transform='translate(16,%.1f) rotate(-90)' text-anchor='middle'>%s</text>"
                        % ((TOP + HEIGHT - BOTTOM) / 2, y_name))
        for x in x_ticks:
            self.line([(self.x(x), TOP), (self.x(x), HEIGHT - BOTTOM)], GRID, 1)
            self.text(self.x(x), HEIGHT - BOTTOM + 18, power(x), "middle")
        for y in y_ticks:
            self.line([(LEFT, self.y(y)), (WIDTH - RIGHT, self.y(y))], GRID, 1)
            self.text(LEFT - 8, self.y(y) + 4, power(y), "end")

    def x(self, value):
        low, high = math.log(self.x_ticks[0]), math.log(self.x_ticks[-1])
        return LEFT + (math.log(value) - low) / (high - low) * (WIDTH - RIGHT - LEFT)

    def y(self, value):
        low, high = math.log(self.y_ticks[0]), math.log(self.y_ticks[-1])
        return HEIGHT - BOTTOM - (math.log(value) - low) / (high - low) * (HEIGHT - BOTTOM - TOP)

    def text(self, x, y, what, anchor, size=12, colour=INK):
        self.out.append("<text x='%.1f' y='%.1f' text-anchor='%s' font-size='%d' fill='%s'>%s</text>"
                        % (x, y, anchor, size, colour, what))

    def line(self, points, colour, width, dash=""):
        self.out.append("<polyline fill='none' stroke='%s' stroke-width='%g'%s points='%s'/>"
                        % (colour, width, " stroke-dasharray='%s'" % dash if dash else "",
                           " ".join("%.1f,%.1f" % p for p in points)))

    def series(self, name, rows, colour, dash=""):
        rows = sorted(rows)
        if not rows:
            return
        points = [(self.x(a), self.y(b)) for a, b in rows]
        self.line(points, colour, 2, dash)
        for x, y in points if not dash else []:
            self.out.append("<circle cx='%.1f' cy='%.1f' r='3.2' fill='%s'/>" % (x, y, colour))
        self.ends.append([points[-1][1], points[-1][0], name, colour])

    def save(self, path):
        last = {}
        for y, x, name, colour in sorted(self.ends):  # names at one place keep clear of each other
            last[x] = max(y, last.get(x, -math.inf) + 14)
            self.text(x + 8, last[x] + 4, name, "start", 12, colour)
        with open(path, "w", encoding="utf-8") as f:
            f.write("\n".join(self.out) + "\n</svg>\n")


def decades(values, least=2):
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return [10.0 ** e for e in range(low, max(high, low + least) + 1)]


def read(folder, name):
    with open(os.path.join(folder, name), newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


def stream(folder):
    rows = [(r["kind"], float(r["position"]), float(r["median_us"])) for r in read(folder, "latency.csv")]
    flat = [(x, y) for kind, x, y in rows if kind == "sink-window"]
    dense = [(x, y) for kind, x, y in rows if kind == "dense"]
    chart = Chart("Append and attend of one token, against its place in the stream", "place in the stream, tokens",
                  "microseconds (median)", [10.0 ** e for e in range(3, 16)], decades([y for _, y in flat + dense]))
    chart.series("sinks and window", flat, COLOURS[0])
    chart.series("dense: keeps all", dense, COLOURS[1])
    chart.save(os.path.join(folder, "stream.svg"))


def window(folder):
    shape = {"mode": "decode", "n_heads": "32", "n_kv_heads": "8", "head_dim": "128", "threads": "1",
             "placement": "cold"}
    rows = [r for r in read(folder, "bench.csv") if all(r[k] == v for k, v in shape.items())]
    lines, limits = {}, {}
    for r in rows:
        own = r["isa"] in ("llama2c-loop", "re-rotate")
        if r["k_dtype"] != r["v_dtype"]:
            continue
        name = {"llama2c-loop": "llama2.c's loop", "re-rotate": "turn all again"}[r["isa"]] if own else r["k_dtype"]
        lines.setdefault(name, {})[float(r["window"])] = float(r["time_us"])
        if name == "f16":
            limits[float(r["window"])] = float(r["limit_us"])
    times = [t for line in lines.values() for t in line.values()] + list(limits.values())
    chart = Chart("One token of one layer, 32/8 heads x 128, cache beyond the last-level cache, 1 thread",
                  "window, tokens", "microseconds (median)", [256.0, 1024.0, 4096.0, 16384.0, 65536.0], decades(times))
    chart.series("f16: the limit", limits.items(), "#999999", "5 4")
    for i, (name, line) in enumerate(lines.items()):
        chart.series(name, line.items(), COLOURS[i % len(COLOURS)])
    chart.save(os.path.join(folder, "window.svg"))


if __name__ == "__main__":
    where = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    stream(where)
    window(where)
