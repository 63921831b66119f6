#include "upgrade.h"

#include <math.h>

/* Longer than the 4095 characters that ISO C promises; the compilers in use have no limit. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "upgrade1_sql.h"
#include "upgrade2_sql.h"
#include "upgrade3_sql.h"
#include "upgrade4_sql.h"
#include "upgrade5_sql.h"
#include "version1_sql.h"
#include "version2_sql.h"
#include "version3_sql.h"
#include "version4_sql.h"
#include "version5_sql.h"
#pragma GCC diagnostic pop

/* The steps of a curve in the order in which they come, in SQLite's memory of an aggregate. */
typedef struct gathered {
    struct {
        int64_t step;
        double value;
    } * at; /* [n] */
    int64_t n, capacity;
} gathered;

/* Makes room for one more; false where there is none. */
static bool reserve_step(gathered *curve) {
    if (curve->n < curve->capacity) return true;
    int64_t const capacity = curve->capacity ? 2 * curve->capacity : 64;
    void *const grown = sqlite3_realloc64(curve->at, (uint64_t)capacity * sizeof *curve->at);
    if (!grown) return false;
    curve->at = grown;
    curve->capacity = capacity;
    return true;
}

/* rs_curve(step, value): the values of the steps 1 to n, of which each must come once, as an array
 * of float64, NULL as NaN. */
static void gather_step(sqlite3_context *context, int n_arguments, sqlite3_value **argument) {
    (void)n_arguments;
    gathered *const curve = sqlite3_aggregate_context(context, sizeof *curve);
    if (!curve || !reserve_step(curve)) {
        sqlite3_result_error_nomem(context);
        return;
    }
    bool const missing = sqlite3_value_type(argument[1]) == SQLITE_NULL;
    curve->at[curve->n].step = sqlite3_value_int64(argument[0]);
    curve->at[curve->n++].value = missing ? NAN : sqlite3_value_double(argument[1]);
}

/* Puts every step in its place; false where one is beyond the number of them. */
static bool order_steps(const gathered *from, double *curve) {
    for (int64_t i = 0; i < from->n; ++i) curve[i] = NAN;
    for (int64_t i = 0; i < from->n; ++i) {
        int64_t const step = from->at[i].step;
        if (step < 1 || step > from->n) return false;
        curve[step - 1] = from->at[i].value;
    }
    return true;
}

static void finish_curve(sqlite3_context *context) {
    gathered *const all = sqlite3_aggregate_context(context, 0);
    if (!all || all->n == 0) return;
    uint64_t const bytes = (uint64_t)all->n * sizeof(double);
    double *const curve = sqlite3_malloc64(bytes);
    if (!curve)
        sqlite3_result_error_nomem(context);
    else if (order_steps(all, curve))
        sqlite3_result_blob64(context, curve, bytes, SQLITE_TRANSIENT);
    else
        sqlite3_result_error_code(context, SQLITE_CORRUPT);
    sqlite3_free(curve);
    sqlite3_free(all->at);
}

rs_status rs_upgrade_add_functions(rs_store *store) {
    int const flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY;
    if (sqlite3_create_function_v2(store->db, "rs_curve", 2, flags, NULL, NULL, gather_step,
                                   finish_curve, NULL) == SQLITE_OK)
        return RS_OK;
    return rs_store_fail(store, "opening");
}

rs_status rs_upgrade_version(rs_store *store, int64_t *version) {
    return rs_sql_number(store, "PRAGMA user_version", version);
}

/* Early builds of version 2 lack a column. */
static rs_status add_missing_column(rs_store *store) {
    int64_t columns = 0;
    RS_TRY(rs_sql_number(
        store, "SELECT count(*) FROM pragma_table_info('curves') WHERE name = 'zero'", &columns));
    if (columns > 0) return RS_OK;
    return rs_sql_execute(store, "ALTER TABLE curves ADD COLUMN zero BLOB", "upgrading");
}

/* upgrade1.sql reads what version1.sql shows. */
static rs_status show_version1(rs_store *store) {
    return rs_sql_execute(store, version1_sql, "upgrading");
}

/* From every version to the next. */
static const struct {
    const char *view, *upgrade;
    rs_status (*prepare)(rs_store *store); /* an upgrade; or NULL */
} step[RS_SCHEMA_VERSION] = {
    [1] = {version1_sql, upgrade1_sql, show_version1},
    [2] = {version2_sql, upgrade2_sql, add_missing_column},
    [3] = {version3_sql, upgrade3_sql, NULL},
    [4] = {version4_sql, upgrade4_sql, NULL},
    [5] = {version5_sql, upgrade5_sql, NULL},
};

rs_status rs_upgrade(rs_store *store) {
    int64_t version = 0;
    RS_TRY(rs_upgrade_version(store, &version));
    for (; version < RS_SCHEMA_VERSION; ++version) {
        if (step[version].prepare) RS_TRY(step[version].prepare(store));
        RS_TRY(rs_sql_execute(store, step[version].upgrade, "upgrading"));
    }
    return RS_OK;
}

rs_status rs_upgrade_view(rs_store *store, int64_t version) {
    for (; version < RS_SCHEMA_VERSION; ++version)
        RS_TRY(rs_sql_execute(store, step[version].view, "reading"));
    return RS_OK;
}
