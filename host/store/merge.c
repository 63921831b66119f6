#include "merge.h"

#include "guard.h"
#include "live.h"
#include "sql.h"
#include "upgrade.h"

#include <unistd.h>

/* The runs of all inputs, and their numbers in the output. */
static const char make_incoming[] = "CREATE TEMP TABLE incoming (input, id, " RS_RUN_BEGINNING
                                    ", " RS_RUN_END ", run, PRIMARY KEY (input, id))";

/* What a point may have: at most a row, or one for each state. */
typedef struct part {
    rs_statement read, keep, find_same;
    int first_curve, curves; /* columns of the row that are curves */
    const char *what;
} part;

typedef struct merge {
    const rs_merge_request *request;
    rs_merge_outcome *outcome;
    rs_store *out, *in;
    size_t index;              /* of the input */
    size_t total;              /* points of all inputs */
    int64_t case_id, point_id; /* in the output */
    const part *part;          /* of the point */
} merge;

/* ---- rows ------------------------------------------------------------------------------------ */

static const char *input_path(const merge *m) { return m->request->input[m->index]; }

/* What the output's own rules refuse, the input should not have had. */
static rs_status fail_row(merge *m, const char *doing) {
    if ((sqlite3_errcode(m->out->db) & 0xff) != SQLITE_CONSTRAINT)
        return rs_store_fail(m->out, doing);
    return rs_fail(RS_EINPUT, "%s: %s: %s: the database is damaged; leave it out", input_path(m),
                   doing, sqlite3_errmsg(m->out->db));
}

/* Runs a bound statement on the output; *found: it yields a row, or has changed one. */
static rs_status run_bound(merge *m, const rs_binder *b, const char *doing, bool *found,
                           int64_t *number) {
    RS_TRY(rs_bound(m->out, b));
    int code = sqlite3_step(b->to);
    *found = code == SQLITE_ROW;
    if (*found && number) *number = sqlite3_column_int64(b->to, 0);
    if (*found) code = sqlite3_step(b->to);
    rs_status const status = code == SQLITE_DONE ? RS_OK : fail_row(m, doing);
    if (code == SQLITE_DONE && !sqlite3_stmt_readonly(b->to))
        *found = sqlite3_changes(m->out->db) > 0;
    sqlite3_reset(b->to);
    sqlite3_clear_bindings(b->to);
    return status;
}

static rs_status begin_statement(rs_store *store, rs_statement which, rs_binder *b) {
    *b = (rs_binder){0};
    return rs_sql_prepare(store, which, &b->to);
}

/* Calls `take` with every row that the statement yields: those that belong to `owner`, where it
 * has a parameter. */
static rs_status each_row(merge *m, rs_store *store, rs_statement which, int64_t owner,
                          rs_status (*take)(merge *m, sqlite3_stmt *row)) {
    rs_binder b;
    RS_TRY(begin_statement(store, which, &b));
    if (sqlite3_bind_parameter_count(b.to) > 0) rs_bind_whole(&b, owner);
    RS_TRY(rs_bound(store, &b));
    rs_status status = RS_OK;
    int code = SQLITE_DONE;
    while (status == RS_OK && (code = sqlite3_step(b.to)) == SQLITE_ROW) status = take(m, b.to);
    if (status == RS_OK) return rs_sql_end(store, b.to, code, "reading");
    sqlite3_reset(b.to);
    return status;
}

/* ---- runs ------------------------------------------------------------------------------------ */

static rs_status take_run(merge *m, sqlite3_stmt *row) {
    rs_binder b;
    bool added;
    RS_TRY(begin_statement(m->out, RS_SQL_ADD_INCOMING, &b));
    rs_bind_size(&b, m->index);
    for (int i = 0; i < sqlite3_column_count(row); ++i) rs_bind_value(&b, row, i);
    return run_bound(m, &b, "reading the runs", &added, NULL);
}

static rs_status take_runs(merge *m) {
    int64_t points = 0;
    RS_TRY(rs_sql_number(m->in, "SELECT count(*) FROM points", &points));
    m->total += (size_t)points;
    return each_row(m, m->in, RS_SQL_READ_RUNS, 0, take_run);
}

/* A run that is in the output already, unless it has ended otherwise there. */
static rs_status find_run(merge *m, int64_t incoming, bool *found, int64_t *run) {
    rs_binder b;
    RS_TRY(begin_statement(m->out, RS_SQL_FIND_SAME_RUN, &b));
    rs_bind_whole(&b, incoming);
    return run_bound(m, &b, "finding a run", found, run);
}

static rs_status put_run(merge *m, int64_t incoming, int64_t *run) {
    rs_binder b;
    bool found;
    RS_TRY(find_run(m, incoming, &found, run));
    RS_TRY(begin_statement(m->out, found ? RS_SQL_END_SAME_RUN : RS_SQL_ADD_SAME_RUN, &b));
    rs_bind_whole(&b, incoming);
    if (found) rs_bind_whole(&b, *run);
    bool changed;
    RS_TRY(run_bound(m, &b, "storing a run", &changed, NULL));
    if (!found) *run = sqlite3_last_insert_rowid(m->out->db);
    return RS_OK;
}

static rs_status map_run(merge *m, sqlite3_stmt *row) {
    rs_binder b;
    int64_t const incoming = sqlite3_column_int64(row, 0);
    int64_t run = 0;
    bool mapped;
    m->index = (size_t)sqlite3_column_int64(row, 1);
    rs_guard_renew(m->out);
    RS_TRY(put_run(m, incoming, &run));
    RS_TRY(begin_statement(m->out, RS_SQL_MAP_RUN, &b));
    rs_bind_whole(&b, incoming);
    rs_bind_whole(&b, run);
    return run_bound(m, &b, "storing a run", &mapped, NULL);
}

/* The number in the output of the run that `column` of the input's row names. */
static rs_status run_of(merge *m, sqlite3_stmt *row, int column, int64_t *run) {
    rs_binder b;
    bool found;
    RS_TRY(begin_statement(m->out, RS_SQL_FIND_MAPPED_RUN, &b));
    rs_bind_size(&b, m->index);
    rs_bind_value(&b, row, column);
    RS_TRY(run_bound(m, &b, "finding a run", &found, run));
    if (found) return RS_OK;
    return rs_fail(RS_EINPUT,
                   "%s: names run %lld, which was not in it: it is damaged, or a sweep has just "
                   "begun to write to it: run this again",
                   input_path(m), (long long)sqlite3_column_int64(row, column));
}

/* Binds what a row of the input brings to a case: the case, the run in its first column, and the
 * columns behind it up to `end`. */
static rs_status bind_row(merge *m, sqlite3_stmt *row, rs_statement which, int end, rs_binder *b) {
    int64_t run = 0;
    RS_TRY(run_of(m, row, 0, &run));
    RS_TRY(begin_statement(m->out, which, b));
    rs_bind_whole(b, m->case_id);
    rs_bind_whole(b, run);
    for (int i = 1; i < end; ++i) rs_bind_value(b, row, i);
    return RS_OK;
}

/* ---- contradictions -------------------------------------------------------------------------- */

/* The input's case as words, such as ", cell tanh, hidden 8, seed 3"; NULL without memory. */
static char *case_text(sqlite3_stmt *one) {
    size_t n;
    const rs_identity_column *const column = rs_identity_columns(&n);
    sqlite3_str *const text = sqlite3_str_new(NULL);
    for (size_t i = 0; i < n; ++i) {
        const char *const value = (const char *)sqlite3_column_text(one, (int)i);
        if (value && *value) sqlite3_str_appendf(text, ", %s %.40s", column[i].name, value);
    }
    return sqlite3_str_finish(text);
}

/* The rows of the input that are being read stand at its case and point. */
static rs_status fail_contradiction(merge *m, const char *what) {
    sqlite3_stmt *const one = m->in->prepared[RS_SQL_READ_CASES];
    sqlite3_stmt *const point = m->in->prepared[RS_SQL_READ_POINTS];
    const char *const rho = (const char *)sqlite3_column_text(point, 1);
    char *const text = case_text(one);
    rs_status const status = rs_fail(
        RS_EINPUT, "%s: has another %s than the others at rho %.40s%s: leave one of them out",
        input_path(m), what, rho ? rho : "native", text ? text : "");
    sqlite3_free(text);
    return status;
}

/* ---- points ---------------------------------------------------------------------------------- */

static part const parts[] = {
    {RS_SQL_READ_CURVES, RS_SQL_KEEP_CURVE, RS_SQL_FIND_SAME_CURVE, 0, 4, "curve"},
    {RS_SQL_READ_STATE_CURVES, RS_SQL_KEEP_STATE_CURVE, RS_SQL_FIND_SAME_STATE_CURVE, 1, 4,
     "curve of a state"},
    {RS_SQL_READ_GRADIENTS, RS_SQL_ADD_GRADIENT, RS_SQL_FIND_SAME_GRADIENTS, 0, 0,
     "gradient of the weights"},
    {RS_SQL_READ_LYAPUNOV, RS_SQL_ADD_LYAPUNOV, RS_SQL_FIND_SAME_LYAPUNOV, 0, 0,
     "Lyapunov spectrum"},
    {RS_SQL_READ_SINGULAR, RS_SQL_ADD_SINGULAR, RS_SQL_FIND_SAME_SINGULAR, 0, 0, "singular value"},
};

/* A curve has 8 bytes for every step, or is not there. */
static rs_status check_curves(merge *m, sqlite3_stmt *row) {
    const part *part = m->part;
    sqlite3_stmt *const one = m->in->prepared[RS_SQL_READ_CASES];
    int64_t const steps = sqlite3_column_int64(one, sqlite3_column_count(one) - 1);
    for (int i = part->first_curve; i < part->first_curve + part->curves; ++i)
        if (sqlite3_column_type(row, i) != SQLITE_NULL &&
            sqlite3_column_bytes(row, i) / (int64_t)sizeof(double) != steps)
            return rs_fail(RS_EINPUT,
                           "%s: a curve of %d bytes for %lld steps: the database is damaged; leave "
                           "it out",
                           input_path(m), sqlite3_column_bytes(row, i), (long long)steps);
    return RS_OK;
}

/* Runs one of the statements of a part with a row of the input. */
static rs_status run_part(merge *m, rs_statement which, sqlite3_stmt *row, bool *found) {
    rs_binder b;
    int64_t one;
    RS_TRY(begin_statement(m->out, which, &b));
    rs_bind_whole(&b, m->point_id);
    for (int i = 0; i < sqlite3_column_count(row); ++i) rs_bind_value(&b, row, i);
    return run_bound(m, &b, "storing a point", found, &one);
}

static rs_status take_part(merge *m, sqlite3_stmt *row) {
    bool found;
    RS_TRY(check_curves(m, row));
    RS_TRY(run_part(m, m->part->keep, row, &found));
    if (!found) RS_TRY(run_part(m, m->part->find_same, row, &found));
    return found ? RS_OK : fail_contradiction(m, m->part->what);
}

/* The point of the output that has the same radius and results; a new one where it had none. */
static rs_status find_point(merge *m, sqlite3_stmt *row) {
    rs_binder b;
    bool found;
    int const end = sqlite3_column_count(row) - 1; /* the number of the point in the input */
    RS_TRY(bind_row(m, row, RS_SQL_ADD_POINT, end, &b));
    RS_TRY(run_bound(m, &b, "storing a point", &found, NULL));
    m->point_id = sqlite3_last_insert_rowid(m->out->db);
    if (found) return RS_OK;
    RS_TRY(bind_row(m, row, RS_SQL_FIND_SAME_POINT, end, &b));
    RS_TRY(run_bound(m, &b, "storing a point", &found, &m->point_id));
    return found ? RS_OK : fail_contradiction(m, "result");
}

static rs_status take_point(merge *m, sqlite3_stmt *row) {
    int64_t const from = sqlite3_column_int64(row, sqlite3_column_count(row) - 1);
    rs_guard_renew(m->out);
    RS_TRY(find_point(m, row));
    for (m->part = parts; m->part < parts + sizeof parts / sizeof *parts; ++m->part)
        RS_TRY(each_row(m, m->in, m->part->read, from, take_part));
    ++m->outcome->points;
    const rs_merge_request *const request = m->request;
    if (request->tick(request->arg, m->outcome->points, m->total)) return RS_OK;
    return rs_fail(RS_EINTERRUPTED, "interrupted: nothing is merged: the same command starts anew");
}

/* ---- cases ----------------------------------------------------------------------------------- */

static rs_status put_row(merge *m, sqlite3_stmt *row, rs_statement which, const char *doing) {
    rs_binder b;
    bool changed;
    RS_TRY(bind_row(m, row, which, sqlite3_column_count(row), &b));
    return run_bound(m, &b, doing, &changed, NULL);
}

static rs_status take_clip(merge *m, sqlite3_stmt *row) {
    return put_row(m, row, RS_SQL_ADD_CLIP, "storing a norm to clip to");
}

static rs_status take_timing(merge *m, sqlite3_stmt *row) {
    return put_row(m, row, RS_SQL_KEEP_TIMING, "storing a timing");
}

/* Where the identity ends in a row of RS_SQL_READ_CASES: model, status, reason, run, number and
 * steps follow. */
static int identity_end(void) {
    size_t n;
    rs_identity_columns(&n);
    return (int)n;
}

static rs_status add_case(merge *m, sqlite3_stmt *row, int64_t run, bool *added) {
    rs_binder b;
    RS_TRY(begin_statement(m->out, RS_SQL_ADD_CASE, &b));
    for (int i = 0; i < identity_end() + 3; ++i) rs_bind_value(&b, row, i);
    rs_bind_whole(&b, run);
    RS_TRY(run_bound(m, &b, "storing a case", added, NULL));
    m->case_id = sqlite3_last_insert_rowid(m->out->db);
    return RS_OK;
}

static rs_status find_case(merge *m, sqlite3_stmt *row) {
    rs_binder b;
    bool found;
    RS_TRY(begin_statement(m->out, RS_SQL_FIND_CASE, &b));
    for (int i = 0; i < identity_end(); ++i) rs_bind_value(&b, row, i);
    return run_bound(m, &b, "finding a case", &found, &m->case_id);
}

static rs_status improve_case(merge *m, sqlite3_stmt *row, int64_t run) {
    rs_binder b;
    bool improved;
    RS_TRY(find_case(m, row));
    RS_TRY(begin_statement(m->out, RS_SQL_IMPROVE_CASE, &b));
    rs_bind_whole(&b, m->case_id);
    for (int i = identity_end(); i < identity_end() + 3; ++i) rs_bind_value(&b, row, i);
    rs_bind_whole(&b, run);
    return run_bound(m, &b, "storing a case", &improved, NULL);
}

static rs_status take_case(merge *m, sqlite3_stmt *row) {
    int64_t run = 0;
    bool added;
    int64_t const from = sqlite3_column_int64(row, identity_end() + 4);
    rs_guard_renew(m->out);
    RS_TRY(run_of(m, row, identity_end() + 3, &run));
    RS_TRY(add_case(m, row, run, &added));
    if (!added) RS_TRY(improve_case(m, row, run));
    RS_TRY(each_row(m, m->in, RS_SQL_READ_POINTS, from, take_point));
    RS_TRY(each_row(m, m->in, RS_SQL_READ_CLIPS, from, take_clip));
    ++m->outcome->cases;
    return each_row(m, m->in, RS_SQL_READ_TIMINGS, from, take_timing);
}

static rs_status take_radius(merge *m, sqlite3_stmt *row) {
    rs_binder b;
    int64_t run = 0;
    bool added;
    rs_guard_renew(m->out);
    RS_TRY(run_of(m, row, 0, &run));
    RS_TRY(begin_statement(m->out, RS_SQL_KEEP_RADIUS, &b));
    rs_bind_whole(&b, run);
    for (int i = 1; i < sqlite3_column_count(row); ++i) rs_bind_value(&b, row, i);
    return run_bound(m, &b, "storing a radius", &added, NULL);
}

static rs_status take_results(merge *m) {
    RS_TRY(each_row(m, m->in, RS_SQL_READ_CASES, 0, take_case));
    return each_row(m, m->in, RS_SQL_READ_RADII, 0, take_radius);
}

/* ---- databases ------------------------------------------------------------------------------- */

static rs_status check_version(rs_store *store) {
    int64_t version = 0;
    RS_TRY(rs_upgrade_version(store, &version));
    if (version == RS_SCHEMA_VERSION) return RS_OK;
    return rs_fail(RS_EINPUT,
                   "%s: has schema %d, and merge puts those of schema %d together: the sweep that "
                   "made it, run again with this rhosweep, upgrades it",
                   store->path, (int)version, RS_SCHEMA_VERSION);
}

static rs_status check_input(merge *m) {
    (void)m;
    return RS_OK;
}

/* One moment of an input. */
static rs_status read_input(merge *m, rs_status (*take)(merge *m)) {
    RS_TRY(rs_store_begin_read(m->in));
    rs_status status = check_version(m->in);
    if (status == RS_OK) status = take(m);
    return rs_store_end_read(m->in, status);
}

static rs_status with_database(merge *m, const char *path, rs_status (*take)(merge *m)) {
    RS_TRY(rs_store_open_readonly(path, &m->in));
    rs_status const status = read_input(m, take);
    rs_store_close(m->in);
    m->in = NULL;
    return status;
}

/* One input is open at a time: there may be more than a process may have files. */
static rs_status each_input(merge *m, rs_status (*take)(merge *m)) {
    for (m->index = 0; m->index < m->request->inputs; ++m->index)
        RS_TRY(with_database(m, m->request->input[m->index], take));
    return RS_OK;
}

static rs_status take_input(merge *m, sqlite3_stmt *row) {
    m->index = (size_t)sqlite3_column_int64(row, 0);
    return with_database(m, input_path(m), take_results);
}

/* Nothing is written yet. *is_new: there is no output. */
static rs_status check_output(merge *m, bool *is_new) {
    const char *const path = m->request->output;
    struct stat output, input;
    RS_TRY(rs_store_probe(path));
    *is_new = stat(path, &output) != 0;
    for (size_t i = 0; !*is_new && i < m->request->inputs; ++i)
        if (stat(m->request->input[i], &input) == 0 && input.st_dev == output.st_dev &&
            input.st_ino == output.st_ino)
            return rs_fail(RS_EINPUT,
                           "%s: is both output and input: what is in the output stays, "
                           "so name it once",
                           path);
    return *is_new || output.st_size == 0 ? RS_OK : with_database(m, path, check_input);
}

static rs_status count(rs_store *store, const char *sql, size_t *out) {
    int64_t number = 0;
    RS_TRY(rs_sql_number(store, sql, &number));
    *out = (size_t)number;
    return RS_OK;
}

static rs_status put_all(merge *m) {
    rs_merge_outcome *const o = m->outcome;
    RS_TRY(rs_sql_execute(m->out, make_incoming, "merging"));
    RS_TRY(each_input(m, take_runs));
    /* Runs are numbered in the order of starting, whichever input they come from. */
    RS_TRY(each_row(m, m->out, RS_SQL_READ_INCOMING, 0, map_run));
    /* And inputs are taken in the order of their runs, so nothing depends on that of the request.
     */
    RS_TRY(each_row(m, m->out, RS_SQL_ORDER_INPUTS, (int64_t)m->request->inputs, take_input));
    rs_guard_renew(m->out);
    /* Runs of an input that seemed to go on: nobody runs them here. */
    RS_TRY(rs_live_mark_killed(m->out));
    RS_TRY(count(m->out, "SELECT count(*) FROM cases", &o->all_cases));
    RS_TRY(count(m->out, "SELECT count(*) FROM points", &o->all_points));
    return count(m->out, "SELECT count(*) FROM cases WHERE status = 'failed'", &o->failed);
}

/* The output that was made for nothing, unless somebody else has begun to use it meanwhile. */
static bool is_left_over(merge *m) {
    size_t runs = 0;
    return count(m->out, "SELECT count(*) FROM runs", &runs) == RS_OK && runs == 0;
}

static rs_status merge_into(merge *m, bool is_new) {
    RS_TRY(rs_store_open(m->request->output, &m->out));
    rs_status status = rs_store_begin(m->out);
    if (status == RS_OK) status = rs_store_end(m->out, put_all(m));
    bool const left_over = status != RS_OK && is_new && is_left_over(m);
    rs_store_close(m->out);
    if (left_over) unlink(m->request->output);
    return status;
}

rs_status rs_store_merge(const rs_merge_request *request, rs_merge_outcome *outcome) {
    merge m = {.request = request, .outcome = outcome};
    bool is_new;
    *outcome = (rs_merge_outcome){0};
    RS_TRY(each_input(&m, check_input));
    RS_TRY(check_output(&m, &is_new));
    return merge_into(&m, is_new);
}
