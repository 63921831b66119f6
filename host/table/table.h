/* tables: what the database says, as rows for people and programs. */
#ifndef RS_TABLE_H
#define RS_TABLE_H

#include "../store/store.h"

#include <stdio.h>

typedef enum rs_table_format {
    RS_MD,
    RS_CSV,
    RS_LATEX,
    RS_JSON,
    RS_N_TABLE_FORMAT
} rs_table_format;

/* Writes the table of that name to `out`, rows in a fixed order. RS_EINPUT for an unknown name,
 * with the known ones; RS_EIO where `out` cannot be written. Column names are a contract: see the
 * README. Infinite numbers print as inf and -inf, missing values as empty, norms that are no number
 * as nan; JSON has them as "inf", "-inf", null and "nan". CSV and JSON have all columns, and
 * numbers that read back exactly; md and LaTeX round, and leave out columns beside the contract's
 * that would say the same in every row or only interest programs. */
rs_status rs_table_write(rs_store *store, const char *name, rs_table_format format, FILE *out);

/* RS_EINPUT for an unknown name, with the known ones. */
rs_status rs_table_parse_format(const char *word, rs_table_format *out);

/* Names in the order of help; NULL behind the last. */
const char *rs_table_name(size_t i);
const char *rs_table_format_name(size_t i);

/* Writes a line for every table: its name, and what it shows. */
void rs_table_list(FILE *out);

#endif
