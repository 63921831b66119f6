/* RFC 4180, but for line ends, which are the system's. */
#include "writer.h"

#include <string.h>

static void put_csv_text(FILE *out, const char *text) {
    if (!strpbrk(text, "\",\r\n")) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (const char *c = text; *c; ++c) {
        if (*c == '"') fputc('"', out);
        fputc(*c, out);
    }
    fputc('"', out);
}

static void begin_csv(sink *to) {
    for (size_t k = 0; k < to->shown.n; ++k)
        fprintf(to->out, "%s%s", k ? "," : "", to->table->column[to->shown.at[k]].name);
    fputc('\n', to->out);
}

static void row_csv(sink *to, const cell *row) {
    char buffer[RS_REAL_TEXT];
    for (size_t k = 0; k < to->shown.n; ++k) {
        size_t const i = to->shown.at[k];
        if (k > 0) fputc(',', to->out);
        put_csv_text(to->out, rs_cell_text(&row[i], true, buffer));
    }
    fputc('\n', to->out);
}

const writer rs_csv_writer = {.name = "csv", .begin = begin_csv, .row = row_csv};
