#include "sql.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* --- runs ------------------------------------------------------------------------------------- */

rs_status rs_store_begin_run(rs_store *store, const rs_provenance *provenance, int64_t *run_id) {
    rs_binder b = {0};
    RS_TRY(rs_sql_prepare(store, RS_SQL_BEGIN_RUN, &b.to));
    rs_bind_text(&b, provenance->version);
    rs_bind_text(&b, provenance->commit);
    rs_bind_text(&b, provenance->libraries);
    rs_bind_text(&b, provenance->host);
    rs_bind_text(&b, provenance->system);
    rs_bind_text(&b, provenance->engine);
    rs_bind_text(&b, provenance->device);
    rs_bind_text(&b, provenance->driver);
    rs_bind_whole(&b, provenance->threads);
    rs_bind_whole(&b, provenance->memory > INT64_MAX ? INT64_MAX : (int64_t)provenance->memory);
    rs_bind_text(&b, provenance->command_line);
    rs_bind_text(&b, provenance->spec);
    RS_TRY(rs_bound(store, &b));
    RS_TRY(rs_sql_run(store, b.to, "starting a run"));
    *run_id = sqlite3_last_insert_rowid(store->db);
    return RS_OK;
}

rs_status rs_store_finish_run(rs_store *store, int64_t run_id, const char *outcome,
                              double engine_seconds, double wall_seconds) {
    rs_binder b = {0};
    RS_TRY(rs_sql_prepare(store, RS_SQL_FINISH_RUN, &b.to));
    rs_bind_whole(&b, run_id);
    rs_bind_text(&b, outcome);
    rs_bind_real(&b, engine_seconds);
    rs_bind_real(&b, wall_seconds);
    RS_TRY(rs_bound(store, &b));
    return rs_sql_run(store, b.to, "finishing the run");
}

/* --- cases ------------------------------------------------------------------------------------ */

/* The values of a case's identity, some of which are made up as text. */
typedef struct identity {
    rs_identity_value value[RS_MAX_IDENTITY];
} identity;

/* Binds the columns of rs_identity_columns(); `room` must outlive the statement's run. */
static void bind_identity(rs_binder *b, const rs_case *one, identity *room) {
    size_t n;
    const rs_identity_column *const column = rs_identity_columns(&n);
    for (size_t i = 0; i < n; ++i) {
        rs_identity_value *const value = &room->value[i];
        column[i].get(one, value);
        if (column[i].kind == RS_IDENTITY_TEXT)
            rs_bind_text(b, value->text);
        else
            rs_bind_whole(b, value->whole);
    }
}

static rs_status find_case(rs_store *store, const rs_case *one, bool *found, int64_t *id) {
    rs_binder b = {0};
    identity room;
    RS_TRY(rs_sql_prepare(store, RS_SQL_FIND_CASE, &b.to));
    bind_identity(&b, one, &room);
    RS_TRY(rs_bound(store, &b));
    return rs_sql_run_for_number(store, b.to, "reading the cases", found, id);
}

/* Sets done[i] where rho[i], ascending, is one of the radii that the statement yields. */
static rs_status mark_done(rs_store *store, sqlite3_stmt *stored, const double *rho, size_t n,
                           bool *done) {
    int code;
    size_t i = 0;
    while ((code = sqlite3_step(stored)) == SQLITE_ROW) {
        bool const native = sqlite3_column_type(stored, 0) == SQLITE_NULL;
        double const radius = sqlite3_column_double(stored, 0);
        while (!native && i < n && rho[i] < radius) ++i;
        for (size_t k = i; k < n && (native ? isnan(rho[k]) : rho[k] == radius); ++k)
            done[k] = true;
    }
    return rs_sql_end(store, stored, code, "reading the points");
}

rs_status rs_store_done(rs_store *store, const rs_case *one, const double *rho, size_t n,
                        bool with_curve, bool *done) {
    static double const native = NAN; /* how mark_done knows a radius that was not asked for */
    bool known;
    int64_t case_id = 0;
    memset(done, 0, n * sizeof *done);
    RS_TRY(find_case(store, one, &known, &case_id));
    if (!known) return RS_OK;
    rs_binder b = {0};
    RS_TRY(rs_sql_prepare(store, RS_SQL_FIND_POINTS, &b.to));
    rs_bind_whole(&b, case_id);
    rs_bind_whole(&b, with_curve);
    RS_TRY(rs_bound(store, &b));
    return mark_done(store, b.to, one->native ? &native : rho, n, done);
}

static rs_status find_rate(rs_store *store, int64_t case_id, double rho_asked, double *rate) {
    rs_binder b = {0};
    RS_TRY(rs_sql_prepare(store, RS_SQL_FIND_RATE, &b.to));
    rs_bind_whole(&b, case_id);
    rs_bind_real(&b, rho_asked);
    RS_TRY(rs_bound(store, &b));
    int code = sqlite3_step(b.to);
    bool const found = code == SQLITE_ROW && sqlite3_column_type(b.to, 0) != SQLITE_NULL;
    *rate = found ? sqlite3_column_double(b.to, 0) : NAN;
    if (code == SQLITE_ROW) code = sqlite3_step(b.to);
    return rs_sql_end(store, b.to, code, "reading the points");
}

rs_status rs_store_rates(rs_store *store, const rs_case *one, const double *rho, size_t n,
                         double *rates) {
    bool known;
    int64_t case_id = 0;
    for (size_t i = 0; i < n; ++i) rates[i] = NAN;
    RS_TRY(find_case(store, one, &known, &case_id));
    for (size_t i = 0; known && i < n; ++i)
        RS_TRY(find_rate(store, case_id, rho ? rho[i] : NAN, &rates[i]));
    return RS_OK;
}

rs_status rs_store_confirm_zero_start(rs_store *store, uint64_t model_digest) {
    char digest[17];
    rs_binder b = {0};
    snprintf(digest, sizeof digest, "%016" PRIx64, model_digest);
    RS_TRY(rs_sql_prepare(store, RS_SQL_CONFIRM_ZERO_START, &b.to));
    rs_bind_text(&b, digest);
    RS_TRY(rs_bound(store, &b));
    return rs_sql_run(store, b.to, "confirming a start state");
}

/* Parameters of RS_SQL_ADD_CASE and CHANGE_CASE. */
static void bind_case(rs_binder *b, int64_t run_id, const rs_case_result *result, identity *room) {
    bool const failed = result->status != RS_OK;
    bind_identity(b, result->one, room);
    rs_bind_text(b, result->one->model);
    rs_bind_text(b, failed ? "failed" : "done");
    rs_bind_text(b, failed ? result->reason : NULL);
    rs_bind_whole(b, run_id);
}

/* Most cases are new: only where the insertion finds the case there already is it looked up. */
static rs_status add_case(rs_store *store, int64_t run_id, const rs_case_result *result,
                          int64_t *id, bool *is_new) {
    rs_binder b = {0};
    identity room;
    RS_TRY(rs_sql_prepare(store, RS_SQL_ADD_CASE, &b.to));
    bind_case(&b, run_id, result, &room);
    RS_TRY(rs_bound(store, &b));
    RS_TRY(rs_sql_run(store, b.to, "storing a case"));
    *is_new = sqlite3_changes(store->db) > 0;
    *id = sqlite3_last_insert_rowid(store->db);
    if (*is_new) return RS_OK;
    bool found;
    b = (rs_binder){0};
    RS_TRY(rs_sql_prepare(store, RS_SQL_CHANGE_CASE, &b.to));
    bind_case(&b, run_id, result, &room);
    RS_TRY(rs_bound(store, &b));
    return rs_sql_run_for_number(store, b.to, "storing a case", &found, id);
}

/* Makes room for a point that brings the curve which the stored one lacks. */
static rs_status drop_bare_point(rs_store *store, int64_t case_id, double rho_asked) {
    rs_binder b = {0};
    RS_TRY(rs_sql_prepare(store, RS_SQL_DROP_BARE_POINT, &b.to));
    rs_bind_whole(&b, case_id);
    rs_bind_real(&b, rho_asked);
    RS_TRY(rs_bound(store, &b));
    return rs_sql_run(store, b.to, "storing a point");
}

static rs_status add_curve(rs_store *store, int64_t point_id, const rs_log_profile *profile,
                           size_t steps, size_t batch) {
    rs_binder b = {0};
    RS_TRY(rs_sql_prepare(store, RS_SQL_ADD_CURVE, &b.to));
    rs_bind_whole(&b, point_id);
    rs_bind_curve(&b, profile->mean, steps);
    rs_bind_curve(&b, batch > 1 ? profile->min : NULL, steps);
    rs_bind_curve(&b, batch > 1 ? profile->max : NULL, steps);
    RS_TRY(rs_bound(store, &b));
    return rs_sql_run(store, b.to, "storing a curve");
}

static rs_status add_point(rs_store *store, int64_t run_id, int64_t case_id,
                           const rs_point *point) {
    rs_binder b = {0};
    RS_TRY(rs_sql_prepare(store, RS_SQL_ADD_POINT, &b.to));
    rs_bind_whole(&b, case_id);
    rs_bind_whole(&b, run_id);
    rs_bind_real(&b, point->rho_asked);
    rs_bind_real(&b, point->rho);
    rs_bind_real(&b, point->g);
    rs_bind_real(&b, point->decay_rate);
    rs_bind_step(&b, point->forward_nonfinite, 0);
    rs_bind_step(&b, point->range.fp32_underflow, -1);
    rs_bind_step(&b, point->range.fp32_overflow, -1);
    rs_bind_step(&b, point->range.fp16_underflow, -1);
    rs_bind_step(&b, point->range.fp16_overflow, -1);
    rs_bind_step(&b, point->range.bf16_underflow, -1);
    rs_bind_step(&b, point->range.bf16_overflow, -1);
    rs_bind_step(&b, point->range.backward_nonfinite, -1);
    RS_TRY(rs_bound(store, &b));
    return rs_sql_run(store, b.to, "storing a point");
}

static rs_status add_timing(rs_store *store, int64_t run_id, int64_t case_id,
                            const rs_case_result *result) {
    rs_binder b = {0};
    RS_TRY(rs_sql_prepare(store, RS_SQL_ADD_TIMING, &b.to));
    rs_bind_whole(&b, case_id);
    rs_bind_whole(&b, run_id);
    rs_bind_size(&b, result->n);
    rs_bind_size(&b, result->n * result->one->batch);
    rs_bind_real(&b, result->forward_seconds);
    rs_bind_real(&b, result->backward_seconds);
    rs_bind_real(&b, result->transfer_seconds);
    RS_TRY(rs_bound(store, &b));
    return rs_sql_run(store, b.to, "storing a timing");
}

rs_status rs_store_add(rs_store *store, int64_t run_id, const rs_case_result *result) {
    int64_t case_id = 0;
    bool is_new = false;
    RS_TRY(add_case(store, run_id, result, &case_id, &is_new));
    if (result->status != RS_OK) return RS_OK;
    for (size_t i = 0; i < result->n; ++i) {
        const rs_point *const point = &result->point[i];
        bool const curve = point->profile.mean != NULL;
        if (!is_new && curve) RS_TRY(drop_bare_point(store, case_id, point->rho_asked));
        RS_TRY(add_point(store, run_id, case_id, point));
        bool const there_already = sqlite3_changes(store->db) == 0;
        if (there_already || !curve) continue;
        RS_TRY(add_curve(store, sqlite3_last_insert_rowid(store->db), &point->profile,
                         result->one->steps, result->one->batch));
    }
    return add_timing(store, run_id, case_id, result);
}

rs_status rs_store_put(rs_store *store, int64_t run_id, const rs_case_result *result) {
    RS_TRY(rs_store_begin(store));
    return rs_store_end(store, rs_store_add(store, run_id, result));
}

/* --- radii ------------------------------------------------------------------------------------ */

rs_status rs_store_read_radii(rs_store *store, int64_t run_id, size_t hidden, rs_radii *radii) {
    rs_binder b = {0};
    RS_TRY(rs_sql_prepare(store, RS_SQL_FIND_RADII, &b.to));
    rs_bind_whole(&b, run_id);
    rs_bind_size(&b, hidden);
    RS_TRY(rs_bound(store, &b));
    int code;
    while ((code = sqlite3_step(b.to)) == SQLITE_ROW) {
        rs_kept_radius const kept = {.n = hidden,
                                     .matrix = (uint64_t)sqlite3_column_int64(b.to, 0),
                                     .radius = sqlite3_column_double(b.to, 1)};
        if (rs_radii_add(radii, &kept)) continue;
        code = SQLITE_DONE; /* as many as memory is spent on */
        break;
    }
    return rs_sql_end(store, b.to, code, "reading the radii");
}

rs_status rs_store_add_radii(rs_store *store, int64_t run_id, const rs_kept_radius *kept,
                             size_t n) {
    for (size_t i = 0; i < n; ++i) {
        rs_binder b = {0};
        RS_TRY(rs_sql_prepare(store, RS_SQL_ADD_RADIUS, &b.to));
        rs_bind_whole(&b, run_id);
        rs_bind_size(&b, kept[i].n);
        rs_bind_whole(&b, (int64_t)kept[i].matrix);
        rs_bind_real(&b, kept[i].radius);
        RS_TRY(rs_bound(store, &b));
        RS_TRY(rs_sql_run(store, b.to, "storing a radius"));
    }
    return RS_OK;
}
