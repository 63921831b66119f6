#include "canvas.h"

#include <math.h>
#include <stdlib.h>

enum { DOTS_ACROSS = 2, DOTS_DOWN = 4 };

rs_status rs_canvas_make(size_t columns, size_t rows, bool braille, rs_canvas *out) {
    *out = (rs_canvas){columns, rows, braille, calloc(columns * rows, sizeof *out->cell)};
    return out->cell ? RS_OK : rs_fail(RS_EMEMORY, "plot: out of memory");
}

void rs_canvas_free(rs_canvas *canvas) {
    free(canvas->cell);
    *canvas = (rs_canvas){0};
}

/* Which of n equal parts of 0 .. 1 a place is in. */
static size_t part_of(double place, size_t n) {
    double const at = floor(place * (double)n);
    return at <= 0.0 ? 0 : at >= (double)n ? n - 1 : (size_t)at;
}

size_t rs_canvas_column(const rs_canvas *canvas, double x) { return part_of(x, canvas->columns); }
size_t rs_canvas_row(const rs_canvas *canvas, double y) { return part_of(y, canvas->rows); }

static rs_canvas_cell *cell_at(rs_canvas *canvas, size_t column, size_t row) {
    return &canvas->cell[row * canvas->columns + column];
}

static rs_canvas_cell *cell_of(rs_canvas *canvas, const double at[2]) {
    return cell_at(canvas, rs_canvas_column(canvas, at[0]), rs_canvas_row(canvas, at[1]));
}

/* Bits of a braille character by column and row of its dots: 1 4, 2 5, 3 6, 7 8. */
static void put_dot(rs_canvas *canvas, double x, double y) {
    static unsigned char const bit[DOTS_DOWN][DOTS_ACROSS] = {
        {0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    size_t const column = part_of(x, canvas->columns * DOTS_ACROSS);
    size_t const row = part_of(y, canvas->rows * DOTS_DOWN);
    cell_at(canvas, column / DOTS_ACROSS, row / DOTS_DOWN)->dots |=
        bit[row % DOTS_DOWN][column % DOTS_ACROSS];
}

void rs_canvas_line(rs_canvas *canvas, const double from[2], const double to[2]) {
    double const across = fabs(to[0] - from[0]) * (double)(canvas->columns * DOTS_ACROSS);
    double const down = fabs(to[1] - from[1]) * (double)(canvas->rows * DOTS_DOWN);
    size_t const n = 1 + (size_t)fmax(across, down);
    for (size_t i = 0; i <= n; ++i) {
        double const part = (double)i / (double)n;
        put_dot(canvas, from[0] + part * (to[0] - from[0]), from[1] + part * (to[1] - from[1]));
    }
}

void rs_canvas_letter(rs_canvas *canvas, const double at[2], char letter) {
    cell_of(canvas, at)->letter = letter;
}

void rs_canvas_across(rs_canvas *canvas, double y) {
    size_t const row = rs_canvas_row(canvas, y);
    for (size_t i = 0; i < canvas->columns; ++i) cell_at(canvas, i, row)->across = true;
}

void rs_canvas_upright(rs_canvas *canvas, double x) {
    size_t const column = rs_canvas_column(canvas, x);
    for (size_t i = 0; i < canvas->rows; ++i) cell_at(canvas, column, i)->upright = true;
}

void rs_canvas_cross(rs_canvas *canvas, const double at[2]) {
    rs_canvas_cell *const cell = cell_of(canvas, at);
    cell->across = cell->upright = true;
}

static bool is_blank(const rs_canvas_cell *cell) {
    return !cell->letter && !cell->dots && !cell->across && !cell->upright;
}

/* U+2800 and what follows it, in UTF-8. */
static void print_braille(unsigned char dots, FILE *out) {
    fputc(0xe2, out);
    fputc(0xa0 | dots >> 6, out);
    fputc(0x80 | (dots & 0x3f), out);
}

static const char *line_text(const rs_canvas *canvas, const rs_canvas_cell *cell) {
    if (cell->across && cell->upright) return canvas->braille ? "┼" : "+";
    if (cell->across) return canvas->braille ? "─" : "-";
    if (cell->upright) return canvas->braille ? "┊" : ":";
    return " ";
}

static void print_mark(const rs_canvas *canvas, const rs_canvas_cell *cell, FILE *out) {
    if (cell->letter)
        fputc(cell->letter, out);
    else if (canvas->braille)
        print_braille(cell->dots, out);
    else
        fputc('*', out);
}

void rs_canvas_print_row(const rs_canvas *canvas, size_t row, const char *begin, const char *end,
                         FILE *out) {
    const rs_canvas_cell *const cell = canvas->cell + row * canvas->columns;
    size_t n = canvas->columns;
    bool inside = false; /* a curve */
    while (n > 0 && is_blank(&cell[n - 1])) --n;
    for (size_t i = 0; i < n; ++i) {
        bool const mark = cell[i].letter || cell[i].dots;
        if (mark != inside) fputs(mark ? begin : end, out);
        inside = mark;
        if (mark)
            print_mark(canvas, &cell[i], out);
        else
            fputs(line_text(canvas, &cell[i]), out);
    }
    if (inside) fputs(end, out);
}
