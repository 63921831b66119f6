/* writer: the rows of a table as text, in one of the formats. */
#ifndef RS_TABLE_WRITER_H
#define RS_TABLE_WRITER_H

#include "../spec/words.h"
#include "definition.h"

#include <stdio.h>

/* Where the rows go, and how wide and which columns are, for the writers that need to know. */
typedef struct sink {
    FILE *out;
    const table *table;
    size_t rows; /* written so far */
    bool shown[RS_MAX_COLUMNS];
    size_t width[RS_MAX_COLUMNS];
} sink;

typedef struct writer {
    const char *name;
    bool for_people; /* rows are read once beforehand, to fill `shown` and `width` */
    void (*begin)(sink *to);
    void (*row)(sink *to, const cell *row);
    void (*end)(sink *to); /* or NULL */
} writer;

/* One file each. */
extern const writer rs_md_writer, rs_csv_writer, rs_latex_writer, rs_json_writer;

/* The text of a cell: its own, or its number printed into buffer, exact or with four digits. */
const char *rs_cell_text(const cell *one, bool exact, char buffer[RS_REAL_TEXT]);

/* Characters that a text is wide as a cell of a Markdown table. */
size_t rs_md_width(const char *text);

#endif
