#include "upgrade.h"

#include <math.h>

/* Longer than the 4095 characters that ISO C promises; the compilers in use have no limit. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "upgrade_sql.h"
#include "version1_sql.h"
#pragma GCC diagnostic pop

/* A curve that is being gathered, in SQLite's memory of an aggregate. */
typedef struct gathered {
    double *at; /* [n] NaN where no step has come yet */
    int n, capacity;
} gathered;

/* Makes room up to step `n`, the longest curve so far; false where there is none. */
static bool reach_step(gathered *curve, int n) {
    if (n > curve->capacity) {
        int const capacity = n > 2 * curve->capacity ? n : 2 * curve->capacity;
        double *const grown = sqlite3_realloc64(curve->at, (uint64_t)capacity * sizeof *grown);
        if (!grown) return false;
        curve->at = grown;
        curve->capacity = capacity;
    }
    while (curve->n < n) curve->at[curve->n++] = NAN;
    return true;
}

/* rs_curve(step, value): the values of the steps 1 to the last as an array of float64, NULL and
 * what is missing as NaN. */
static void gather_step(sqlite3_context *context, int n_arguments, sqlite3_value **argument) {
    enum { MOST_STEPS = 10000000 };
    (void)n_arguments;
    gathered *const curve = sqlite3_aggregate_context(context, sizeof *curve);
    int64_t const step = sqlite3_value_int64(argument[0]);
    if (step < 1 || step > MOST_STEPS)
        sqlite3_result_error_code(context, SQLITE_CORRUPT);
    else if (!curve || (step > curve->n && !reach_step(curve, (int)step)))
        sqlite3_result_error_nomem(context);
    else if (sqlite3_value_type(argument[1]) != SQLITE_NULL)
        curve->at[step - 1] = sqlite3_value_double(argument[1]);
}

static void finish_curve(sqlite3_context *context) {
    gathered *const curve = sqlite3_aggregate_context(context, 0);
    if (curve && curve->at)
        sqlite3_result_blob64(context, curve->at, (uint64_t)curve->n * sizeof *curve->at,
                              sqlite3_free);
}

rs_status rs_upgrade_add_functions(rs_store *store) {
    int const flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC;
    if (sqlite3_create_function_v2(store->db, "rs_curve", 2, flags, NULL, NULL, gather_step,
                                   finish_curve, NULL) == SQLITE_OK)
        return RS_OK;
    return rs_store_fail(store, "opening");
}

rs_status rs_upgrade_version(rs_store *store, int64_t *version) {
    return rs_sql_number(store, "PRAGMA user_version", version);
}

/* Databases of early builds lack a column. */
static rs_status add_missing_column(rs_store *store) {
    int64_t columns = 0;
    RS_TRY(rs_sql_number(
        store, "SELECT count(*) FROM pragma_table_info('curves') WHERE name = 'zero'", &columns));
    if (columns > 0) return RS_OK;
    return rs_sql_execute(store, "ALTER TABLE curves ADD COLUMN zero BLOB", "upgrading");
}

/* In a transaction of the caller's. */
rs_status rs_upgrade(rs_store *store) {
    int64_t version = 0;
    RS_TRY(rs_upgrade_version(store, &version));
    if (version == RS_SCHEMA_VERSION) return add_missing_column(store);
    RS_TRY(rs_sql_execute(store, version1_sql, "upgrading"));
    return rs_sql_execute(store, upgrade_sql, "upgrading");
}

rs_status rs_upgrade_view(rs_store *store) {
    return rs_sql_execute(store, version1_sql, "reading");
}
