#include "writer.h"

/* Writes text as a cell of a Markdown table, to `out` unless NULL; returns how many characters wide
 * it is, which are fewer than bytes in UTF-8. */
static size_t put_md_text(FILE *out, const char *text) {
    size_t width = 0;
    for (const unsigned char *c = (const unsigned char *)text; *c; ++c) {
        if (*c == '|') {
            ++width;
            if (out) fputc('\\', out);
        }
        if ((*c & 0xC0) != 0x80) ++width;
        if (out) fputc(*c < ' ' ? ' ' : *c, out);
    }
    return width;
}

size_t rs_md_width(const char *text) { return put_md_text(NULL, text); }

static void put_times(FILE *out, char c, size_t n) {
    for (size_t i = 0; i < n; ++i) fputc(c, out);
}

/* One cell, padded: text to the left, numbers to the right. */
static void put_md_cell(sink *to, size_t i, const char *text) {
    size_t const gap = to->width[i] - rs_md_width(text);
    bool const left = to->table->column[i].kind == TEXT;
    fputs("| ", to->out);
    if (!left) put_times(to->out, ' ', gap);
    put_md_text(to->out, text);
    if (left) put_times(to->out, ' ', gap);
    fputc(' ', to->out);
}

static void begin_md(sink *to) {
    for (size_t i = 0; i < to->table->n; ++i)
        if (to->shown[i]) put_md_cell(to, i, to->table->column[i].name);
    fputs("|\n", to->out);
    for (size_t i = 0; i < to->table->n; ++i) {
        if (!to->shown[i]) continue;
        bool const left = to->table->column[i].kind == TEXT;
        fputs(left ? "|:" : "|-", to->out);
        put_times(to->out, '-', to->width[i]);
        fputc(left ? '-' : ':', to->out);
    }
    fputs("|\n", to->out);
}

static void row_md(sink *to, const cell *row) {
    char buffer[RS_REAL_TEXT];
    for (size_t i = 0; i < to->table->n; ++i)
        if (to->shown[i]) put_md_cell(to, i, rs_cell_text(&row[i], false, buffer));
    fputs("|\n", to->out);
}

const writer rs_md_writer = {"md", true, begin_md, row_md, NULL};
