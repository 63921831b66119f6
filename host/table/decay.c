#include "definition.h"

#include "../fit/theory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Columns of its own, counted from the first of them. */
enum {
    DECAY_RHO,
    DECAY_G,
    DECAY_SEEDS,
    DECAY_RATE,
    DECAY_CI95,
    DECAY_MIN,
    DECAY_MAX,
    DECAY_GAIN,
    DECAY_GROWING,
    DECAY_REGIME,
    DECAY_ATTEMPTS,
    DECAY_PREDICTED,
    DECAY_PREDICTION,
    DECAY_BOUND
};

static const column decay_own[] = {
    {"rho", REAL, ALWAYS, NAMES, "p.rho", "$\\rho$",
     "spectral radius of W_hh: measured, not the one asked for; mean over seeds"},
    {"g", REAL, ALWAYS, NAMES, "p.g", "$g$",
     "coupling, the Frobenius norm of W_hh over sqrt(hidden); mean over seeds"},
    {"seeds", WHOLE, ALWAYS, BESIDE, NULL, NULL, "networks with a decay rate"},
    {"decay_rate", REAL, ALWAYS, RESULT, "p.decay_rate", "decay rate /\\\\nats per step",
     "minus the slope of ln |dL/dh_t| against the distance from the loss, in nats per step, mean "
     "over seeds; positive: the gradient vanishes, negative: it explodes"},
    {"decay_rate_ci95", REAL, MERGED, RESULT, NULL, NULL,
     "half width of the mean's 95% interval over seeds (Student's t); in text, md and latex the "
     "digits in parentheses of decay_rate"},
    {"decay_rate_min", REAL, ALWAYS, DETAIL, NULL, NULL, "smallest decay rate of all seeds"},
    {"decay_rate_max", REAL, ALWAYS, DETAIL, NULL, NULL, "largest decay rate of all seeds"},
    {"gain", REAL, ALWAYS, DETAIL, NULL, NULL,
     "exp(-decay_rate): factor of the gradient's norm per step back"},
    {"growing_fraction", REAL, ALWAYS, BESIDE, NULL, "growing\\\\fraction",
     "fraction of seeds whose gradient grows"},
    {"regime", TEXT, ALWAYS, RESULT, NULL, NULL,
     "vanishing or exploding; steady: decay_rate within 1e-6 of 0; mixed: its interval includes 0; "
     "slow: the gradient changes by less than a factor of 1000 over all steps, |decay_rate| * "
     "steps < ln 1000"},
    {"attempts", WHOLE, ALWAYS, DETAIL, NULL, NULL,
     "networks tried: results at this radius, with a rate or without, and failed cases"},
    {"predicted_rate", REAL, IF_ANY, RESULT, NULL, "predicted\\\\rate",
     "decay rate that theory predicts at this rho and g; empty where no law applies"},
    {"prediction", TEXT, IF_ANY, BESIDE, NULL, NULL,
     "law behind predicted_rate: mean field, identity fixed point, or a formula"},
    {"decay_rate_bound", REAL, NEVER, DETAIL, NULL, NULL,
     "-ln of the largest singular value (2 g for iid entries, rho for normal matrices): no "
     "stationary rate is below it"},
};
/* Of formats narrower than the arithmetic: the earliest over seeds. */
#define RANGE_ABOUT(what, format)                                                                  \
    "steps back from the loss to the first " what " in " format                                    \
    " of a gradient spread evenly over all units, the earliest over seeds"
static const column decay_tail[] = {
    {"rho_asked", REAL, NEVER, NAMES, "p.rho_asked", NULL,
     "spectral radius asked for; empty for W_hh as drawn or imported"},
    {"forward_nonfinite", WHOLE, IF_ANY, DETAIL, "p.forward_nonfinite", NULL,
     "first step t with an infinite or NaN state, the earliest over seeds"},
    {"backward_nonfinite", WHOLE, IF_ANY, DETAIL, "p.backward_nonfinite", NULL,
     "steps back from the loss to the first infinite or NaN norm, the earliest over seeds"},
    {"fp32_underflow", WHOLE, IF_ANY, DETAIL, "p.fp32_underflow", NULL,
     RANGE_ABOUT("underflow", "fp32")},
    {"fp32_overflow", WHOLE, IF_ANY, DETAIL, "p.fp32_overflow", NULL,
     RANGE_ABOUT("overflow", "fp32")},
    {"fp16_underflow", WHOLE, NEVER, DETAIL, "p.fp16_underflow", NULL,
     RANGE_ABOUT("underflow", "fp16")},
    {"fp16_overflow", WHOLE, NEVER, DETAIL, "p.fp16_overflow", NULL,
     RANGE_ABOUT("overflow", "fp16")},
    {"bf16_underflow", WHOLE, NEVER, DETAIL, "p.bf16_underflow", NULL,
     RANGE_ABOUT("underflow", "bf16")},
    {"bf16_overflow", WHOLE, NEVER, DETAIL, "p.bf16_overflow", NULL,
     RANGE_ABOUT("overflow", "bf16")},
};
enum {
    DECAY_TAIL = sizeof decay_tail / sizeof *decay_tail,
    DECAY_FIRST_FINDING = 1 /* of the tail: the rest are steps, of which the earliest counts */
};

typedef struct decay_state {
    rs_theory theory;
    double *rates; /* [capacity] of a group's seeds */
    size_t capacity;
} decay_state;

static rs_status open_decay(void *state) { return rs_theory_make(&((decay_state *)state)->theory); }

static void close_decay(void *state) { free(((decay_state *)state)->rates); }

/* One row per seed; behind the table's columns: how many rows make a group, and how many failed
 * cases there are that could be in it, the row's own included. */
enum { GROUP_ROWS, GROUP_FAILURES, HAS_FAILED };
static const char decay_from[] =
    ", count(*) OVER (PARTITION BY %s, p.rho_asked), c.failures, c.status = 'failed'"
    " FROM points p JOIN (SELECT c.*, sum(c.status = 'failed') OVER (PARTITION BY %s) AS failures"
    " FROM cases c) c ON c.id = p.case_id ORDER BY %s, p.rho_asked, " SEED_ORDER;

static rs_status reserve_rates(decay_state *state, size_t n) {
    if (n <= state->capacity) return RS_OK;
    double *const grown = reallocarray(state->rates, n, sizeof *grown);
    if (!grown) return rs_fail(RS_EMEMORY, "decay table: out of memory");
    state->rates = grown;
    state->capacity = n;
    return RS_OK;
}

/* Keeps in `earliest` the smaller of itself and the step of the current row. */
static void keep_earliest(sqlite3_stmt *query, int at, cell *earliest) {
    if (sqlite3_column_type(query, at) == SQLITE_NULL) return;
    int64_t const found = sqlite3_column_int64(query, at);
    if (earliest->kind == MISSING || found < earliest->whole) *earliest = rs_whole_cell(found);
}

static void put_summary(const rs_seed_summary *summary, cell *own) {
    const char *const regime = rs_regime_name(summary->regime);
    own[DECAY_SEEDS] = rs_whole_cell((int64_t)summary->seeds);
    own[DECAY_RATE] = rs_real_cell(summary->mean);
    own[DECAY_CI95] = rs_real_cell(summary->ci95);
    own[DECAY_MIN] = rs_real_cell(summary->min);
    own[DECAY_MAX] = rs_real_cell(summary->max);
    own[DECAY_GAIN] = rs_real_cell(summary->gain);
    own[DECAY_GROWING] = rs_real_cell(summary->growing_fraction);
    own[DECAY_REGIME] = (cell){.kind = regime[0] ? TEXT : MISSING, .text = regime};
}

/* Adds the prediction, where a law applies. */
static rs_status predict(const source *from, cell *row) {
    cell *const own = row + from->table->own;
    if (own[DECAY_RHO].kind != REAL || own[DECAY_G].kind != REAL) return RS_OK;
    rs_case one;
    bool known;
    RS_TRY(rs_table_read_case(from->table, row, &one, &known));
    if (!known) return RS_OK;
    double const rho = own[DECAY_RHO].real, g = own[DECAY_G].real;
    rs_prediction const prediction =
        rs_predict(&((const decay_state *)from->state)->theory, &one, rho, g);
    own[DECAY_BOUND] = rs_real_cell(rs_decay_bound(&one, rho, g));
    if (!prediction.law) return RS_OK;
    own[DECAY_PREDICTED] = rs_real_cell(prediction.decay_rate);
    own[DECAY_PREDICTION] = (cell){.kind = TEXT, .text = prediction.law};
    return RS_OK;
}

static rs_status next_decay(source *from, cell *row, bool *more) {
    decay_state *const state = from->state;
    sqlite3_stmt *const query = from->outer;
    const table *const of = from->table;
    int const own = (int)of->own, tail = (int)of->tail;
    RS_TRY(rs_table_step(from, query, more));
    if (!*more) return RS_OK;
    int64_t const n = sqlite3_column_int64(query, (int)of->n + GROUP_ROWS);
    int64_t attempts = n + sqlite3_column_int64(query, (int)of->n + GROUP_FAILURES);
    RS_TRY(reserve_rates(state, (size_t)n));
    cell earliest[DECAY_TAIL] = {{.kind = MISSING}};
    double rho = 0.0, g = 0.0;
    for (int64_t i = 0; i < n; ++i) {
        if (i > 0) RS_TRY(rs_table_step(from, query, more));
        rho += rs_column_real(query, own + DECAY_RHO);
        g += rs_column_real(query, own + DECAY_G);
        state->rates[i] = rs_column_real(query, own + DECAY_RATE);
        attempts -= sqlite3_column_int64(query, (int)of->n + HAS_FAILED); /* counted twice */
        for (int k = DECAY_FIRST_FINDING; k < DECAY_TAIL; ++k)
            keep_earliest(query, tail + k, &earliest[k]);
    }
    /* The statement is at the group's last row, from which the shared values are borrowed. */
    RS_TRY(rs_table_read_row(from, row));
    row[own + DECAY_RHO] = rs_real_cell(rho / (double)n);
    row[own + DECAY_G] = rs_real_cell(g / (double)n);
    size_t const steps = (size_t)rs_cell_named(of, row, "steps")->whole;
    rs_seed_summary const summary = rs_fit_seeds(state->rates, (size_t)n, steps);
    put_summary(&summary, row + own);
    row[own + DECAY_ATTEMPTS] = rs_whole_cell(attempts);
    for (int k = DECAY_FIRST_FINDING; k < DECAY_TAIL; ++k) row[tail + k] = earliest[k];
    return predict(from, row);
}

static interval decay_interval(const table *of, const cell *row, size_t i) {
    const cell *const own = row + of->own;
    interval known = {.kind = NO_INTERVAL, .half_width = own[DECAY_CI95].real};
    if (own[DECAY_CI95].kind != REAL || i < of->own) return known;
    switch (i - of->own) {
    case DECAY_RATE: known.kind = HALF_WIDTH; break;
    case DECAY_GAIN:
        known.half_width *= own[DECAY_GAIN].real; /* d exp(-x) = exp(-x) dx */
    /* fall through */
    case DECAY_CI95:
    case DECAY_MIN:
    case DECAY_MAX:
    case DECAY_PREDICTED: known.kind = DIGITS_ONLY; break;
    default: break;
    }
    return known;
}

_Static_assert(RS_MAX_IDENTITY + sizeof decay_own / sizeof *decay_own + DECAY_TAIL <=
                   RS_MAX_COLUMNS,
               "room for a row of the widest table");

const definition rs_decay_table = {
    .name = "decay",
    .about = "decay rate per radius with its 95% interval over seeds",
    .of_cases = true,
    OWN_COLUMNS(decay_own),
    TAIL_COLUMNS(decay_tail),
    .from = decay_from,
    .state_size = sizeof(decay_state),
    .open = open_decay,
    .close = close_decay,
    .next = next_decay,
    .interval = decay_interval,
};
