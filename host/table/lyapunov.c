#include "../fit/lyapunov.h"
#include "spectra.h"

#include <math.h>
#include <stdlib.h>

/* The arrays of the inner statement, and the keys behind the columns of the outer one. */
enum { EXPONENTS, ERRORS, PREDICTED, ARRAYS, KEYS = 4 };

static const char inner_sql[] =
    "SELECT exponents, standard_errors, predicted, directions FROM lyapunov"
    " WHERE point_id = ?1 AND directions = ?2 AND transient = ?3 AND qr_asked = ?4";

static const char from_sql[] =
    ", p.id, x.directions, x.transient, x.qr_asked"
    " FROM points p JOIN cases c ON c.id = p.case_id JOIN lyapunov x ON x.point_id = p.id"
    " ORDER BY %s, p.rho_asked, " SEED_ORDER ", x.transient, x.directions, x.qr_asked";

#define MEASUREMENT                                                                                \
    {"directions",                                                                                 \
     WHOLE,                                                                                        \
     IF_VARIES,                                                                                    \
     NAMES,                                                                                        \
     "x.directions",                                                                               \
     NULL,                                                                                         \
     "exponents measured, the largest ones; hidden, or twice that for an LSTM, for all"},          \
    {                                                                                              \
        "qr_every", WHOLE, IF_VARIES, DETAIL, "x.qr_every", NULL,                                  \
            "most steps between two QRs of the tangents"                                           \
    }

/* ---- every exponent -------------------------------------------------------------------------- */

/* Columns of its own, counted from the first of them. */
enum { OWN_K = 6 };

static const column lyapunov_own[] = {
    SPECTRA_NAMES,
    MEASUREMENT,
    {"k", WHOLE, ALWAYS, NAMES, NULL, "$k$", "number of the exponent; 1 is the largest"},
    {"exponent", REAL, ALWAYS, RESULT, NULL, "exponent /\\\\nats per step",
     "Lyapunov exponent, in nats per step, in the mean over the batch"},
    {"standard_error", REAL, ALWAYS, BESIDE, NULL, "standard\\\\error",
     "of the exponent, by means over batches of steps"},
    {"predicted", REAL, IF_ANY, BESIDE, NULL, NULL,
     "of a linear cell: ln |eigenvalue| of the Jacobian"},
};
static const column lyapunov_tail[] = {SPECTRA_TAIL};

static rs_status next_exponent(source *from, cell *row, bool *more) {
    rs_spectrum *const spectrum = from->state;
    RS_TRY(rs_spectrum_next_number(from, KEYS, ARRAYS, spectrum, more));
    if (!*more) return RS_OK;
    RS_TRY(rs_table_read_row(from, row));
    cell *const own = row + from->table->own + OWN_K;
    own[0] = rs_whole_cell((int64_t)spectrum->at + 1);
    for (size_t i = 0; i < ARRAYS; ++i)
        own[1 + i] = rs_real_cell(rs_spectrum_value(spectrum, i, spectrum->at));
    ++spectrum->at;
    return RS_OK;
}

const definition rs_lyapunov_table = {
    .name = "lyapunov",
    .about = "Lyapunov exponents of every network",
    .of_cases = true,
    OWN_COLUMNS(lyapunov_own),
    TAIL_COLUMNS(lyapunov_tail),
    .from = from_sql,
    .inner_sql = inner_sql,
    .state_size = sizeof(rs_spectrum),
    .next = next_exponent,
};

/* ---- what a spectrum tells ------------------------------------------------------------------- */

enum { LARGEST = 6, LARGEST_ERROR, KAPLAN_YORKE, ENTROPY_RATE, MEAN, RESIDUAL, POSITIVE };

static const column summary_own[] = {
    SPECTRA_NAMES,
    MEASUREMENT,
    {"largest", REAL, ALWAYS, RESULT, NULL, "largest /\\\\nats per step",
     "largest Lyapunov exponent, in nats per step: minus the decay rate of gradients"},
    {"largest_standard_error", REAL, ALWAYS, BESIDE, NULL, "standard\\\\error",
     "of the largest, by means over batches of steps"},
    {"kaplan_yorke", REAL, ALWAYS, RESULT, NULL, "Kaplan-Yorke\\\\dimension",
     "dimension of the attractor by Kaplan & Yorke 1979; empty where more exponents would be "
     "needed"},
    {"entropy_rate", REAL, ALWAYS, RESULT, NULL, "entropy rate /\\\\nats per step",
     "sum of the positive exponents (Pesin 1977); empty where more than these may be positive"},
    {"mean", REAL, ALWAYS, RESULT, NULL, "mean /\\\\nats per step",
     "mean of all exponents; empty unless all were measured"},
    {"sum_rule_residual", REAL, ALWAYS, BESIDE, "x.sum_rule_residual", "residual",
     "mean exponent - ln|det W_hh| / H - mean ln phi', which is 0 but for rounding; empty for "
     "cells with gates or a leak, a singular W_hh, or fewer exponents"},
    {"positive", WHOLE, ALWAYS, BESIDE, NULL, NULL, "positive exponents among those measured"},
};
static const column summary_tail[] = {
    {"log_slope", REAL, NEVER, DETAIL, "x.log_slope", NULL,
     "mean of ln phi'(a) over steps and units; empty for cells with gates or a leak"},
    SPECTRA_TAIL,
};

static size_t count_positive(const double *exponent, size_t n) {
    size_t count = 0;
    for (size_t i = 0; i < n; ++i) count += exponent[i] > 0.0;
    return count;
}

static rs_status put_summary(const rs_spectrum *spectrum, cell *own) {
    double *const exponent = malloc((spectrum->n ? spectrum->n : 1) * sizeof *exponent);
    if (!exponent) return rs_fail(RS_EMEMORY, "lyapunov-summary table: out of memory");
    for (size_t i = 0; i < spectrum->n; ++i)
        exponent[i] = rs_spectrum_value(spectrum, EXPONENTS, i);
    rs_spectrum_summary const s = rs_lyapunov_summary(exponent, spectrum->n, spectrum->all);
    own[LARGEST] = rs_real_cell(s.largest);
    own[LARGEST_ERROR] = rs_real_cell(rs_spectrum_value(spectrum, ERRORS, 0));
    own[KAPLAN_YORKE] = rs_real_cell(s.kaplan_yorke);
    own[ENTROPY_RATE] = rs_real_cell(s.entropy_rate);
    own[MEAN] = rs_real_cell(s.mean);
    own[POSITIVE] = rs_whole_cell((int64_t)count_positive(exponent, spectrum->n));
    free(exponent);
    return RS_OK;
}

static rs_status next_summary(source *from, cell *row, bool *more) {
    rs_spectrum spectrum = {0};
    *more = true;
    while (*more && spectrum.n == 0) RS_TRY(rs_spectrum_next(from, KEYS, ARRAYS, &spectrum, more));
    if (!*more) return RS_OK;
    RS_TRY(rs_table_read_row(from, row));
    return put_summary(&spectrum, row + from->table->own);
}

const definition rs_lyapunov_summary_table = {
    .name = "lyapunov-summary",
    .about = "largest exponent, dimension and entropy of every network",
    .of_cases = true,
    OWN_COLUMNS(summary_own),
    TAIL_COLUMNS(summary_tail),
    .from = from_sql,
    .inner_sql = inner_sql,
    .next = next_summary,
};
