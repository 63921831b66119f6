#include "reading.h"
#include "writer.h"

#include <string.h>

void rs_md_put(FILE *out, const char *text) {
    for (const unsigned char *c = (const unsigned char *)text; *c; ++c) {
        if (*c == '|') fputc('\\', out);
        fputc(*c < ' ' ? ' ' : *c, out);
    }
}

static size_t column_width(const sink *to, size_t i) {
    size_t const cells = rs_cells_width(&to->look[i]);
    size_t const heading = strlen(to->table->column[i].name);
    return cells > heading ? cells : heading;
}

/* One cell, padded: text to the left, numbers to the right. */
static void put_md_cell(sink *to, size_t i, const char *text) {
    size_t const width = rs_md_width(text), room = column_width(to, i);
    size_t const gap = room - width;
    bool const left = to->table->column[i].kind == TEXT;
    fputs("| ", to->out);
    if (!left) rs_put_times(to->out, ' ', gap);
    rs_md_put(to->out, text);
    if (left) rs_put_times(to->out, ' ', gap);
    fputc(' ', to->out);
}

static void begin_md(sink *to) {
    for (size_t k = 0; k < to->shown.n; ++k)
        put_md_cell(to, to->shown.at[k], to->table->column[to->shown.at[k]].name);
    fputs("|\n", to->out);
    for (size_t k = 0; k < to->shown.n; ++k) {
        size_t const i = to->shown.at[k];
        bool const left = to->table->column[i].kind == TEXT;
        fputs(left ? "|:" : "|-", to->out);
        rs_put_times(to->out, '-', column_width(to, i));
        fputc(left ? '-' : ':', to->out);
    }
    fputs("|\n", to->out);
}

static void row_md(sink *to, const cell *row) {
    char buffer[RS_READING_TEXT];
    for (size_t k = 0; k < to->shown.n; ++k)
        put_md_cell(to, to->shown.at[k], rs_reading_text(to->table, row, to->shown.at[k], buffer));
    fputs("|\n", to->out);
}

const writer rs_md_writer = {
    .name = "md", .for_people = true, .begin = begin_md, .row = row_md, .end = NULL};
