/* Lets a test ask for a curve's numbers in SQL, a row per step. */
#ifndef RS_CURVE_STEPS_H
#define RS_CURVE_STEPS_H

#include <sqlite3.h>
#include <string.h>

/* curve_at(curve, t) */
static void curve_at(sqlite3_context *context, int n, sqlite3_value **argument) {
    (void)n;
    double value;
    const char *const bytes = sqlite3_value_blob(argument[0]);
    int const at = (sqlite3_value_int(argument[1]) - 1) * (int)sizeof value;
    if (!bytes || at < 0 || at + (int)sizeof value > sqlite3_value_bytes(argument[0])) return;
    memcpy(&value, bytes + at, sizeof value);
    sqlite3_result_double(context, value);
}

/* Gives `db` a view profile (point_id, step, log10_norm_mean, log10_norm_min, log10_norm_max);
 * an SQLite code. */
static inline int add_curve_steps(sqlite3 *db) {
    int const code =
        sqlite3_create_function(db, "curve_at", 2, SQLITE_UTF8, NULL, curve_at, NULL, NULL);
    if (code != SQLITE_OK) return code;
    return sqlite3_exec(db,
                        "CREATE TEMP VIEW profile AS WITH RECURSIVE t(step) AS (SELECT 1 UNION ALL"
                        " SELECT step + 1 FROM t"
                        " WHERE step < (SELECT max(length(mean)) / 8 FROM curves))"
                        " SELECT point_id, step, curve_at(mean, step) AS log10_norm_mean,"
                        " curve_at(ifnull(min, mean), step) AS log10_norm_min,"
                        " curve_at(ifnull(max, mean), step) AS log10_norm_max"
                        " FROM curves JOIN t ON step <= length(mean) / 8",
                        NULL, NULL, NULL);
}

#endif
