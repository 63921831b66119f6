#include "spectra.h"

#include <math.h>

/* The array of the inner statement, and the keys behind the columns of the outer one. */
enum { LOGS, ARRAYS, KEYS = 4 };

static double const ln10 = 2.302585092994045684;

static const char inner_sql[] =
    "SELECT logs, NULL FROM singular_values"
    " WHERE point_id = ?1 AND transient = ?2 AND qr_asked = ?3 AND at = ?4";

static const char from_sql[] =
    ", p.id, x.transient, x.qr_asked, x.at"
    " FROM points p JOIN cases c ON c.id = p.case_id JOIN singular_values x ON x.point_id = p.id"
    " ORDER BY %s, p.rho_asked, " SEED_ORDER ", x.transient, x.qr_asked, x.at";

#define TIME                                                                                       \
    {                                                                                              \
        "at", WHOLE, ALWAYS, NAMES, "x.at", "$t$",                                                 \
            "steps whose Jacobians are multiplied: the first of the recorded ones"                 \
    }

/* ---- every singular value -------------------------------------------------------------------- */

/* Columns of its own, counted from the first of them. */
enum { OWN_K = 5 };

static const column singular_own[] = {
    SPECTRA_NAMES,
    TIME,
    {"k", WHOLE, ALWAYS, NAMES, NULL, "$k$", "number of the singular value; 1 is the largest"},
    {"log10_singular_value", REAL, ALWAYS, RESULT, NULL, "$\\log_{10}$\\\\singular value",
     "log10 of the singular value of the product, in the mean over the batch; -inf for 0"},
};
static const column singular_tail[] = {SPECTRA_TAIL};

static rs_status next_value(source *from, cell *row, bool *more) {
    rs_spectrum *const values = from->state;
    RS_TRY(rs_spectrum_next_number(from, KEYS, ARRAYS, values, more));
    if (!*more) return RS_OK;
    RS_TRY(rs_table_read_row(from, row));
    cell *const own = row + from->table->own + OWN_K;
    own[0] = rs_whole_cell((int64_t)values->at + 1);
    own[1] = rs_real_cell(rs_spectrum_value(values, LOGS, values->at++) / ln10);
    return RS_OK;
}

const definition rs_singular_table = {
    .name = "singular",
    .about = "singular values of the Jacobians' product",
    .of_cases = true,
    OWN_COLUMNS(singular_own),
    TAIL_COLUMNS(singular_tail),
    .from = from_sql,
    .inner_sql = inner_sql,
    .state_size = sizeof(rs_spectrum),
    .next = next_value,
};

/* ---- the condition number -------------------------------------------------------------------- */

enum { LARGEST = 5, SMALLEST, CONDITION };

static const column condition_own[] = {
    SPECTRA_NAMES,
    TIME,
    {"log10_largest", REAL, ALWAYS, RESULT, NULL, "$\\log_{10}$\\\\largest",
     "log10 of the largest singular value of the product"},
    {"log10_smallest", REAL, ALWAYS, RESULT, NULL, "$\\log_{10}$\\\\smallest",
     "log10 of the smallest one; -inf for 0"},
    {"log10_condition", REAL, ALWAYS, RESULT, NULL, "$\\log_{10}$\\\\condition",
     "log10 of the condition number, the ratio of the two"},
};
static const column condition_tail[] = {SPECTRA_TAIL};

static rs_status next_condition(source *from, cell *row, bool *more) {
    rs_spectrum values = {0};
    *more = true;
    while (*more && values.n == 0) RS_TRY(rs_spectrum_next(from, KEYS, ARRAYS, &values, more));
    if (!*more) return RS_OK;
    RS_TRY(rs_table_read_row(from, row));
    double const largest = rs_spectrum_value(&values, LOGS, 0) / ln10;
    double const smallest = rs_spectrum_value(&values, LOGS, values.n - 1) / ln10;
    cell *const own = row + from->table->own;
    own[LARGEST] = rs_real_cell(largest);
    own[SMALLEST] = rs_real_cell(smallest);
    own[CONDITION] = rs_real_cell(largest - smallest);
    return RS_OK;
}

const definition rs_condition_table = {
    .name = "condition",
    .about = "condition number of the Jacobians' product",
    .of_cases = true,
    OWN_COLUMNS(condition_own),
    TAIL_COLUMNS(condition_tail),
    .from = from_sql,
    .inner_sql = inner_sql,
    .next = next_condition,
};
