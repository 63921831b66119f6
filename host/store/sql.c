#include "sql.h"

#include <errno.h>
#include <string.h>

/* Columns of points: what was found at a radius. */
#define POINT_RESULTS                                                                              \
    "rho, g, decay_rate, forward_nonfinite, fp32_underflow, fp32_overflow, fp16_underflow,"        \
    " fp16_overflow, bf16_underflow, bf16_overflow, backward_nonfinite"
#define LYAPUNOV                                                                                   \
    "directions, transient, qr_asked, qr_every, exponents, standard_errors, predicted, "           \
    "log_slope, sum_rule_residual"
#define SINGULAR "transient, qr_asked, at, logs"
#define TIMING                                                                                     \
    "radii, columns, forward_s, backward_s, transfer_s, device, threads, host, rank, device_index"
/* What is known of the run that comes in. */
#define INCOMING(columns)  "(SELECT " columns " FROM temp.incoming WHERE rowid = ?1)"
#define INCOMING_BEGINNING INCOMING(RS_RUN_BEGINNING)
#define INCOMING_END       INCOMING(RS_RUN_END)
#define INCOMING_FINISHED  INCOMING("finished")

/* In the statements on cases (is_on_cases) %s stands, in turn, for the columns of their identity
 * (in FIND_POINTS without the seed), as many parameters, and the columns again. */
static const char *const statement_sql[RS_SQL_N] = {
    [RS_SQL_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [RS_SQL_COMMIT] = "COMMIT",
    [RS_SQL_BEGIN_RUN] =
        "INSERT INTO runs (started, outcome, version, git_commit, libraries, host, system, engine,"
        " device, driver, isa, threads, memory, command_line, spec, workers)"
        " VALUES (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), 'running', ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,"
        " ?9, ?10, ?11, ?12, ?13, ?14)",
    [RS_SQL_FINISH_RUN] =
        "UPDATE runs SET finished = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), outcome = ?2,"
        " engine_s = ?3, wall_s = ?4 WHERE id = ?1",
    [RS_SQL_FIND_POINTS] = "SELECT seed, rho_asked, decay_rate, points.id, case_id, points.run_id"
                           " FROM cases JOIN points ON case_id = cases.id"
                           " WHERE (%s) = (%s) AND seed BETWEEN ? AND ? ORDER BY seed",
    [RS_SQL_FIND_CURVE] = "SELECT 1 FROM curves WHERE point_id = ?1",
    [RS_SQL_ADD_CASE] =
        "INSERT INTO cases (%s, model, status, reason, run_id) VALUES (%s, ?, ?, ?, ?)"
        " ON CONFLICT (%s) DO NOTHING",
    [RS_SQL_CHANGE_CASE] =
        "INSERT INTO cases (%s, model, status, reason, run_id) VALUES (%s, ?, ?, ?, ?)"
        " ON CONFLICT (%s) DO UPDATE SET status = excluded.status,"
        " reason = excluded.reason, run_id = excluded.run_id RETURNING id",
    [RS_SQL_RENEW_BARE_POINT] =
        "UPDATE points SET run_id = ?2, rho = ?4, g = ?5, decay_rate = ?6, forward_nonfinite = ?7,"
        " fp32_underflow = ?8, fp32_overflow = ?9, fp16_underflow = ?10, fp16_overflow = ?11,"
        " bf16_underflow = ?12, bf16_overflow = ?13, backward_nonfinite = ?14"
        " WHERE case_id = ?1 AND ifnull(rho_asked, -1) = ifnull(?3, -1)"
        " AND NOT EXISTS (SELECT 1 FROM curves WHERE point_id = points.id) RETURNING id",
    [RS_SQL_ADD_POINT] = "INSERT INTO points (case_id, run_id, rho_asked, rho, g, decay_rate,"
                         " forward_nonfinite, fp32_underflow, fp32_overflow, fp16_underflow,"
                         " fp16_overflow, bf16_underflow, bf16_overflow, backward_nonfinite)"
                         " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
                         " ON CONFLICT DO NOTHING",
    [RS_SQL_FIND_POINT] = "SELECT id FROM points"
                          " WHERE case_id = ?1 AND ifnull(rho_asked, -1) = ifnull(?2, -1)",
    [RS_SQL_ADD_CURVE] = "INSERT INTO curves (point_id, mean, min, max, zero)"
                         " VALUES (?1, ?2, ?3, ?4, ?5)",
    [RS_SQL_ADD_STATE_CURVE] = "INSERT INTO state_curves (point_id, state, mean, min, max, zero)"
                               " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [RS_SQL_FIND_GRADIENT] = "SELECT 1 FROM gradients WHERE point_id = ?1",
    [RS_SQL_ADD_GRADIENT] = "INSERT INTO gradients (point_id, weight_ih, weight_hh, bias_ih,"
                            " bias_hh) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
    [RS_SQL_FIND_LYAPUNOV] = "SELECT 1 FROM lyapunov WHERE point_id = ?1 AND directions = ?2"
                             " AND transient = ?3 AND qr_asked = ?4",
    [RS_SQL_ADD_LYAPUNOV] = "INSERT INTO lyapunov (point_id, " LYAPUNOV ")"
                            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
                            " ON CONFLICT DO NOTHING",
    [RS_SQL_FIND_SINGULAR] = "SELECT 1 FROM singular_values WHERE point_id = ?1 AND transient = ?2"
                             " AND qr_asked = ?3 AND at = ?4",
    [RS_SQL_ADD_SINGULAR] = "INSERT INTO singular_values (point_id, " SINGULAR ")"
                            " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
    [RS_SQL_ADD_CLIP] = "INSERT INTO clips (case_id, run_id, max_norm) VALUES (?1, ?2, ?3)"
                        " ON CONFLICT DO NOTHING",
    [RS_SQL_ADD_CLIP_OF_CASE] = "INSERT INTO clips (case_id, run_id, max_norm)"
                                " SELECT id, ?, ? FROM cases WHERE (%s) = (%s)"
                                " ON CONFLICT DO NOTHING",
    /* Of one row for certain: else SQLite copies every page it changes to a file first. */
    [RS_SQL_ADD_TIMING] =
        "INSERT INTO timings (case_id, run_id, radii, columns, forward_s, backward_s, transfer_s,"
        " device, threads, host, rank, device_index)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
        " ON CONFLICT (case_id, run_id) DO UPDATE SET radii = radii + excluded.radii,"
        " columns = columns + excluded.columns,"
        " forward_s = forward_s + excluded.forward_s,"
        " backward_s = backward_s + excluded.backward_s,"
        " transfer_s = transfer_s + excluded.transfer_s",
    [RS_SQL_CONFIRM_ZERO_START] = "UPDATE cases SET h0 = 'zero'"
                                  " WHERE h0 = 'unrecorded' AND model_digest = ?1",
    [RS_SQL_FIND_RADII] =
        "SELECT matrix, radius FROM radii WHERE hidden = ?2 AND run_id IN (SELECT id FROM runs"
        " WHERE libraries = (SELECT libraries FROM runs WHERE id = ?1))",
    [RS_SQL_ADD_RADIUS] =
        "INSERT INTO radii (run_id, hidden, matrix, radius) VALUES (?1, ?2, ?3, ?4)"
        " ON CONFLICT (hidden, matrix) DO UPDATE SET radius = excluded.radius,"
        " run_id = excluded.run_id",
    [RS_SQL_READ_RUNS] = "SELECT id, " RS_RUN_BEGINNING ", " RS_RUN_END " FROM runs",
    [RS_SQL_READ_CASES] = "SELECT %s, model, status, reason, run_id, id, steps FROM cases",
    [RS_SQL_READ_POINTS] = "SELECT run_id, rho_asked, " POINT_RESULTS ", id FROM points"
                           " WHERE case_id = ?1",
    [RS_SQL_READ_CURVES] = "SELECT mean, min, max, zero FROM curves WHERE point_id = ?1",
    [RS_SQL_READ_STATE_CURVES] =
        "SELECT state, mean, min, max, zero FROM state_curves WHERE point_id = ?1",
    [RS_SQL_READ_GRADIENTS] =
        "SELECT weight_ih, weight_hh, bias_ih, bias_hh FROM gradients WHERE point_id = ?1",
    [RS_SQL_READ_LYAPUNOV] = "SELECT " LYAPUNOV " FROM lyapunov WHERE point_id = ?1",
    [RS_SQL_READ_SINGULAR] = "SELECT " SINGULAR " FROM singular_values WHERE point_id = ?1",
    [RS_SQL_READ_CLIPS] = "SELECT run_id, max_norm FROM clips WHERE case_id = ?1",
    [RS_SQL_READ_TIMINGS] = "SELECT run_id, " TIMING " FROM timings WHERE case_id = ?1",
    [RS_SQL_READ_RADII] = "SELECT run_id, hidden, matrix, radius FROM radii",
    [RS_SQL_ADD_INCOMING] =
        "INSERT INTO temp.incoming (input, id, " RS_RUN_BEGINNING ", " RS_RUN_END ")"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    /* In the order of starting; of the states that a run was seen in, its end first. */
    [RS_SQL_READ_INCOMING] = "SELECT rowid, input FROM temp.incoming ORDER BY " RS_RUN_BEGINNING
                             ", finished IS NULL, " RS_RUN_END,
    [RS_SQL_FIND_SAME_RUN] =
        "SELECT id FROM main.runs WHERE (" RS_RUN_BEGINNING ") IS " INCOMING_BEGINNING
        " AND (finished IS NULL OR " INCOMING_FINISHED " IS NULL"
        " OR (" RS_RUN_END ") IS " INCOMING_END ") ORDER BY finished IS NULL LIMIT 1",
    [RS_SQL_ADD_SAME_RUN] =
        "INSERT INTO main.runs (" RS_RUN_BEGINNING ", " RS_RUN_END ")"
        " SELECT " RS_RUN_BEGINNING ", " RS_RUN_END " FROM temp.incoming WHERE rowid = ?1",
    [RS_SQL_END_SAME_RUN] =
        "UPDATE main.runs SET (" RS_RUN_END ") = " INCOMING_END
        " WHERE id = ?2 AND finished IS NULL AND " INCOMING_FINISHED " IS NOT NULL",
    [RS_SQL_MAP_RUN] = "UPDATE temp.incoming SET run = ?2 WHERE rowid = ?1",
    [RS_SQL_FIND_MAPPED_RUN] = "SELECT run FROM temp.incoming WHERE input = ?1 AND id = ?2",
    /* By their runs; those without any last. */
    [RS_SQL_ORDER_INPUTS] =
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)"
        " SELECT i FROM n LEFT JOIN temp.incoming ON input = i GROUP BY i"
        " ORDER BY min(run) IS NULL, min(run), max(run), count(*), i",
    [RS_SQL_FIND_CASE] = "SELECT id FROM cases WHERE (%s) = (%s)",
    /* The latest attempt tells, but a success comes before all failures. */
    [RS_SQL_IMPROVE_CASE] =
        "UPDATE cases SET model = ?2, status = ?3, reason = ?4, run_id = ?5 WHERE id = ?1 AND"
        " (?3 = 'done', (SELECT started FROM runs r WHERE r.id = ?5), ?2, ifnull(?4, ''))"
        " > (status = 'done', (SELECT started FROM runs r WHERE r.id = cases.run_id), model,"
        " ifnull(reason, ''))",
    [RS_SQL_FIND_SAME_POINT] =
        "SELECT id FROM points WHERE case_id = ?1 AND ifnull(rho_asked, -1) = ifnull(?3, -1)"
        " AND (" POINT_RESULTS ") IS (?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    [RS_SQL_KEEP_CURVE] = "INSERT INTO curves (point_id, mean, min, max, zero)"
                          " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
    [RS_SQL_FIND_SAME_CURVE] =
        "SELECT 1 FROM curves WHERE point_id = ?1 AND (mean, min, max, zero) IS (?2, ?3, ?4, ?5)",
    [RS_SQL_KEEP_STATE_CURVE] = "INSERT INTO state_curves (point_id, state, mean, min, max, zero)"
                                " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
    [RS_SQL_FIND_SAME_STATE_CURVE] = "SELECT 1 FROM state_curves WHERE point_id = ?1 AND state = ?2"
                                     " AND (mean, min, max, zero) IS (?3, ?4, ?5, ?6)",
    [RS_SQL_FIND_SAME_GRADIENTS] =
        "SELECT 1 FROM gradients WHERE point_id = ?1"
        " AND (weight_ih, weight_hh, bias_ih, bias_hh) IS (?2, ?3, ?4, ?5)",
    [RS_SQL_FIND_SAME_LYAPUNOV] = "SELECT 1 FROM lyapunov WHERE point_id = ?1 AND (" LYAPUNOV ")"
                                  " IS (?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    [RS_SQL_FIND_SAME_SINGULAR] = "SELECT 1 FROM singular_values WHERE point_id = ?1"
                                  " AND (" SINGULAR ") IS (?2, ?3, ?4, ?5)",
    /* Of a run that was seen twice the later state, in which it has computed more. */
    [RS_SQL_KEEP_TIMING] = "INSERT INTO timings (case_id, run_id, " TIMING ")"
                           " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
                           " ON CONFLICT (case_id, run_id) DO UPDATE SET (" TIMING ")"
                           " = (?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) WHERE ?3 > radii",
    [RS_SQL_KEEP_RADIUS] = "INSERT INTO radii (run_id, hidden, matrix, radius)"
                           " VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
};

static const char *way_out(int code) {
    switch (code) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return ": another program is writing to it; run this again when it is done";
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_CANTOPEN: return ": make file and folder writable, or name another file";
    case SQLITE_FULL:
    case SQLITE_IOERR: return ": make room on the disk and run this again; what was stored is safe";
    case SQLITE_ERROR:
    case SQLITE_INTERRUPT: /* see guard.h */
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return ": the database is damaged; move it away or name another file";
    default: return "";
    }
}

static rs_status status_of(int code) {
    switch (code) {
    case SQLITE_ERROR: /* our statements are right, so the tables are not */
    case SQLITE_INTERRUPT:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return RS_EINPUT;
    case SQLITE_NOMEM: return RS_EMEMORY;
    default: return RS_ESTORE;
    }
}

rs_status rs_store_fail(rs_store *store, const char *doing) {
    int const code = sqlite3_errcode(store->db) & 0xff;
    int const cause = sqlite3_system_errno(store->db);
    bool const named = cause != 0 && (code == SQLITE_CANTOPEN || code == SQLITE_IOERR);
    return rs_fail(status_of(code), "%s: %s: %s%s%s%s", store->path, doing,
                   code == SQLITE_INTERRUPT ? "its rows have no end" : sqlite3_errmsg(store->db),
                   named ? ": " : "", named ? strerror(cause) : "", way_out(code));
}

rs_status rs_sql_execute(rs_store *store, const char *sql, const char *doing) {
    if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK) return RS_OK;
    return rs_store_fail(store, doing);
}

rs_status rs_sql_number(rs_store *store, const char *sql, int64_t *number) {
    sqlite3_stmt *query = NULL;
    bool const found = sqlite3_prepare_v2(store->db, sql, -1, &query, NULL) == SQLITE_OK &&
                       sqlite3_step(query) == SQLITE_ROW;
    rs_status const status = found ? RS_OK : rs_store_fail(store, "reading");
    if (found) *number = sqlite3_column_int64(query, 0);
    sqlite3_finalize(query);
    return status;
}

/* The names of the identity's columns, or as many parameters; NULL without memory. */
static char *identity_list(bool names, bool with_seed) {
    size_t n;
    const rs_identity_column *const column = rs_identity_columns(&n);
    sqlite3_str *const list = sqlite3_str_new(NULL);
    for (size_t i = 0; i < n; ++i)
        if (with_seed || column[i].part != RS_PART_SEED)
            sqlite3_str_appendf(list, "%s%s", i ? ", " : "", names ? column[i].name : "?");
    return sqlite3_str_finish(list);
}

/* A statement on cases, made from the columns of their identity; NULL without memory. */
static char *case_sql(rs_statement which) {
    bool const with_seed = which != RS_SQL_FIND_POINTS;
    char *const names = identity_list(true, with_seed);
    char *const parameters = identity_list(false, with_seed);
    char *const sql = names && parameters
                          ? sqlite3_mprintf(statement_sql[which], names, parameters, names)
                          : NULL;
    sqlite3_free(names);
    sqlite3_free(parameters);
    return sql;
}

static rs_status prepare_first(rs_store *store, rs_statement which, const char *sql) {
    if (!sql) return rs_fail(RS_EMEMORY, "%s: out of memory", store->path);
    if (sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &store->prepared[which],
                           NULL) == SQLITE_OK)
        return RS_OK;
    return rs_store_fail(store, "reading");
}

static bool is_on_cases(rs_statement which) {
    return which == RS_SQL_FIND_POINTS || which == RS_SQL_ADD_CASE || which == RS_SQL_CHANGE_CASE ||
           which == RS_SQL_ADD_CLIP_OF_CASE || which == RS_SQL_READ_CASES ||
           which == RS_SQL_FIND_CASE;
}

rs_status rs_sql_prepare(rs_store *store, rs_statement which, sqlite3_stmt **out) {
    if (!store->prepared[which]) {
        bool const on_cases = is_on_cases(which);
        char *const made = on_cases ? case_sql(which) : NULL;
        rs_status const status =
            prepare_first(store, which, on_cases ? made : statement_sql[which]);
        sqlite3_free(made);
        RS_TRY(status);
    }
    *out = store->prepared[which];
    return RS_OK;
}

rs_status rs_sql_end(rs_store *store, sqlite3_stmt *bound, int code, const char *doing) {
    rs_status const status = code == SQLITE_DONE ? RS_OK : rs_store_fail(store, doing);
    sqlite3_reset(bound);
    sqlite3_clear_bindings(bound);
    return status;
}

rs_status rs_sql_run(rs_store *store, sqlite3_stmt *bound, const char *doing) {
    return rs_sql_end(store, bound, sqlite3_step(bound), doing);
}

rs_status rs_sql_run_for_number(rs_store *store, sqlite3_stmt *bound, const char *doing,
                                bool *found, int64_t *number) {
    int code = sqlite3_step(bound);
    *found = code == SQLITE_ROW;
    if (*found) {
        *number = sqlite3_column_int64(bound, 0);
        code = sqlite3_step(bound);
    }
    return rs_sql_end(store, bound, code, doing);
}

rs_status rs_sql_run_plain(rs_store *store, rs_statement which, const char *doing) {
    sqlite3_stmt *plain = NULL;
    RS_TRY(rs_sql_prepare(store, which, &plain));
    return rs_sql_run(store, plain, doing);
}

/* ---- parameters ---------------------------------------------------------------------------- */

void rs_bind_text(rs_binder *b, const char *text) {
    int const code = sqlite3_bind_text(b->to, ++b->at, text, -1, SQLITE_STATIC);
    if (code != SQLITE_OK) b->code = code;
}

void rs_bind_value(rs_binder *b, sqlite3_stmt *row, int column) {
    int const code = sqlite3_bind_value(b->to, ++b->at, sqlite3_column_value(row, column));
    if (code != SQLITE_OK) b->code = code;
}

void rs_bind_whole(rs_binder *b, int64_t whole) {
    int const code = sqlite3_bind_int64(b->to, ++b->at, whole);
    if (code != SQLITE_OK) b->code = code;
}

void rs_bind_size(rs_binder *b, size_t size) { rs_bind_whole(b, (int64_t)size); }

void rs_bind_real(rs_binder *b, double real) { /* SQLite takes NaN as NULL */
    int const code = sqlite3_bind_double(b->to, ++b->at, real);
    if (code != SQLITE_OK) b->code = code;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "curves are stored as memory has them");

void rs_bind_curve(rs_binder *b, const double *curve, size_t steps) {
    int const code =
        sqlite3_bind_blob64(b->to, ++b->at, curve, steps * sizeof *curve, SQLITE_STATIC);
    if (code != SQLITE_OK) b->code = code;
}

void rs_bind_step(rs_binder *b, long step, long never) {
    if (step == never)
        ++b->at; /* unbound parameters are NULL */
    else
        rs_bind_whole(b, step);
}

rs_status rs_bound(rs_store *store, const rs_binder *b) {
    return b->code == SQLITE_OK ? RS_OK : rs_store_fail(store, "writing");
}
