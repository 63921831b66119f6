#include "guard.h"

/* What SQLite calls a step is one of its virtual machine's. Tables of our own need at most some ten
 * of them for a byte of the file; where pages of the file refer to each other in circles there is
 * no end to them. */
enum { STEPS_PER_LOOK = 10000, STEPS_PER_BYTE = 50, FEWEST_LOOKS = 20 };

/* --- connections ------------------------------------------------------------------------------ */

static int64_t size_of(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 ? (int64_t)info.st_size : 0;
}

void rs_guard_renew(rs_store *store) {
    char *const log = sqlite3_mprintf("%s-wal", store->path);
    int64_t const bytes = size_of(store->path) + (log ? size_of(log) : 0);
    sqlite3_free(log);
    store->looks_left = FEWEST_LOOKS + bytes * STEPS_PER_BYTE / STEPS_PER_LOOK;
}

static int look(void *arg) {
    rs_store *const store = arg;
    return --store->looks_left < 0;
}

rs_status rs_guard_connection(rs_store *store) {
    static const struct {
        int what, is;
    } setting[] = {{SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
                   {SQLITE_DBCONFIG_DEFENSIVE, 1},
                   {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
                   {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0}},
      limit[] = {{SQLITE_LIMIT_SQL_LENGTH, 100000},
                 {SQLITE_LIMIT_ATTACHED, 0},
                 {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50}};
    for (size_t i = 0; i < sizeof setting / sizeof *setting; ++i)
        if (sqlite3_db_config(store->db, setting[i].what, setting[i].is, NULL) != SQLITE_OK)
            return rs_store_fail(store, "opening");
    for (size_t i = 0; i < sizeof limit / sizeof *limit; ++i)
        sqlite3_limit(store->db, limit[i].what, limit[i].is);
    rs_guard_renew(store);
    sqlite3_progress_handler(store->db, STEPS_PER_LOOK, look, store);
    return RS_OK;
}

/* --- what is in the file ---------------------------------------------------------------------- */

static const char foreign_objects[] =
    "SELECT CASE type WHEN 'index' THEN 'an index'"
    " WHEN 'table' THEN iif(rootpage > 0, 'a table', 'a virtual table') ELSE 'a ' || type END, name"
    " FROM main.sqlite_schema"
    " WHERE NOT (type = 'table' AND rootpage > 0 AND (name GLOB 'sqlite_stat[14]' OR name IN"
    " ('runs', 'cases', 'points', 'curves', 'state_curves', 'gradients', 'clips', 'lyapunov',"
    " 'singular_values', 'timings', 'radii', 'profile'))"
    " OR type = 'index' AND (name GLOB 'sqlite_autoindex_*' OR name = 'points_identity'))"
    " ORDER BY type DESC"; /* views first, which other tables of the crafter's may be for */
static const char computed_columns[] =
    "SELECT 'a computed column', x.name FROM main.sqlite_schema s,"
    " pragma_table_xinfo(s.name, 'main') x WHERE s.type = 'table' AND x.hidden <> 0";
static const char wrong_sizes[] =
    "SELECT hidden, steps, batch FROM cases"
    " WHERE typeof(hidden) || typeof(steps) || typeof(batch) <> 'integerintegerinteger'"
    " OR min(hidden, steps, batch) < 1";

static rs_status fail_foreign(rs_store *store, sqlite3_stmt *found) {
    const char *const kind = (const char *)sqlite3_column_text(found, 0);
    const char *const name = (const char *)sqlite3_column_text(found, 1);
    return rs_fail(RS_EINPUT, "%s: has %s, %.60s, which rhosweep never makes: name another file",
                   store->path, kind ? kind : "something", name ? name : "without a name");
}

static rs_status fail_sizes(rs_store *store, sqlite3_stmt *found) {
    return rs_fail(RS_EINPUT,
                   "%s: a case has %.20s units, %.20s steps, %.20s samples, which cannot be: the "
                   "database is damaged; move it away or name another file",
                   store->path, (const char *)sqlite3_column_text(found, 0),
                   (const char *)sqlite3_column_text(found, 1),
                   (const char *)sqlite3_column_text(found, 2));
}

/* Fails with the first row that `sql` finds. */
static rs_status refuse(rs_store *store, const char *sql,
                        rs_status (*fail)(rs_store *store, sqlite3_stmt *found)) {
    sqlite3_stmt *query = NULL;
    if (sqlite3_prepare_v2(store->db, sql, -1, &query, NULL) != SQLITE_OK)
        return rs_store_fail(store, "opening");
    rs_status status = RS_OK;
    int const code = sqlite3_step(query);
    if (code == SQLITE_ROW)
        status = fail(store, query);
    else if (code != SQLITE_DONE)
        status = rs_store_fail(store, "opening");
    sqlite3_finalize(query);
    return status;
}

rs_status rs_guard_schema(rs_store *store) {
    RS_TRY(refuse(store, foreign_objects, fail_foreign));
    return refuse(store, computed_columns, fail_foreign);
}

rs_status rs_guard_sizes(rs_store *store) { return refuse(store, wrong_sizes, fail_sizes); }
