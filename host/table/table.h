/* tables: what the database holds, as rows for people and programs. */
#ifndef RS_TABLE_H
#define RS_TABLE_H

#include "../store/store.h"

#include <stdio.h>

typedef enum rs_table_format {
    RS_TEXT, /* for a terminal */
    RS_MD,
    RS_CSV,
    RS_LATEX,
    RS_JSON,
    RS_N_TABLE_FORMAT
} rs_table_format;

typedef struct rs_table_request {
    const char *name;
    rs_table_format format;
    const char *columns; /* names with commas between them, in the order of showing; or NULL */
    bool wide;           /* all columns, also in the formats for reading */
    size_t line;         /* text: characters of a line, 0 for any number */
    bool utf8;           /* text: may have characters that are no ASCII */
} rs_table_request;

/* Writes a table to `out`, rows in a fixed order. RS_EINPUT for an unknown table or column, with
 * the nearest name; RS_EIO where `out` cannot be written. Names of columns are a contract.
 *
 * CSV and JSON have all columns unless `columns` names some, and numbers that read back exactly.
 * Text, md and LaTeX are for reading: they round (reading.h), and leave out columns that would say
 * the same in every row or only interest programs. Text and LaTeX have what all rows share in a
 * heading, and leave out the least useful columns where a line is too short for them.
 *
 * Infinite numbers print as inf and -inf, missing values as empty, norms that are no number as nan;
 * JSON has them as "inf", "-inf", null and "nan". */
rs_status rs_table_write(rs_store *store, const rs_table_request *asked, FILE *out);

/* RS_EINPUT for an unknown name, with the known ones. */
rs_status rs_table_parse_format(const char *word, rs_table_format *out);

/* Writes a line for every table: its name, and what it shows. */
void rs_table_list(FILE *out);

/* Describe the columns of a table: for a terminal with lines of that many characters, and as a
 * Markdown table. RS_EINPUT for an unknown name, RS_EMEMORY. */
rs_status rs_table_explain(const char *name, size_t line, FILE *out);
rs_status rs_table_describe(const char *name, FILE *out);

#endif
