#include "writer.h"

#include <math.h>

/* Length of the UTF-8 sequence at c, 0 where there is none (Unicode 15, table 3-7). */
static size_t utf8_length(const unsigned char *c) {
    if (c[0] < 0x80) return 1;
    size_t const n = c[0] >= 0xC2 && c[0] < 0xE0   ? 2
                     : c[0] >= 0xE0 && c[0] < 0xF0 ? 3
                     : c[0] >= 0xF0 && c[0] < 0xF5 ? 4
                                                   : 0;
    for (size_t i = 1; i < n; ++i)
        if ((c[i] & 0xC0) != 0x80) return 0;
    bool const overlong = (c[0] == 0xE0 && c[1] < 0xA0) || (c[0] == 0xF0 && c[1] < 0x90);
    bool const beyond = (c[0] == 0xED && c[1] > 0x9F) || (c[0] == 0xF4 && c[1] > 0x8F);
    return overlong || beyond ? 0 : n;
}

/* File names may be no UTF-8, JSON must be: what is not becomes the replacement character. */
static void put_json_text(FILE *out, const char *text) {
    fputc('"', out);
    for (const unsigned char *c = (const unsigned char *)text; *c;) {
        size_t const n = utf8_length(c);
        if (n == 0)
            fputs("\\ufffd", out);
        else if (*c < ' ')
            fprintf(out, "\\u%04x", *c);
        else if (*c == '"' || *c == '\\')
            fprintf(out, "\\%c", *c);
        else
            fwrite(c, 1, n, out);
        c += n ? n : 1;
    }
    fputc('"', out);
}

static void begin_json(sink *to) { fputc('[', to->out); }

static void row_json(sink *to, const cell *row) {
    char buffer[RS_REAL_TEXT];
    fputs(to->rows ? ",\n  {" : "\n  {", to->out);
    for (size_t k = 0; k < to->shown.n; ++k) {
        size_t const i = to->shown.at[k];
        fprintf(to->out, "%s\"%s\": ", k ? ", " : "", to->table->column[i].name);
        const char *const text = rs_cell_text(&row[i], true, buffer);
        bool const is_no_number = row[i].kind == POWER && !(row[i].real < INFINITY);
        if (row[i].kind == MISSING)
            fputs("null", to->out);
        else if (row[i].kind == TEXT || is_no_number || (row[i].kind == REAL && isinf(row[i].real)))
            put_json_text(to->out, text);
        else
            fputs(text, to->out);
    }
    fputc('}', to->out);
}

static void end_json(sink *to) { fputs(to->rows ? "\n]\n" : "]\n", to->out); }

const writer rs_json_writer = {
    .name = "json", .begin = begin_json, .row = row_json, .end = end_json};
