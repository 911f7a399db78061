/*
 * Plots as SVG: curves over an axis, and heat maps. Needs libc and libm alone.
 *
 * SPDX-License-Identifier: MIT
 *
 * A plot has an opaque background and colours for light and dark pages, so that it can be read on both. Its texts are
 * plain ASCII; other characters of a text are replaced, so that the file is well-formed whatever a model is called.
 */
#ifndef STREAM_SVG_H
#define STREAM_SVG_H

#include <stdbool.h>
#include <stdio.h>

enum { SVG_LINEAR = 0, SVG_LOG10 = 1, SVG_LOG2 = 2 };

typedef struct svg_axis {
    const char *label; /* with its unit */
    int scale;         /* SVG_*; linear axes of data >= 0 begin at 0 */
    double low, high;  /* both 0: the limits of the data; values outside are drawn at the edge */
} svg_axis;

typedef struct svg_series {
    const char *name;
    const double *x, *y; /* (n); where one is not finite, or not positive on a logarithmic axis, the line has a gap */
    int n;
    bool points; /* a dot at each */
} svg_series;

enum { SVG_MAX_SERIES = 8 }; /* more would not be distinguishable */

typedef struct svg_plot {
    const char *title, *note; /* note: a line below the title: what was measured, on what; NULL for none */
    svg_axis x, y;
    const svg_series *series;
    int n_series;
} svg_plot;

void svg_lines(FILE *out, const svg_plot *plot);

typedef struct svg_map {
    const char *name;    /* the heading of the map */
    const double *cells; /* (rows, columns); cells that are not finite are left blank */
} svg_map;

/* Maps of one size and scale, in rows of `across`. */
typedef struct svg_maps {
    const char *title, *note;
    const char *x_label, *y_label, *unit;
    const svg_map *maps;
    int n_maps, across, rows, columns;
    double high;  /* the value of the strongest colour; 0 is the background's */
    bool root;    /* colour by the square root of the value, so that small values can be seen */
    bool numbers; /* each cell says its value, as a percentage */
} svg_maps;

void svg_heat(FILE *out, const svg_maps *maps);

#endif
