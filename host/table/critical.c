#include "../fit/critical.h"

#include "../fit/theory.h"
#include "definition.h"

#include <math.h>
#include <stdlib.h>

/* Columns of its own, counted from the first of them. */
enum {
    CRITICAL_RHO = 1,
    CRITICAL_RHO_LOW,
    CRITICAL_RHO_HIGH,
    CRITICAL_G,
    CRITICAL_G_LOW,
    CRITICAL_G_HIGH,
    CRITICAL_PREDICTED,
    CRITICAL_SEEDS,
    CRITICAL_RADII
};

static const column critical_own[] = {
    {"input", TEXT, ALWAYS, NAMES, "c.input", NULL, "input of the networks"},
    {"rho_critical", REAL, ALWAYS, RESULT, NULL, "$\\rho^*$",
     "spectral radius at which the mean decay rate over seeds first falls to 0, by linear "
     "interpolation between neighbouring radii; empty without such a radius"},
    {"rho_critical_ci95_low", REAL, MERGED, RESULT, NULL, NULL,
     "lower end of its bootstrap 95% interval over seeds: 0 where the swept radii do not bound it"},
    {"rho_critical_ci95_high", REAL, MERGED, RESULT, NULL, NULL,
     "upper end: inf where the swept radii do not bound it"},
    {"g_critical", REAL, ALWAYS, RESULT, NULL, "$g^*$",
     "coupling there, by the same interpolation"},
    {"g_critical_ci95_low", REAL, MERGED, RESULT, NULL, NULL,
     "lower end of its bootstrap 95% interval over seeds: 0 where the swept radii do not bound it"},
    {"g_critical_ci95_high", REAL, MERGED, RESULT, NULL, NULL,
     "upper end: inf where the swept radii do not bound it"},
    {"g_predicted", REAL, IF_ANY, RESULT, NULL, "$g^*$,\\\\theory",
     "coupling at which mean-field theory has gradients keep their norm, for infinitely many "
     "units; "
     "empty where it is not known to hold"},
    {"seeds", WHOLE, ALWAYS, BESIDE, NULL, NULL, "seeds with a decay rate"},
    {"radii", WHOLE, ALWAYS, BESIDE, NULL, NULL, "radii with a decay rate"},
};

/* One row per network; behind the table's columns those of this list. The number of a case counts
 * the seeds of its group. */
enum { GROUP_ROWS, GROUP_CASES, CASE_NUMBER, POINT_RHO_ASKED, POINT_RHO, POINT_G, POINT_RATE };
static const char critical_from[] =
    ", count(*) OVER (PARTITION BY %s), c.cases, c.number, p.rho_asked, p.rho, p.g, p.decay_rate"
    " FROM points p JOIN (SELECT c.*, count(*) OVER (PARTITION BY %s) AS cases,"
    " row_number() OVER (PARTITION BY %s ORDER BY " SEED_ORDER ") - 1 AS number FROM cases c) c"
    " ON c.id = p.case_id ORDER BY %s, p.rho_asked, c.number";

typedef struct critical_state {
    rs_theory theory;
    rs_rate_sample *sample; /* [n] of a group, of `capacity` */
    size_t n, capacity;
} critical_state;

static rs_status open_critical(void *state) {
    return rs_theory_make(&((critical_state *)state)->theory);
}

static void close_critical(void *state) { free(((critical_state *)state)->sample); }

static rs_status reserve_samples(critical_state *state, size_t n) {
    if (n <= state->capacity) return RS_OK;
    rs_rate_sample *const grown = reallocarray(state->sample, n, sizeof *grown);
    if (!grown) return rs_fail(RS_EMEMORY, "critical table: out of memory");
    state->sample = grown;
    state->capacity = n;
    return RS_OK;
}

/* Takes the current row's network, unless it has no rate or its matrix is as drawn: such matrices
 * share no radius. */
static void take_sample(source *from, critical_state *state, double *rho_asked, size_t *radius) {
    sqlite3_stmt *const query = from->outer;
    int const first = (int)from->table->n;
    double const asked = rs_column_real(query, first + POINT_RHO_ASKED);
    rs_rate_sample const one = {
        .seed = (size_t)sqlite3_column_int64(query, first + CASE_NUMBER),
        .rho = rs_column_real(query, first + POINT_RHO),
        .g = rs_column_real(query, first + POINT_G),
        .decay_rate = rs_column_real(query, first + POINT_RATE),
    };
    if (isnan(asked) || !isfinite(one.rho) || !isfinite(one.g) || !isfinite(one.decay_rate)) return;
    *radius += asked > *rho_asked;
    *rho_asked = asked;
    state->sample[state->n] = one;
    state->sample[state->n++].radius = *radius;
}

static void put_estimate(const rs_estimate *estimate, cell *three) {
    three[0] = rs_real_cell(estimate->value);
    three[1] = rs_real_cell(estimate->low);
    three[2] = rs_real_cell(estimate->high);
}

static rs_status put_critical(source *from, size_t seeds, cell *row) {
    critical_state *const state = from->state;
    cell *const own = row + from->table->own;
    rs_critical found;
    RS_TRY(rs_critical_find(state->sample, state->n, seeds, &found));
    put_estimate(&found.rho, own + CRITICAL_RHO);
    put_estimate(&found.g, own + CRITICAL_G);
    own[CRITICAL_SEEDS] = rs_whole_cell((int64_t)found.seeds);
    own[CRITICAL_RADII] = rs_whole_cell((int64_t)found.radii);
    rs_case one;
    bool known;
    RS_TRY(rs_table_read_case(from->table, row, &one, &known));
    if (known) own[CRITICAL_PREDICTED] = rs_real_cell(rs_predict_critical(&state->theory, &one));
    return RS_OK;
}

static rs_status next_critical(source *from, cell *row, bool *more) {
    critical_state *const state = from->state;
    int const first = (int)from->table->n;
    RS_TRY(rs_table_step(from, from->outer, more));
    if (!*more) return RS_OK;
    int64_t const n = sqlite3_column_int64(from->outer, first + GROUP_ROWS);
    size_t const seeds = (size_t)sqlite3_column_int64(from->outer, first + GROUP_CASES);
    RS_TRY(reserve_samples(state, (size_t)n));
    double rho_asked = -INFINITY;
    size_t radius = 0;
    state->n = 0;
    for (int64_t i = 0; i < n; ++i) {
        if (i > 0) RS_TRY(rs_table_step(from, from->outer, more));
        take_sample(from, state, &rho_asked, &radius);
    }
    RS_TRY(rs_table_read_row(from, row));
    return put_critical(from, seeds, row);
}

static interval critical_interval(const table *of, const cell *row, size_t i) {
    if (i < of->own + CRITICAL_RHO || i > of->own + CRITICAL_PREDICTED)
        return (interval){.kind = NO_INTERVAL};
    size_t const at = i - of->own, value = at < CRITICAL_G ? CRITICAL_RHO : CRITICAL_G;
    const cell *const estimate = row + of->own + value;
    if (estimate[1].kind != REAL || estimate[2].kind != REAL)
        return (interval){.kind = NO_INTERVAL};
    double const low = estimate[1].real, high = estimate[2].real;
    return (interval){at == value ? BOTH_ENDS : DIGITS_ONLY, 0.5 * (high - low), low, high};
}

const definition rs_critical_table = {
    .name = "critical",
    .about = "radius and coupling at which gradients stop vanishing",
    .of_cases = true,
    OWN_COLUMNS(critical_own),
    .from = critical_from,
    .state_size = sizeof(critical_state),
    .open = open_critical,
    .close = close_critical,
    .next = next_critical,
    .interval = critical_interval,
};
