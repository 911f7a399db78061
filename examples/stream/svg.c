/*
 * Plots as SVG: curves over an axis, and heat maps.
 *
 * SPDX-License-Identifier: MIT
 */
#include "svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Pixels. To the right of the curves is the legend. */
enum { WIDTH = 760, HEIGHT = 420, LEFT = 76, LEGEND = 190, TOP = 62, BOTTOM = 54 };
enum { MAX_TICKS = 16, LEVELS = 16 };

static void put_text(FILE *out, const char *text) {
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '&':
            fputs("&amp;", out);
            break;
        default:
            fputc(*text >= ' ' && *text < 127 ? *text : '?', out);
        }
    }
}

/* `extra`: attributes of the element, such as its class or a rotation. */
static void label(FILE *out, double x, double y, const char *extra, const char *text) {
    fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, extra);
    put_text(out, text);
    fputs("</text>\n", out);
}

/* The colours of a curve on light and on dark pages, and its dashes, for readers who do not see the colours. */
static const char *const strokes[SVG_MAX_SERIES][3] = {
    {"#0969da", "#58a6ff", "none"}, {"#cf222e", "#ff7b72", "7 3"},      {"#1a7f37", "#56d364", "2 3"},
    {"#8250df", "#d2a8ff", "none"}, {"#9a6700", "#e3b341", "9 3 2 3"},  {"#57606a", "#afb8c1", "4 4"},
    {"#bf3989", "#f778ba", "none"}, {"#0a7b83", "#39c5cf", "12 3 3 3"},
};

static void put_style(FILE *out) {
    fputs(
        "<style>\n"
        "text{font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;font-size:12px;fill:#24292f}\n"
        ".t{font-size:15px;font-weight:600}.n{font-size:11px;fill:#57606a}.m{text-anchor:middle}"
        ".e{text-anchor:end}\n"
        ".card{fill:#ffffff}.grid{stroke:#d8dee4;stroke-width:1;fill:none}.axis{stroke:#57606a;fill:none}\n"
        ".curve{fill:none;stroke-width:2;stroke-linejoin:round}.heat{stroke:#0a4a9c;fill:none}.on{fill:#ffffff}\n",
        out);
    for (int i = 0; i < SVG_MAX_SERIES; i++) {
        fprintf(out, ".s%d{stroke:%s;stroke-dasharray:%s}.d%d{fill:%s}\n", i, strokes[i][0], strokes[i][2], i,
                strokes[i][0]);
    }
    fputs("@media (prefers-color-scheme:dark){\ntext{fill:#e6edf3}.n{fill:#9da7b3}.card{fill:#0d1117}"
          ".grid{stroke:#30363d}.axis{stroke:#9da7b3}.heat{stroke:#79c0ff}.on{fill:#0d1117}\n",
          out);
    for (int i = 0; i < SVG_MAX_SERIES; i++) {
        fprintf(out, ".s%d{stroke:%s}.d%d{fill:%s}", i, strokes[i][1], i, strokes[i][1]);
    }
    fputs("\n}\n</style>\n", out);
}

static void begin(FILE *out, int width, int height, const char *title, const char *note) {
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" "
            "role=\"img\">\n<title>",
            width, height, width, height);
    put_text(out, title);
    fputs("</title>\n", out);
    put_style(out);
    fprintf(out, "<rect class=\"card\" width=\"%d\" height=\"%d\" rx=\"6\"/>\n", width, height);
    label(out, 16, 26, "class=\"t\"", title);
    if (note != NULL) {
        label(out, 16, 44, "class=\"n\"", note);
    }
}

/* ---- curves ---- */

/* From values to pixels. */
typedef struct scale {
    int kind;
    double low, high, from, to;
} scale;

static bool can_show(int kind, double v) { return isfinite(v) && (kind == SVG_LINEAR || v > 0.0); }

static double place(const scale *s, double v) {
    double clamped = v < s->low ? s->low : v > s->high ? s->high : v;
    double share =
        s->kind == SVG_LINEAR ? (clamped - s->low) / (s->high - s->low) : log(clamped / s->low) / log(s->high / s->low);
    return s->from + share * (s->to - s->from);
}

/* The limits of the data with a margin, or those of the axis; never an empty range. */
static scale scale_of(const svg_plot *plot, bool is_x, double from, double to) {
    const svg_axis *axis = is_x ? &plot->x : &plot->y;
    scale s = {axis->scale, axis->low, axis->high, from, to};
    if (axis->low != 0.0 || axis->high != 0.0) {
        return s;
    }
    s.low = INFINITY;
    s.high = -INFINITY;
    for (int i = 0; i < plot->n_series; i++) {
        const double *values = is_x ? plot->series[i].x : plot->series[i].y;
        for (int j = 0; j < plot->series[i].n; j++) {
            if (can_show(s.kind, values[j])) {
                s.low = fmin(s.low, values[j]);
                s.high = fmax(s.high, values[j]);
            }
        }
    }
    if (!(s.low <= s.high)) { /* no finite value */
        s.low = s.high = 1.0;
    }
    if (s.kind != SVG_LINEAR) {
        return (scale){s.kind, s.low / 1.12, s.high * 1.12, from, to};
    }
    s.low = s.low >= 0.0 ? 0.0 : s.low;
    s.high = s.high > s.low ? s.high + (is_x ? 0.0 : 0.05 * (s.high - s.low)) : s.low + 1.0;
    return s;
}

static int linear_ticks(const scale *s, double *ticks) {
    double step = pow(10.0, floor(log10((s->high - s->low) / 4.0)));
    double wide = (s->high - s->low) / step; /* 4 .. 40 steps */
    step *= wide > 20.0 ? 5.0 : wide > 8.0 ? 2.0 : 1.0;
    int n = 0;
    for (double t = ceil(s->low / step); t * step <= s->high * (1 + 1e-9) && n < MAX_TICKS; t += 1.0) {
        ticks[n++] = t * step;
    }
    return n;
}

/* Powers of the base; between powers of ten also 2 and 5, if there is room for them. */
static int log_ticks(const scale *s, double *ticks) {
    double base = s->kind == SVG_LOG2 ? 2.0 : 10.0;
    static const double between[] = {1.0, 2.0, 5.0};
    int n_between = s->kind == SVG_LOG10 && s->high / s->low < 3000.0 ? 3 : 1, n = 0;
    for (double power = pow(base, floor(log(s->low) / log(base))); power <= s->high; power *= base) {
        for (int i = 0; i < n_between; i++) {
            double t = power * between[i];
            if (t >= s->low && t <= s->high && n < MAX_TICKS) {
                ticks[n++] = t;
            }
        }
    }
    return n;
}

static int ticks_of(const scale *s, double *ticks) {
    return s->kind == SVG_LINEAR ? linear_ticks(s, ticks) : log_ticks(s, ticks);
}

static void draw_axes(FILE *out, const svg_plot *plot, const scale *x, const scale *y) {
    double ticks[MAX_TICKS];
    char number[32], place_y_label[96];
    int n = ticks_of(x, ticks);
    for (int i = 0; i < n; i++) {
        double at = place(x, ticks[i]);
        fprintf(out, "<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/>\n", at, y->from, y->to);
        snprintf(number, sizeof number, "%.9g", ticks[i]);
        label(out, at, y->from + 18, "class=\"m\"", number);
    }
    n = ticks_of(y, ticks);
    for (int i = 0; i < n; i++) {
        double at = place(y, ticks[i]);
        fprintf(out, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>\n", x->from, at, x->to);
        snprintf(number, sizeof number, "%.9g", ticks[i]);
        label(out, x->from - 8, at + 4, "class=\"e\"", number);
    }
    fprintf(out, "<path class=\"axis\" d=\"M%.1f %.1fV%.1fH%.1f\"/>\n", x->from, y->to, y->from, x->to);
    label(out, 0.5 * (x->from + x->to), y->from + 40, "class=\"m\"", plot->x.label);
    double middle = 0.5 * (y->from + y->to);
    snprintf(place_y_label, sizeof place_y_label, "class=\"m\" transform=\"rotate(-90 18 %.1f)\"", middle);
    label(out, 18, middle, place_y_label, plot->y.label);
}

static void draw_series(FILE *out, const svg_series *s, int index, const scale *x, const scale *y) {
    bool pen_down = false;
    fprintf(out, "<path class=\"curve s%d\" d=\"", index);
    for (int i = 0; i < s->n; i++) {
        bool shown = can_show(x->kind, s->x[i]) && can_show(y->kind, s->y[i]);
        if (shown) {
            fprintf(out, "%c%.1f %.1f", pen_down ? 'L' : 'M', place(x, s->x[i]), place(y, s->y[i]));
        }
        pen_down = shown;
    }
    fputs("\"/>\n", out);
    for (int i = 0; s->points && i < s->n; i++) {
        if (can_show(x->kind, s->x[i]) && can_show(y->kind, s->y[i])) {
            fprintf(out, "<circle class=\"d%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\"/>\n", index, place(x, s->x[i]),
                    place(y, s->y[i]));
        }
    }
}

void svg_lines(FILE *out, const svg_plot *plot) {
    scale x = scale_of(plot, true, LEFT, WIDTH - LEGEND), y = scale_of(plot, false, HEIGHT - BOTTOM, TOP);
    begin(out, WIDTH, HEIGHT, plot->title, plot->note);
    draw_axes(out, plot, &x, &y);
    for (int i = 0; i < plot->n_series; i++) {
        int style = i % SVG_MAX_SERIES;
        double at = TOP + 14 + 22 * i;
        draw_series(out, &plot->series[i], style, &x, &y);
        fprintf(out, "<path class=\"curve s%d\" d=\"M%d %.1fh26\"/>\n", style, WIDTH - LEGEND + 14, at);
        label(out, WIDTH - LEGEND + 46, at + 4, "", plot->series[i].name);
    }
    fputs("</svg>\n", out);
}

/* ---- heat maps ---- */

static int level_of(const svg_maps *m, double v) {
    double share = !isfinite(v) || v <= 0.0 ? 0.0 : fmin(v / m->high, 1.0);
    return (int)lround(LEVELS * (m->root ? sqrt(share) : share));
}

/* Runs of cells of one level as strokes, all of a level in one path: some bytes for a cell. */
static void draw_level(FILE *out, const svg_maps *m, const double *cells, int level) {
    bool any = false;
    for (int row = 0; row < m->rows; row++) {
        for (int at = 0, end; at < m->columns; at = end) {
            const double *line = cells + (size_t)row * (size_t)m->columns;
            int here = level_of(m, line[at]);
            for (end = at + 1; end < m->columns && level_of(m, line[end]) == here; end++) {
            }
            if (here == level) {
                if (!any) {
                    fprintf(out, "<path stroke-opacity=\"%.3g\" d=\"", (double)level / LEVELS);
                }
                fprintf(out, "M%d %dh%d", at, row, end - at);
                any = true;
            }
        }
    }
    if (any) {
        fputs("\"/>\n", out);
    }
}

static void draw_numbers(FILE *out, const svg_maps *m, const double *cells, double x, double y, int wide, int tall) {
    char number[32];
    for (int i = 0; i < m->rows * m->columns; i++) {
        if (isfinite(cells[i])) {
            snprintf(number, sizeof number, "%.0f", 100.0 * cells[i]);
            label(out, x + (i % m->columns + 0.5) * wide, y + (i / m->columns + 0.5) * tall + 4,
                  level_of(m, cells[i]) > LEVELS / 2 ? "class=\"m on\"" : "class=\"m\"", number);
        }
    }
}

/* A cell is `wide` by `tall` pixels; the map's corner is at (x, y). */
static void draw_map(FILE *out, const svg_maps *m, const svg_map *map, double x, double y, int wide, int tall) {
    char last[32];
    label(out, x + 0.5 * m->columns * wide, y - 6, "class=\"m\"", map->name);
    fprintf(out,
            "<g class=\"heat\" stroke-width=\"1\" shape-rendering=\"crispEdges\" "
            "transform=\"translate(%.1f %.1f) scale(%d %d) translate(0 .5)\">\n",
            x, y, wide, tall);
    for (int level = 1; level <= LEVELS; level++) {
        draw_level(out, m, map->cells, level);
    }
    fprintf(out, "</g>\n<rect class=\"grid\" x=\"%.1f\" y=\"%.1f\" width=\"%d\" height=\"%d\"/>\n", x, y,
            m->columns * wide, m->rows * tall);
    if (m->numbers) {
        draw_numbers(out, m, map->cells, x, y, wide, tall);
    }
    snprintf(last, sizeof last, "%d", m->rows - 1);
    label(out, x - 5, y + 0.5 * tall + 4, "class=\"n e\"", "0");
    label(out, x - 5, y + (m->rows - 0.5) * tall + 4, "class=\"n e\"", last);
    snprintf(last, sizeof last, "%d", m->columns - 1);
    label(out, x + 0.5 * wide, y + m->rows * tall + 13, "class=\"n m\"", "0");
    label(out, x + (m->columns - 0.5) * wide, y + m->rows * tall + 13, "class=\"n m\"", last);
}

/* The legend: the colours of no, half and full strength, with their values. */
static void draw_key(FILE *out, const svg_maps *m, double x, double y) {
    fputs("<g class=\"heat\" stroke-width=\"12\" shape-rendering=\"crispEdges\">\n", out);
    for (int level = 1; level <= LEVELS; level++) {
        fprintf(out, "<path stroke-opacity=\"%.3g\" d=\"M%.1f %.1fh10\"/>\n", (double)level / LEVELS,
                x + 10.0 * (level - 1), y);
    }
    fputs("</g>\n", out);
    for (int i = 0; i <= 2; i++) {
        char number[32];
        double share = 0.5 * i;
        snprintf(number, sizeof number, "%.3g", m->high * (m->root ? share * share : share));
        label(out, x + 5.0 * LEVELS * i, y + 20, "class=\"n m\"", number);
    }
    label(out, x + 10.0 * LEVELS + 16, y + 4, "class=\"n\"", m->unit);
}

void svg_heat(FILE *out, const svg_maps *m) {
    enum { GAP = 34, ABOVE = 24, FOOT = 70 };
    int down = (m->n_maps + m->across - 1) / m->across;
    int side = (WIDTH - LEFT - 16) / m->across - GAP; /* pixels that a map has in width */
    int wide = side / m->columns > 0 ? side / m->columns : 1, tall;
    wide = wide > (m->numbers ? 56 : 12) ? (m->numbers ? 56 : 12) : wide;
    tall = m->numbers ? 18 : wide;
    int step_x = m->columns * wide + GAP, step_y = m->rows * tall + ABOVE + GAP - 10;
    int height = TOP + down * step_y + FOOT;
    char turned[96];
    begin(out, WIDTH, height, m->title, m->note);
    for (int i = 0; i < m->n_maps; i++) {
        draw_map(out, m, &m->maps[i], LEFT + i % m->across * step_x, TOP + ABOVE + i / m->across * step_y, wide, tall);
    }
    double middle = TOP + 0.5 * (height - TOP - FOOT), foot = height - FOOT + 6;
    snprintf(turned, sizeof turned, "class=\"m\" transform=\"rotate(-90 24 %.1f)\"", middle);
    label(out, 24, middle, turned, m->y_label);
    label(out, LEFT, foot, "", m->x_label);
    draw_key(out, m, LEFT, foot + 26);
    fputs("</svg>\n", out);
}
