/*
 * Plots as SVG: curves over an axis, and heat maps. Needs libc and libm alone.
 *
 * SPDX-License-Identifier: MIT
 *
 * A plot is an opaque card with colours for light and dark pages: it can be read wherever it stands. Its words are
 * plain ASCII; what else a caller hands in is replaced, so that the file is well-formed whatever a model is called.
 */
#ifndef STREAM_SVG_H
#define STREAM_SVG_H

#include <stdbool.h>
#include <stdio.h>

enum { SVG_LINEAR = 0, SVG_LOG10 = 1, SVG_LOG2 = 2 };

typedef struct svg_axis {
    const char *label; /* with its unit */
    int scale;         /* SVG_*; linear axes of data >= 0 begin at 0 */
    double low, high;  /* both 0: as the data say; what lies outside is drawn at the edge */
} svg_axis;

typedef struct svg_series {
    const char *name;
    const double *x, *y; /* (n); where one is not finite, or not positive on a logarithmic axis, the line has a gap */
    int n;
    bool points; /* a dot at each */
} svg_series;

enum { SVG_MAX_SERIES = 8 }; /* that can be told apart */

typedef struct svg_plot {
    const char *title, *note; /* note: a line below the title: what was measured, on what; NULL for none */
    svg_axis x, y;
    const svg_series *series;
    int n_series;
} svg_plot;

void svg_lines(FILE *out, const svg_plot *plot);

typedef struct svg_map {
    const char *name;    /* stands above it */
    const double *cells; /* (rows, columns); what is not finite is left out */
} svg_map;

/* Maps of one size and scale, in rows of `across`. */
typedef struct svg_maps {
    const char *title, *note;
    const char *x_label, *y_label, *unit;
    const svg_map *maps;
    int n_maps, across, rows, columns;
    double high;  /* the value of the strongest colour; 0 is the background's */
    bool root;    /* the colour goes with the square root, so that small values show */
    bool numbers; /* each cell says its value, as a percentage */
} svg_maps;

void svg_heat(FILE *out, const svg_maps *maps);

#endif
