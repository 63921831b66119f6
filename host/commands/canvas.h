/* canvas: curves in a rectangle of characters: braille, of 2 x 4 dots each, or plain ones. */
#ifndef RS_CANVAS_H
#define RS_CANVAS_H

#include "../../kernels/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* What a cell shows; of several the first of: letter, dots, crossing, lines. */
typedef struct rs_canvas_cell {
    unsigned char dots; /* bits of U+2800 */
    char letter;        /* or 0 */
    bool across, upright;
} rs_canvas_cell;

typedef struct rs_canvas {
    size_t columns, rows;
    bool braille;
    rs_canvas_cell *cell; /* [rows][columns], from the top */
} rs_canvas;

/* RS_EMEMORY. Freed with rs_canvas_free. */
rs_status rs_canvas_make(size_t columns, size_t rows, bool braille, rs_canvas *out);
void rs_canvas_free(rs_canvas *canvas);

/* Places are parts of the width, from the left, and of the height, from the top: 0 .. 1. */
size_t rs_canvas_column(const rs_canvas *canvas, double x);
size_t rs_canvas_row(const rs_canvas *canvas, double y);

void rs_canvas_line(rs_canvas *canvas, const double from[2], const double to[2]);
void rs_canvas_letter(rs_canvas *canvas, const double at[2], char letter);
void rs_canvas_across(rs_canvas *canvas, double y);
void rs_canvas_upright(rs_canvas *canvas, double x);
void rs_canvas_cross(rs_canvas *canvas, const double at[2]);

/* Writes one row, without blanks at its end; `begin` goes before curves and letters, and `end`
 * behind them. */
void rs_canvas_print_row(const rs_canvas *canvas, size_t row, const char *begin, const char *end,
                         FILE *out);

#endif
