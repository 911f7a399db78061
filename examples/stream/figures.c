/*
 * Chooses the figures, names their files, and checks that they are written whole.
 *
 * SPDX-License-Identifier: MIT
 */
#include "figures.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* The characters of a file's name without its folders and its last ending. */
static int name_length(const char *path) {
    const char *name = base_name(path), *dot = strrchr(name, '.');
    size_t n = dot != NULL && dot != name ? (size_t)(dot - name) : strlen(name);
    return n < 40 ? (int)n : 40;
}

/* A model's name as part of a file name: up to its first dot, lower case, only letters, digits and hyphens. */
static void stem_of(const char *path, char *stem, size_t size) {
    size_t n = 0;
    for (const char *c = base_name(path); *c != '\0' && *c != '.' && n + 1 < size; c++) {
        stem[n++] = (char)(isalnum((unsigned char)*c) ? tolower((unsigned char)*c) : '-');
    }
    stem[n] = '\0';
}

bool figure_begin(figure_file *f, const figure_input *in, const char *figure, failure *why) {
    char stem[64];
    stem_of(in->o->model_path, stem, sizeof stem);
    snprintf(f->path, sizeof f->path, "%.300s/%s-%s.svg", in->o->out_path, figure, stem);
    f->file = fopen(f->path, "w");
    return f->file != NULL || fail(why, "cannot write %.200s: %s", f->path, strerror(errno));
}

bool figure_end(figure_file *f, failure *why) {
    bool whole = ferror(f->file) == 0;
    whole = fclose(f->file) == 0 && whole;
    if (!whole) {
        return fail(why, "cannot write all of %.200s", f->path);
    }
    printf("%s\n", f->path);
    fflush(stdout);
    return true;
}

void figure_note(const figure_input *in, char *note, size_t size, const char *format, ...) {
    const char *text = in->o->text_path != NULL ? in->o->text_path : in->o->ids_path;
    int n = snprintf(note, size, "%.*s on %.*s: ", name_length(in->o->model_path), base_name(in->o->model_path),
                     name_length(text), base_name(text));
    va_list args;
    va_start(args, format);
    if (n > 0 && (size_t)n < size) {
        vsnprintf(note + n, size - (size_t)n, format, args);
    }
    va_end(args);
}

bool figures(const options *o, const model *m, const tokenizer *t, const id_list *ids, failure *why) {
    static const struct {
        int32_t which;
        bool (*make)(const figure_input *in, failure *why);
    } all[] = {
        {FIGURE_PERPLEXITY, figure_perplexity}, {FIGURE_TIME, figure_time},           {FIGURE_MEMORY, figure_memory},
        {FIGURE_ATTENTION, figure_attention},   {FIGURE_SINK_MASS, figure_sink_mass},
    };
    const figure_input in = {o, m, t, ids};
    if (o->out_path == NULL) {
        return fail(why, "figures are written into a folder: please give --out FOLDER");
    }
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if ((o->figures & all[i].which) != 0 && !all[i].make(&in, why)) {
            return false;
        }
    }
    return true;
}
