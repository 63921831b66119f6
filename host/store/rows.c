#include "guard.h"
#include "live.h"
#include "sql.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* --- runs ------------------------------------------------------------------------------------- */

static rs_status add_run(rs_store *store, const rs_provenance *provenance, int64_t *run_id) {
    rs_binder b = {0};
    RS_TRY(rs_sql_prepare(store, RS_SQL_BEGIN_RUN, &b.to));
    rs_bind_text(&b, provenance->version);
    rs_bind_text(&b, provenance->commit);
    rs_bind_text(&b, provenance->libraries);
    rs_bind_text(&b, provenance->first.host);
    rs_bind_text(&b, provenance->system);
    rs_bind_text(&b, provenance->engine);
    rs_bind_text(&b, provenance->first.device);
    rs_bind_text(&b, provenance->driver);
    rs_bind_text(&b, provenance->isa);
    rs_bind_whole(&b, provenance->first.threads);
    rs_bind_whole(&b, provenance->memory > INT64_MAX ? INT64_MAX : (int64_t)provenance->memory);
    rs_bind_text(&b, provenance->command_line);
    rs_bind_text(&b, provenance->spec);
    rs_bind_whole(&b, provenance->workers);
    RS_TRY(rs_bound(store, &b));
    RS_TRY(rs_sql_run(store, b.to, "starting a run"));
    *run_id = sqlite3_last_insert_rowid(store->db);
    return RS_OK;
}

/* Nobody sees the run before it has its lock. */
rs_status rs_store_begin_run(rs_store *store, const rs_provenance *provenance, int64_t *run_id) {
    RS_TRY(rs_store_begin(store));
    rs_status const status = add_run(store, provenance, run_id);
    if (status == RS_OK) rs_live_claim(store, *run_id);
    return rs_store_end(store, status);
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
static void bind_identity(rs_binder *b, const rs_case *one, bool with_seed, identity *room) {
    size_t n;
    const rs_identity_column *const column = rs_identity_columns(&n);
    for (size_t i = 0; i < n; ++i) {
        rs_identity_value *const value = &room->value[i];
        if (!with_seed && column[i].part == RS_PART_SEED) continue;
        column[i].get(one, value);
        if (column[i].kind == RS_IDENTITY_TEXT)
            rs_bind_text(b, value->text);
        else
            rs_bind_whole(b, value->whole);
    }
}

/* The last answer, which holds for all points that the same run stored of the same case. */
typedef struct curve_answer {
    int64_t case_id, run_id;
    bool has_curve;
} curve_answer;

static rs_status ask_for_curve(rs_store *store, sqlite3_stmt *point, curve_answer *last) {
    curve_answer now = {.case_id = sqlite3_column_int64(point, 4),
                        .run_id = sqlite3_column_int64(point, 5)};
    if (now.case_id == last->case_id && now.run_id == last->run_id) return RS_OK;
    rs_binder b = {0};
    int64_t one;
    RS_TRY(rs_sql_prepare(store, RS_SQL_FIND_CURVE, &b.to));
    rs_bind_whole(&b, sqlite3_column_int64(point, 3));
    RS_TRY(rs_bound(store, &b));
    RS_TRY(rs_sql_run_for_number(store, b.to, "reading the curves", &now.has_curve, &one));
    *last = now;
    return RS_OK;
}

static rs_stored_point stored_point(sqlite3_stmt *row) {
    bool const native = sqlite3_column_type(row, 1) == SQLITE_NULL;
    bool const rate = sqlite3_column_type(row, 2) != SQLITE_NULL;
    return (rs_stored_point){.seed = (uint64_t)sqlite3_column_int64(row, 0),
                             .rho_asked = native ? NAN : sqlite3_column_double(row, 1),
                             .decay_rate = rate ? sqlite3_column_double(row, 2) : NAN};
}

static rs_status ask_for_gradients(rs_store *store, sqlite3_stmt *point, bool *found) {
    rs_binder b = {0};
    int64_t one;
    RS_TRY(rs_sql_prepare(store, RS_SQL_FIND_GRADIENT, &b.to));
    rs_bind_whole(&b, sqlite3_column_int64(point, 3));
    RS_TRY(rs_bound(store, &b));
    return rs_sql_run_for_number(store, b.to, "reading the gradients", found, &one);
}

/* What was asked for, as the key of what is stored. */
static void bind_tangents(rs_binder *b, const rs_tangents *asked) {
    rs_bind_size(b, asked->transient);
    rs_bind_size(b, asked->qr_every);
}

static rs_status ask_for_exponents(rs_store *store, int64_t point_id, const rs_tangents *asked,
                                   bool *found) {
    rs_binder b = {0};
    int64_t one;
    RS_TRY(rs_sql_prepare(store, RS_SQL_FIND_LYAPUNOV, &b.to));
    rs_bind_whole(&b, point_id);
    rs_bind_size(&b, asked->directions);
    bind_tangents(&b, asked);
    RS_TRY(rs_bound(store, &b));
    return rs_sql_run_for_number(store, b.to, "reading the exponents", found, &one);
}

static rs_status ask_for_singular(rs_store *store, int64_t point_id, const rs_tangents *asked,
                                  size_t at, bool *found) {
    rs_binder b = {0};
    int64_t one;
    RS_TRY(rs_sql_prepare(store, RS_SQL_FIND_SINGULAR, &b.to));
    rs_bind_whole(&b, point_id);
    bind_tangents(&b, asked);
    rs_bind_size(&b, at);
    RS_TRY(rs_bound(store, &b));
    return rs_sql_run_for_number(store, b.to, "reading the singular values", found, &one);
}

static rs_status ask_for_tangents(rs_store *store, sqlite3_stmt *point, const rs_tangents *asked,
                                  bool *found) {
    int64_t const id = sqlite3_column_int64(point, 3);
    RS_TRY(ask_for_exponents(store, id, asked, found));
    for (size_t i = 0; *found && i < asked->n_singular; ++i)
        RS_TRY(ask_for_singular(store, id, asked, asked->singular_at[i], found));
    return RS_OK;
}

/* What a visitor is interested in, and the last answer about curves. */
typedef struct request {
    const rs_case *like;
    unsigned wanted;
    curve_answer last;
} request;

/* Whether the point has all that is wanted. */
static rs_status is_complete(rs_store *store, sqlite3_stmt *point, request *r, bool *complete) {
    *complete = true;
    if (r->wanted & RS_WITH_CURVE) {
        RS_TRY(ask_for_curve(store, point, &r->last));
        *complete = r->last.has_curve;
    }
    if (*complete && r->wanted & RS_WITH_GRADIENTS)
        RS_TRY(ask_for_gradients(store, point, complete));
    if (*complete && r->wanted & RS_WITH_TANGENTS)
        RS_TRY(ask_for_tangents(store, point, &r->like->tangents, complete));
    return RS_OK;
}

static rs_status visit_points(rs_store *store, sqlite3_stmt *rows, request *r, rs_store_visit visit,
                              void *arg) {
    rs_status status = RS_OK;
    int code;
    while (status == RS_OK && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        bool complete;
        status = is_complete(store, rows, r, &complete);
        if (status != RS_OK || !complete) continue;
        rs_stored_point const point = stored_point(rows);
        status = visit(arg, &point);
    }
    if (status == RS_OK) return rs_sql_end(store, rows, code, "reading the points");
    sqlite3_reset(rows);
    return status;
}

rs_status rs_store_points(rs_store *store, const rs_case *like, const uint64_t seeds[2],
                          unsigned wanted, rs_store_visit visit, void *arg) {
    /* Seeds from 2^63 on are stored as negative numbers: if there are both, all are read. */
    rs_guard_renew(store);
    bool const both = (int64_t)seeds[1] < 0 && (int64_t)seeds[0] >= 0;
    rs_binder b = {0};
    identity room;
    RS_TRY(rs_sql_prepare(store, RS_SQL_FIND_POINTS, &b.to));
    bind_identity(&b, like, false, &room);
    rs_bind_whole(&b, both ? INT64_MIN : (int64_t)seeds[0]);
    rs_bind_whole(&b, both ? INT64_MAX : (int64_t)seeds[1]);
    RS_TRY(rs_bound(store, &b));
    request r = {.like = like, .wanted = wanted, .last = {.case_id = -1}};
    return visit_points(store, b.to, &r, visit, arg);
}

rs_status rs_store_confirm_zero_start(rs_store *store, uint64_t model_digest) {
    rs_guard_renew(store);
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
    bind_identity(b, result->one, true, room);
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

static bool is_ever_zero(const rs_log_profile *profile, size_t steps) {
    size_t i = 0;
    while (profile->zero && i < steps && profile->zero[i] == 0.0) ++i;
    return profile->zero && i < steps;
}

static void bind_profile(rs_binder *b, const rs_log_profile *profile, const rs_case *one) {
    rs_bind_curve(b, profile->mean, one->steps);
    rs_bind_curve(b, one->batch > 1 ? profile->min : NULL, one->steps);
    rs_bind_curve(b, one->batch > 1 ? profile->max : NULL, one->steps);
    rs_bind_curve(b, is_ever_zero(profile, one->steps) ? profile->zero : NULL, one->steps);
}

static rs_status add_state_curve(rs_store *store, int64_t point_id, const char *state,
                                 const rs_log_profile *profile, const rs_case *one) {
    rs_binder b = {0};
    RS_TRY(rs_sql_prepare(store, RS_SQL_ADD_STATE_CURVE, &b.to));
    rs_bind_whole(&b, point_id);
    rs_bind_text(&b, state);
    bind_profile(&b, profile, one);
    RS_TRY(rs_bound(store, &b));
    return rs_sql_run(store, b.to, "storing a curve");
}

/* The curve of the point, and those of its states where it has them. */
static rs_status add_curves(rs_store *store, int64_t point_id, const rs_point *point,
                            const rs_case *one) {
    static const char *const state[RS_MAX_STATES] = {"h", "c"};
    rs_binder b = {0};
    RS_TRY(rs_sql_prepare(store, RS_SQL_ADD_CURVE, &b.to));
    rs_bind_whole(&b, point_id);
    bind_profile(&b, &point->profile, one);
    RS_TRY(rs_bound(store, &b));
    RS_TRY(rs_sql_run(store, b.to, "storing a curve"));
    for (int k = 0; k < RS_MAX_STATES && point->state[k].mean; ++k)
        RS_TRY(add_state_curve(store, point_id, state[k], &point->state[k], one));
    return RS_OK;
}

/* Parameters of RS_SQL_ADD_POINT and RENEW_BARE_POINT. */
static void bind_point(rs_binder *b, int64_t run_id, int64_t case_id, const rs_point *point) {
    rs_bind_whole(b, case_id);
    rs_bind_whole(b, run_id);
    rs_bind_real(b, point->rho_asked);
    rs_bind_real(b, point->rho);
    rs_bind_real(b, point->g);
    rs_bind_real(b, point->decay_rate);
    rs_bind_step(b, point->forward_nonfinite, 0);
    rs_bind_step(b, point->range.fp32_underflow, -1);
    rs_bind_step(b, point->range.fp32_overflow, -1);
    rs_bind_step(b, point->range.fp16_underflow, -1);
    rs_bind_step(b, point->range.fp16_overflow, -1);
    rs_bind_step(b, point->range.bf16_underflow, -1);
    rs_bind_step(b, point->range.bf16_overflow, -1);
    rs_bind_step(b, point->range.backward_nonfinite, -1);
}

/* Makes a point of a case that lacks the curve which this one brings the same as this one; not
 * *found where there is none. Its gradients and exponents stay. */
static rs_status renew_bare_point(rs_store *store, int64_t run_id, int64_t case_id,
                                  const rs_point *point, bool *found, int64_t *id) {
    rs_binder b = {0};
    RS_TRY(rs_sql_prepare(store, RS_SQL_RENEW_BARE_POINT, &b.to));
    bind_point(&b, run_id, case_id, point);
    RS_TRY(rs_bound(store, &b));
    return rs_sql_run_for_number(store, b.to, "storing a point", found, id);
}

/* Not *is_new where the case has this point already. */
static rs_status add_point(rs_store *store, int64_t run_id, int64_t case_id, const rs_point *point,
                           bool *is_new, int64_t *id) {
    rs_binder b = {0};
    RS_TRY(rs_sql_prepare(store, RS_SQL_ADD_POINT, &b.to));
    bind_point(&b, run_id, case_id, point);
    RS_TRY(rs_bound(store, &b));
    RS_TRY(rs_sql_run(store, b.to, "storing a point"));
    *is_new = sqlite3_changes(store->db) > 0;
    *id = sqlite3_last_insert_rowid(store->db);
    return RS_OK;
}

static rs_status find_point(rs_store *store, int64_t case_id, double rho_asked, int64_t *id) {
    rs_binder b = {0};
    bool found;
    RS_TRY(rs_sql_prepare(store, RS_SQL_FIND_POINT, &b.to));
    rs_bind_whole(&b, case_id);
    rs_bind_real(&b, rho_asked);
    RS_TRY(rs_bound(store, &b));
    return rs_sql_run_for_number(store, b.to, "storing a point", &found, id);
}

static rs_status add_gradients(rs_store *store, int64_t point_id, const rs_point *point) {
    rs_binder b = {0};
    RS_TRY(rs_sql_prepare(store, RS_SQL_ADD_GRADIENT, &b.to));
    rs_bind_whole(&b, point_id);
    for (int k = 0; k < RS_N_GRADIENT; ++k) rs_bind_real(&b, point->gradient[k]);
    RS_TRY(rs_bound(store, &b));
    return rs_sql_run(store, b.to, "storing gradients");
}

static rs_status add_exponents(rs_store *store, int64_t point_id, const rs_tangents *asked,
                               const rs_lyapunov *lyapunov) {
    size_t const k = asked->directions;
    rs_binder b = {0};
    RS_TRY(rs_sql_prepare(store, RS_SQL_ADD_LYAPUNOV, &b.to));
    rs_bind_whole(&b, point_id);
    rs_bind_size(&b, k);
    bind_tangents(&b, asked);
    rs_bind_size(&b, lyapunov->qr_every);
    rs_bind_curve(&b, lyapunov->exponent, k);
    rs_bind_curve(&b, lyapunov->standard_error, k);
    rs_bind_curve(&b, lyapunov->predicted, k);
    rs_bind_real(&b, lyapunov->log_slope);
    rs_bind_real(&b, lyapunov->sum_rule_residual);
    RS_TRY(rs_bound(store, &b));
    return rs_sql_run(store, b.to, "storing exponents");
}

static rs_status add_singular_values(rs_store *store, int64_t point_id, const rs_tangents *asked,
                                     size_t i, const rs_lyapunov *lyapunov) {
    rs_binder b = {0};
    RS_TRY(rs_sql_prepare(store, RS_SQL_ADD_SINGULAR, &b.to));
    rs_bind_whole(&b, point_id);
    bind_tangents(&b, asked);
    rs_bind_size(&b, asked->singular_at[i]);
    rs_bind_curve(&b, lyapunov->singular + i * asked->directions, asked->directions);
    RS_TRY(rs_bound(store, &b));
    return rs_sql_run(store, b.to, "storing singular values");
}

static rs_status add_lyapunov(rs_store *store, int64_t point_id, const rs_tangents *asked,
                              const rs_lyapunov *lyapunov) {
    RS_TRY(add_exponents(store, point_id, asked, lyapunov));
    for (size_t i = 0; i < asked->n_singular; ++i)
        RS_TRY(add_singular_values(store, point_id, asked, i, lyapunov));
    return RS_OK;
}

/* A point of a case that was there before stays as it is, but for what it lacks. */
static rs_status put_point(rs_store *store, int64_t run_id, int64_t case_id, bool case_is_new,
                           const rs_case *one, const rs_point *point) {
    int64_t id = 0;
    bool const curve = point->profile.mean != NULL;
    bool lacks_curve = false, is_new = false;
    if (!case_is_new && curve)
        RS_TRY(renew_bare_point(store, run_id, case_id, point, &lacks_curve, &id));
    if (!lacks_curve) RS_TRY(add_point(store, run_id, case_id, point, &is_new, &id));
    if (curve && (is_new || lacks_curve)) RS_TRY(add_curves(store, id, point, one));
    bool const tangents = point->lyapunov.exponent != NULL;
    if (!point->has_gradients && !tangents) return RS_OK;
    if (!is_new && !lacks_curve) RS_TRY(find_point(store, case_id, point->rho_asked, &id));
    if (point->has_gradients) RS_TRY(add_gradients(store, id, point));
    return tangents ? add_lyapunov(store, id, &one->tangents, &point->lyapunov) : RS_OK;
}

static rs_status add_clip(rs_store *store, int64_t run_id, int64_t case_id, double max_norm) {
    rs_binder b = {0};
    RS_TRY(rs_sql_prepare(store, RS_SQL_ADD_CLIP, &b.to));
    rs_bind_whole(&b, case_id);
    rs_bind_whole(&b, run_id);
    rs_bind_real(&b, max_norm);
    RS_TRY(rs_bound(store, &b));
    return rs_sql_run(store, b.to, "storing a norm to clip to");
}

rs_status rs_store_add_clip(rs_store *store, int64_t run_id, const rs_case *one, double max_norm) {
    rs_binder b = {0};
    identity room;
    RS_TRY(rs_sql_prepare(store, RS_SQL_ADD_CLIP_OF_CASE, &b.to));
    rs_bind_whole(&b, run_id);
    rs_bind_real(&b, max_norm);
    bind_identity(&b, one, true, &room);
    RS_TRY(rs_bound(store, &b));
    return rs_sql_run(store, b.to, "storing a norm to clip to");
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
    rs_bind_text(&b, result->origin->device);
    rs_bind_whole(&b, result->origin->threads);
    rs_bind_text(&b, result->origin->host);
    rs_bind_whole(&b, result->origin->rank);
    rs_bind_size(&b, result->origin->device_index);
    RS_TRY(rs_bound(store, &b));
    return rs_sql_run(store, b.to, "storing a timing");
}

rs_status rs_store_add(rs_store *store, int64_t run_id, const rs_case_result *result) {
    int64_t case_id = 0;
    bool is_new = false;
    RS_TRY(add_case(store, run_id, result, &case_id, &is_new));
    if (result->status != RS_OK) return RS_OK;
    for (size_t i = 0; i < result->n; ++i)
        RS_TRY(put_point(store, run_id, case_id, is_new, result->one, &result->point[i]));
    if (result->clip > 0.0) RS_TRY(add_clip(store, run_id, case_id, result->clip));
    return add_timing(store, run_id, case_id, result);
}

rs_status rs_store_put(rs_store *store, int64_t run_id, const rs_case_result *result) {
    RS_TRY(rs_store_begin(store));
    return rs_store_end(store, rs_store_add(store, run_id, result));
}

/* --- radii ------------------------------------------------------------------------------------ */

rs_status rs_store_read_radii(rs_store *store, int64_t run_id, size_t hidden, rs_radii *radii) {
    rs_guard_renew(store);
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
