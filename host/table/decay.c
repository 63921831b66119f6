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
    DECAY_PREDICTED,
    DECAY_PREDICTION,
    DECAY_BOUND
};

static const column decay_own[] = {
    {"rho", REAL, ALWAYS, "p.rho"},           {"g", REAL, ALWAYS, "p.g"},
    {"seeds", WHOLE, ALWAYS, NULL},           {"decay_rate", REAL, ALWAYS, "p.decay_rate"},
    {"decay_rate_ci95", REAL, ALWAYS, NULL},  {"decay_rate_min", REAL, ALWAYS, NULL},
    {"decay_rate_max", REAL, ALWAYS, NULL},   {"gain", REAL, ALWAYS, NULL},
    {"growing_fraction", REAL, ALWAYS, NULL}, {"regime", TEXT, ALWAYS, NULL},
    {"predicted_rate", REAL, IF_ANY, NULL},   {"prediction", TEXT, IF_ANY, NULL},
    {"decay_rate_bound", REAL, NEVER, NULL},
};
static const column decay_tail[] = {
    {"rho_asked", REAL, NEVER, "p.rho_asked"},
    {"forward_nonfinite", WHOLE, IF_ANY, "p.forward_nonfinite"},
    {"backward_nonfinite", WHOLE, IF_ANY, "p.backward_nonfinite"},
    {"fp32_underflow", WHOLE, IF_ANY, "p.fp32_underflow"},
    {"fp32_overflow", WHOLE, IF_ANY, "p.fp32_overflow"},
    {"fp16_underflow", WHOLE, NEVER, "p.fp16_underflow"},
    {"fp16_overflow", WHOLE, NEVER, "p.fp16_overflow"},
    {"bf16_underflow", WHOLE, NEVER, "p.bf16_underflow"},
    {"bf16_overflow", WHOLE, NEVER, "p.bf16_overflow"},
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

/* One row per seed; the column behind the table's says how many rows make a group. */
static const char decay_from[] =
    ", count(*) OVER (PARTITION BY %s, p.rho_asked)"
    " FROM points p JOIN cases c ON c.id = p.case_id ORDER BY %s, p.rho_asked, " SEED_ORDER;

static rs_status reserve_rates(decay_state *state, size_t n) {
    if (n <= state->capacity) return RS_OK;
    double *const grown = reallocarray(state->rates, n, sizeof *grown);
    if (!grown) return rs_fail(RS_EMEMORY, "decay table: out of memory");
    state->rates = grown;
    state->capacity = n;
    return RS_OK;
}

static double column_real(sqlite3_stmt *query, int at) {
    return sqlite3_column_type(query, at) == SQLITE_NULL ? NAN : sqlite3_column_double(query, at);
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

/* Reads the words of a row as the spec file's are read: the columns have the names of the keys. */
static rs_status understand(const table *of, const cell *row, rs_spec *spec) {
    static const char *const key[] = {"cell", "ensemble", "input", "h0", "loss"};
    RS_TRY(rs_spec_init(spec));
    for (size_t i = 0; i < sizeof key / sizeof *key; ++i) {
        const cell *const word = rs_cell_named(of, row, key[i]);
        RS_TRY(rs_spec_set(spec, key[i], word->kind == TEXT ? word->text : "", RS_FROM_FILE));
    }
    return RS_OK;
}

static void put_theory(const source *from, const rs_spec *spec, cell *row) {
    cell *const own = row + from->table->own;
    rs_case const one = {
        .cell = spec->cell[0],
        .ensemble = spec->ensemble[0],
        .hidden = (size_t)rs_cell_named(from->table, row, "hidden")->whole,
        .steps = (size_t)rs_cell_named(from->table, row, "steps")->whole,
        .input = spec->input[0],
        .h0 = spec->h0,
        .loss = spec->loss,
    };
    double const rho = own[DECAY_RHO].real, g = own[DECAY_G].real;
    rs_prediction const prediction =
        rs_predict(&((const decay_state *)from->state)->theory, &one, rho, g);
    own[DECAY_BOUND] = rs_real_cell(rs_decay_bound(&one, rho, g));
    if (!prediction.law) return;
    own[DECAY_PREDICTED] = rs_real_cell(prediction.decay_rate);
    own[DECAY_PREDICTION] = (cell){.kind = TEXT, .text = prediction.law};
}

/* Adds what theory says of the row: nothing where no law speaks of it, which is so for networks
 * that no spec can name, such as imported ones. */
static rs_status predict(const source *from, cell *row) {
    const cell *const own = row + from->table->own;
    if (own[DECAY_RHO].kind != REAL || own[DECAY_G].kind != REAL) return RS_OK;
    rs_spec spec;
    rs_status const status = understand(from->table, row, &spec);
    if (status == RS_OK) put_theory(from, &spec, row);
    rs_spec_free(&spec);
    return status == RS_EINPUT ? RS_OK : status;
}

static rs_status next_decay(source *from, cell *row, bool *more) {
    decay_state *const state = from->state;
    sqlite3_stmt *const query = from->outer;
    const table *const of = from->table;
    int const own = (int)of->own, tail = (int)of->tail;
    RS_TRY(rs_table_step(from, query, more));
    if (!*more) return RS_OK;
    int64_t const n = sqlite3_column_int64(query, (int)of->n);
    RS_TRY(reserve_rates(state, (size_t)n));
    cell earliest[DECAY_TAIL] = {{.kind = MISSING}};
    double rho = 0.0, g = 0.0;
    for (int64_t i = 0; i < n; ++i) {
        if (i > 0) RS_TRY(rs_table_step(from, query, more));
        rho += column_real(query, own + DECAY_RHO);
        g += column_real(query, own + DECAY_G);
        state->rates[i] = column_real(query, own + DECAY_RATE);
        for (int k = DECAY_FIRST_FINDING; k < DECAY_TAIL; ++k)
            keep_earliest(query, tail + k, &earliest[k]);
    }
    /* The statement stands on the group's last row: what the rows share is borrowed from there. */
    RS_TRY(rs_table_read_row(from, row));
    row[own + DECAY_RHO] = rs_real_cell(rho / (double)n);
    row[own + DECAY_G] = rs_real_cell(g / (double)n);
    rs_seed_summary const summary = rs_fit_seeds(state->rates, (size_t)n);
    put_summary(&summary, row + own);
    for (int k = DECAY_FIRST_FINDING; k < DECAY_TAIL; ++k) row[tail + k] = earliest[k];
    return predict(from, row);
}

static double decay_interval(const table *of, const cell *row, size_t i) {
    const cell *const own = row + of->own;
    if (own[DECAY_CI95].kind != REAL || i < of->own) return 0.0;
    double const ci95 = own[DECAY_CI95].real;
    switch (i - of->own) {
    case DECAY_RATE:
    case DECAY_CI95:
    case DECAY_MIN:
    case DECAY_MAX:
    case DECAY_PREDICTED: return ci95;
    case DECAY_GAIN: return ci95 * own[DECAY_GAIN].real; /* d exp(-x) = exp(-x) dx */
    default: return 0.0;
    }
}

_Static_assert(RS_MAX_IDENTITY + sizeof decay_own / sizeof *decay_own + DECAY_TAIL <=
                   RS_MAX_COLUMNS,
               "room for a row of the widest table");

const definition rs_decay_table = {
    .name = "decay",
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
