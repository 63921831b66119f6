#include "definition.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Columns of its own, counted from the first of them, and the curves in the order of theirs. */
enum { PROFILE_STATE = 3, PROFILE_STEP, PROFILE_MEAN };
enum { CURVE_MEAN, CURVE_MIN, CURVE_MAX, CURVE_ZERO, CURVES, CURVE_STATE = CURVES };

static const column profile_own[] = {
    {"rho", REAL, ALWAYS, NAMES, "p.rho", "$\\rho$",
     "spectral radius of W_hh: measured, not the one asked for"},
    {"g", REAL, ALWAYS, NAMES, "p.g", "$g$",
     "coupling, the Frobenius norm of W_hh over sqrt(hidden)"},
    {"seed", UNSIGNED, ALWAYS, NAMES, "c.seed", NULL, "seed of the weights and inputs"},
    {"state", TEXT, IF_VARIES, NAMES, NULL, NULL,
     "h: gradients of h_t; an LSTM also has c, and both for the pair"},
    {"step", WHOLE, ALWAYS, NAMES, NULL, "$t$", "t = 1 .. steps; the loss is at the last"},
    {"log10_norm_mean", REAL, ALWAYS, RESULT, NULL, "$\\log_{10}$ norm,\\\\mean",
     "mean over the batch of log10 |dL/dh_t|, of the samples whose gradient is not exactly 0; -inf "
     "where all are, inf for an overflow, empty for NaN"},
    {"log10_norm_min", REAL, ALWAYS, BESIDE, NULL, "least",
     "least over the batch; -inf: exactly 0"},
    {"log10_norm_max", REAL, ALWAYS, BESIDE, NULL, "greatest", "greatest over the batch"},
    {"zero_fraction", REAL, IF_VARIES, BESIDE, NULL, "zero\\\\fraction",
     "fraction of the batch whose gradient is exactly 0"},
};
static const column profile_tail[] = {
    {"rho_asked", REAL, NEVER, NAMES, "p.rho_asked", NULL,
     "spectral radius asked for; empty for W_hh as drawn or imported"},
};

/* One row per point; the columns behind the table's are its id and its case's steps. The curves
 * come from a statement of their own: points need sorting, and are small without them. */
static const char profile_from[] = ", p.id, c.steps FROM points p JOIN cases c ON c.id = p.case_id"
                                   " ORDER BY %s, p.rho_asked, " SEED_ORDER;
/* Where the state is a pair, the curves of h, of c and of both; else that of h. A damaged database
 * may have more than one of a kind, one of an early build has no column `zero` of curves: there the
 * name is that of the query around. */
#define ONE_CURVE(zero, state, from)                                                               \
    "SELECT * FROM (SELECT mean, ifnull(min, mean), ifnull(max, mean), " zero ", " state           \
    " FROM " from " WHERE point_id = ?1 LIMIT 1)"
#define OF_STATE(name)                                                                             \
    ONE_CURVE("zero", name, "(SELECT * FROM state_curves WHERE state = " name ")")
#define OF_POINT                                                                                   \
    ONE_CURVE("(SELECT zero FROM curves WHERE point_id = ?1)",                                     \
              "iif(EXISTS (SELECT 1 FROM state_curves WHERE point_id = ?1), 'both', 'h')",         \
              "(SELECT NULL AS zero) JOIN curves")
static const char profile_inner_sql[] =
    OF_STATE("'h'") " UNION ALL " OF_STATE("'c'") " UNION ALL " OF_POINT;

typedef struct profile_state {
    bool has_point;            /* whose curves have not all been rows */
    const char *curve[CURVES]; /* `steps` doubles each, unaligned, borrowed from the statement; that
                                * of CURVE_ZERO may be NULL */
    size_t steps, at;          /* of the curve; those that have been rows */
} profile_state;

/* Takes the curve that the inner statement has come to. */
static rs_status take_curve(const source *from, profile_state *state) {
    int64_t const steps = sqlite3_column_int64(from->outer, (int)from->table->n + 1);
    int const bytes = sqlite3_column_bytes(from->inner, 0);
    for (int k = 0; k < CURVES; ++k) {
        state->curve[k] = sqlite3_column_blob(from->inner, k);
        if (k == CURVE_ZERO && !state->curve[k]) break;
        if (sqlite3_column_bytes(from->inner, k) != bytes || bytes % (int)sizeof(double) != 0)
            return rs_fail(RS_EINPUT, "profile table: curves of uneven length: the database is "
                                      "damaged; move it away or name another file");
    }
    state->steps = (size_t)bytes / sizeof(double);
    if (bytes > 0 && (int64_t)state->steps != steps)
        return rs_fail(RS_EINPUT,
                       "profile table: a curve of %zu steps in a case of %" PRId64 ": the database "
                       "is damaged; move it away or name another file",
                       state->steps, steps);
    state->at = 0;
    return RS_OK;
}

static rs_status next_point(source *from, profile_state *state) {
    RS_TRY(rs_table_step(from, from->outer, &state->has_point));
    if (!state->has_point) return RS_OK;
    sqlite3_reset(from->inner);
    int64_t const id = sqlite3_column_int64(from->outer, (int)from->table->n);
    if (sqlite3_bind_int64(from->inner, 1, id) == SQLITE_OK) return RS_OK;
    return rs_store_fail(from->store, "reading");
}

/* Goes on to the next curve, which may be empty. */
static rs_status next_curve(source *from, profile_state *state, bool *more) {
    bool found = false;
    state->steps = state->at = 0;
    if (state->has_point) RS_TRY(rs_table_step(from, from->inner, &found));
    if (found) return take_curve(from, state);
    RS_TRY(next_point(from, state));
    *more = state->has_point;
    return RS_OK;
}

static double curve_value(const profile_state *state, int curve) {
    double value;
    memcpy(&value, state->curve[curve] + state->at * sizeof value, sizeof value);
    return value + 0.0; /* no minus before a zero */
}

/* Without a curve of its own it is 0, but early builds did not write down how many samples were
 * exactly zero. */
static cell zero_fraction(const profile_state *state) {
    if (state->curve[CURVE_ZERO]) return rs_real_cell(curve_value(state, CURVE_ZERO));
    return rs_real_cell(curve_value(state, CURVE_MIN) == -INFINITY ? NAN : 0.0);
}

static rs_status next_profile(source *from, cell *row, bool *more) {
    profile_state *const state = from->state;
    *more = true;
    while (*more && state->at == state->steps) RS_TRY(next_curve(from, state, more));
    if (!*more) return RS_OK;
    RS_TRY(rs_table_read_row(from, row));
    cell *const own = row + from->table->own;
    const char *const name = (const char *)sqlite3_column_text(from->inner, CURVE_STATE);
    if (!name) return rs_store_fail(from->store, "reading");
    own[PROFILE_STATE] = (cell){.kind = TEXT, .text = name};
    own[PROFILE_STEP] = rs_whole_cell((int64_t)state->at + 1);
    for (int k = CURVE_MEAN; k < CURVE_ZERO; ++k)
        own[PROFILE_MEAN + k] = rs_real_cell(curve_value(state, k));
    own[PROFILE_MEAN + CURVE_ZERO] = zero_fraction(state);
    ++state->at;
    return RS_OK;
}

const definition rs_profile_table = {
    .name = "profile",
    .about = "log10 of the gradient's norm at every step",
    .of_cases = true,
    OWN_COLUMNS(profile_own),
    TAIL_COLUMNS(profile_tail),
    .from = profile_from,
    .inner_sql = profile_inner_sql,
    .state_size = sizeof(profile_state),
    .next = next_profile,
};
