"""Draws fractions of the limit as a heat map: a row for each shape, a column for each dtype, threads and placement.

SPDX-License-Identifier: MIT

    python3 docs/plots/heat.py OUT.svg [NAME=]ROWS.csv...     # rows of `make bench CSV=ROWS.csv`

Several files, such as those of two processors, stand side by side; NAME is what is written above one. Baselines,
appends, and keys of another dtype than their values are left out. A fraction above 1 is a fault of the benchmark and is
drawn in red.
"""
import csv
import os
import sys
from xml.sax.saxutils import escape

INK, EMPTY, FAULT = "#333333", "#f2f2f2", "#d00000"
# From 0 to 1, of even steps in lightness, so that they can be told apart without seeing colours.
STOPS = [(0x44, 0x01, 0x54), (0x3b, 0x52, 0x8b), (0x21, 0x91, 0x8c), (0x5e, 0xc9, 0x62), (0xfd, 0xe7, 0x25)]
CELL_W, CELL_H, LABEL, GAP, MARGIN, HEAD = 36, 15, 150, 28, 16, 44
BASELINES = ("llama2c-loop", "re-rotate")
DTYPES = ["f32", "f16", "bf16", "int8", "int4"]


def read(path):
    """{mode: {(shape, column): row}}: a shape is (heads, kv heads, dim, window, tokens), a column (placement, threads,
    dtype)"""
    modes = {}
    with open(path, newline="", encoding="utf-8") as f:
        for row in csv.DictReader(f):
            if row["isa"] in BASELINES or row["k_dtype"] != row["v_dtype"] or row["mode"] == "append":
                continue
            shape = tuple(int(row[k]) for k in ("n_heads", "n_kv_heads", "head_dim", "window", "n_tokens"))
            column = (row["placement"], int(row["threads"]), row["k_dtype"])
            modes.setdefault(row["mode"], {})[shape, column] = row
    return modes


def colour(fraction):
    """The fill, and the ink that is read on it."""
    if fraction > 1:
        return FAULT, "#ffffff"
    at = max(fraction, 0) * (len(STOPS) - 1)
    low = min(int(at), len(STOPS) - 2)
    rgb = [round(a + (b - a) * (at - low)) for a, b in zip(STOPS[low], STOPS[low + 1])]
    return "#%02x%02x%02x" % tuple(rgb), "#000000" if fraction > 0.45 else "#ffffff"


def column_order(column):
    placement, threads, dtype = column
    return placement, threads, DTYPES.index(dtype) if dtype in DTYPES else len(DTYPES)


def shape_order(shape):
    heads, kv_heads, dim, window, tokens = shape
    return heads // kv_heads, heads, dim, window, tokens


def shape_name(shape):
    heads, kv_heads, dim, window, tokens = shape
    return "%d/%d x %d, %d%s" % (heads, kv_heads, dim, window, ", %d tok." % tokens if tokens > 1 else "")


class Picture:
    def __init__(self):
        self.out, self.width, self.height = [], 0, 0

    def text(self, x, y, what, anchor="start", size=11, ink=INK):
        self.out.append("<text x='%.1f' y='%.1f' text-anchor='%s' font-size='%d' fill='%s'>%s</text>"
                        % (x, y, anchor, size, ink, escape(what)))

    def box(self, x, y, w, h, fill, title=""):
        inside = "<title>%s</title>" % escape(title) if title else ""
        self.out.append("<rect x='%.1f' y='%.1f' width='%.1f' height='%.1f' fill='%s'>%s</rect>"
                        % (x, y, w, h, fill, inside))
        self.width, self.height = max(self.width, x + w), max(self.height, y + h)

    def save(self, path):
        size = (self.width + MARGIN, self.height + MARGIN)
        with open(path, "w", encoding="utf-8") as f:
            f.write("<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %.0f %.0f' font-family='sans-serif'>\n"
                    "<rect width='100%%' height='100%%' fill='#ffffff'/>\n" % size)
            f.write("\n".join(self.out) + "\n</svg>\n")


def draw_cell(picture, x, y, row):
    if row is None:
        return picture.box(x, y, CELL_W - 1, CELL_H - 1, EMPTY)
    fraction = float(row["fraction"])
    fill, ink = colour(fraction)
    picture.box(x, y, CELL_W - 1, CELL_H - 1, fill, "%s us, limit %s us" % (row["time_us"], row["limit_us"]))
    return picture.text(x + CELL_W / 2, y + CELL_H - 4, "%.2f" % fraction, "middle", 10, ink)


def draw_heads(picture, x, y, columns):
    """Placement and threads above each run of equal ones, and each column's dtype."""
    for i, (placement, threads, dtype) in enumerate(columns):
        if i == 0 or columns[i - 1][:2] != (placement, threads):
            picture.text(x + i * CELL_W, y + 12, "%s, %d thr." % (placement, threads))
        picture.text(x + i * CELL_W + CELL_W / 2, y + 27, dtype, "middle", 10)


def draw_mode(picture, y, mode, files):
    """The rows of one mode in all files, side by side; returns where the next begins."""
    tables = [modes.get(mode, {}) for _, modes in files]
    shapes = sorted({shape for table in tables for shape, _ in table}, key=shape_order)
    columns = sorted({column for table in tables for _, column in table}, key=column_order)
    top = y + HEAD
    picture.text(MARGIN, y + 12, mode, size=13)
    for j, shape in enumerate(shapes):
        picture.text(MARGIN + LABEL - 8, top + j * CELL_H + CELL_H - 4, shape_name(shape), "end", 10)
    for n, (name, _) in enumerate(files):
        x = MARGIN + LABEL + n * (len(columns) * CELL_W + GAP)
        picture.text(x, y - 6, name, size=13)
        draw_heads(picture, x, y + 6, columns)
        for j, shape in enumerate(shapes):
            for i, column in enumerate(columns):
                draw_cell(picture, x + i * CELL_W, top + j * CELL_H, tables[n].get((shape, column)))
    return top + len(shapes) * CELL_H + GAP


def draw_legend(picture):
    picture.text(MARGIN, 22, "Fraction of the limit: heads/kv heads x head_dim, window", size=14)
    for i in range(11):
        draw_cell(picture, MARGIN + LABEL + i * CELL_W, 34, {"fraction": i / 10, "time_us": "", "limit_us": ""})


def main(arguments):
    if len(arguments) < 2:
        return __doc__
    files = []
    for argument in arguments[1:]:
        name, _, path = argument.rpartition("=")
        files.append((name or os.path.splitext(os.path.basename(path))[0], read(path)))
    picture, y = Picture(), 80
    draw_legend(picture)
    for mode in sorted({mode for _, modes in files for mode in modes}):
        y = draw_mode(picture, y, mode, files)
    return picture.save(arguments[0])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
