/* writer: the rows of a table as text, in one of the formats. */
#ifndef RS_TABLE_WRITER_H
#define RS_TABLE_WRITER_H

#include "../spec/words.h"
#include "definition.h"

#include <stdio.h>

/* What the rows of a column look like to readers. */
typedef struct look {
    bool any, varies;      /* some row has a value; two rows differ */
    size_t before, behind; /* most characters of a number before its point and from there on; of a
                              text all are before */
    size_t halves;         /* most half digits that a text is wide, set in type */
    size_t limit;          /* characters that a text is cut or broken to, 0 for none */
    interval_kind interval;
    char *text; /* of the first row */
} look;

/* Columns, by index, in the order of showing. */
typedef struct selection {
    size_t at[RS_MAX_COLUMNS], n;
} selection;

/* Where the rows go, and for formats for reading, what is known of them beforehand. */
typedef struct sink {
    FILE *out;
    const table *table;
    size_t rows; /* written so far */
    selection shown;
    size_t all_rows;
    look look[RS_MAX_COLUMNS];
    selection constant; /* the same in every row, for the heading */
    selection left_out; /* for want of room */
    size_t line;        /* text: characters of a line, 0 for any number */
    bool utf8;          /* text: may have characters that are no ASCII */
} sink;

typedef struct writer {
    const char *name;
    bool for_people; /* rows are read once beforehand, to fill `look` */
    void (*begin)(sink *to);
    void (*row)(sink *to, const cell *row);
    void (*end)(sink *to); /* or NULL */
    /* Of formats that have a heading for constants, and lines of a limited width; or NULL. */
    size_t (*room)(const sink *to);            /* of a line; 0 for any width */
    size_t (*width)(const sink *to, size_t i); /* of a column in it, with the gap beside it */
    use least_use;                             /* of columns that are shown unasked */
} writer;

/* One file each. */
extern const writer rs_md_writer, rs_csv_writer, rs_latex_writer, rs_json_writer, rs_text_writer;

/* The text of a cell: its own, or its number printed into buffer, exact or with four digits. */
const char *rs_cell_text(const cell *one, bool exact, char buffer[RS_REAL_TEXT]);

/* Characters that a text is wide, which are fewer than bytes in UTF-8. */
size_t rs_characters(const char *text);

/* Likewise in a cell of a Markdown table, where pipes need a backslash. */
size_t rs_md_width(const char *text);

/* Writes a text as a part of a Markdown table. */
void rs_md_put(FILE *out, const char *text);

/* Characters of a number's text before its point, or before what comes in the place of one. */
size_t rs_before_point(const char *number);

/* Most characters that a column's cells are wide. */
size_t rs_cells_width(const look *of);

/* A sentence on the intervals among the columns that are shown, or "". */
const char *rs_interval_note(const sink *to);

void rs_put_times(FILE *out, char c, size_t n);

#endif
