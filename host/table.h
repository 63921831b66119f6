/* STAGE 7, tables: what the database says, as rows for people and programs. */
#ifndef RS_TABLE_H
#define RS_TABLE_H

#include "store.h"

#include <stdio.h>

typedef enum rs_table_format {
    RS_MD,
    RS_CSV,
    RS_LATEX,
    RS_JSON,
    RS_N_TABLE_FORMAT
} rs_table_format;

/* Writes the table `name` ("decay", "profile", "throughput", "runs") to `out`, rows in a fixed
 * order. RS_EINPUT for an unknown name, with the known ones. Column names are a contract: see
 * the README. Infinite numbers print as inf and -inf, missing values as empty. */
rs_status rs_table_write(rs_store *store, const char *name, rs_table_format format, FILE *out);

/* Format of that name, or RS_N_TABLE_FORMAT. */
rs_table_format rs_table_format_named(const char *name);

#endif
