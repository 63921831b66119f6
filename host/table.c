#include "table.h"

#include "theory.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

/* --- what a table is -------------------------------------------------------------------------- */

typedef enum kind { MISSING, TEXT, WHOLE, UNSIGNED, REAL } kind;

typedef struct cell {
    kind kind;
    union {
        const char *text; /* borrowed until the next row */
        int64_t whole;    /* UNSIGNED: the same bits */
        double real;
    };
} cell;

/* Whether md and LaTeX show a column; CSV and JSON show all. */
typedef enum show {
    ALWAYS,
    IF_VARIES, /* where two rows differ */
    IF_ANY,    /* where some row has a value */
    NEVER
} show;

typedef struct column {
    const char *name;
    kind kind;
    show show;
} column;

enum { MAX_COLUMNS = 40 };

typedef struct source source;

typedef struct table {
    const char *name;
    const char *sql;       /* yields the columns in order, and behind them what next() needs */
    const char *inner_sql; /* or NULL */
    const column *column;  /* [n] */
    size_t n;
    rs_status (*next)(source *from, cell *row, bool *more);
    /* Half width of the 95% interval that a cell's number is known to, 0 for none; or NULL. */
    double (*interval)(const cell *row, size_t i);
} table;

/* A table being read, row by row. */
struct source {
    rs_store *store;
    const table *table;
    sqlite3_stmt *outer, *inner;
    rs_theory theory;
    double *rates; /* [capacity] */
    size_t capacity;
};

/* --- rows from the database ------------------------------------------------------------------- */

static rs_status step(source *from, sqlite3_stmt *query, bool *more) {
    int const code = sqlite3_step(query);
    *more = code == SQLITE_ROW;
    if (code == SQLITE_ROW || code == SQLITE_DONE) return RS_OK;
    return rs_store_fail(from->store, "reading");
}

static cell whole_cell(int64_t whole) { return (cell){.kind = WHOLE, .whole = whole}; }

static cell real_cell(double real) {
    return isnan(real) ? (cell){.kind = MISSING} : (cell){.kind = REAL, .real = real};
}

static rs_status read_cell(source *from, sqlite3_stmt *query, int at, kind kind, cell *out) {
    *out = (cell){.kind = MISSING};
    if (sqlite3_column_type(query, at) == SQLITE_NULL) return RS_OK;
    if (kind == REAL) {
        *out = real_cell(sqlite3_column_double(query, at));
    } else if (kind == TEXT) {
        out->text = (const char *)sqlite3_column_text(query, at);
        if (!out->text) return rs_store_fail(from->store, "reading");
        if (out->text[0] != '\0') out->kind = TEXT;
    } else {
        *out = whole_cell(sqlite3_column_int64(query, at));
        out->kind = kind;
    }
    return RS_OK;
}

static rs_status read_row(source *from, cell *row) {
    for (size_t i = 0; i < from->table->n; ++i)
        RS_TRY(read_cell(from, from->outer, (int)i, from->table->column[i].kind, &row[i]));
    return RS_OK;
}

static rs_status next_plain(source *from, cell *row, bool *more) {
    RS_TRY(step(from, from->outer, more));
    return *more ? read_row(from, row) : RS_OK;
}

/* --- the tables ------------------------------------------------------------------------------- */

/* What a case is, apart from its seed: the columns that lead every table, and those beside them.
 * Rows are ordered by all of them, so that the order never depends on that of the work. */
/* clang-format off */
#define SHAPE_COLUMNS                                                                              \
    {"nonlinearity", TEXT, ALWAYS}, {"ensemble", TEXT, ALWAYS}, {"hidden", WHOLE, ALWAYS},         \
    {"steps", WHOLE, ALWAYS}
#define SETTING_COLUMNS                                                                            \
    {"batch", WHOLE, IF_VARIES}, {"input", TEXT, IF_VARIES}, {"input_size", WHOLE, IF_VARIES},     \
    {"h0", TEXT, IF_VARIES}, {"warmup", WHOLE, IF_VARIES}, {"loss", TEXT, IF_VARIES},              \
    {"fit_skip", WHOLE, IF_VARIES}, {"precision", TEXT, IF_VARIES}, {"raw", WHOLE, IF_VARIES},     \
    {"engine", TEXT, IF_VARIES}, {"model", TEXT, IF_VARIES}, {"model_digest", TEXT, NEVER}
/* clang-format on */
#define SHAPE_SQL "c.nonlinearity, c.ensemble, c.hidden, c.steps"
#define SETTING_SQL                                                                                \
    "c.batch, c.input, c.input_size, c.h0, c.warmup, c.loss, c.fit_skip, c.precision, c.raw, "     \
    "c.engine, c.model, c.model_digest"
#define CASE_ORDER                                                                                 \
    SHAPE_SQL ", c.batch, c.input, c.input_size, c.h0, c.warmup, c.loss, c.fit_skip, "             \
              "c.precision, c.raw, c.engine, c.model_digest"
#define SEED_ORDER "c.seed < 0, c.seed" /* negative ones are those from 2^63 on */

/* decay */

enum {
    DECAY_NONLINEARITY,
    DECAY_ENSEMBLE,
    DECAY_HIDDEN,
    DECAY_STEPS,
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
    DECAY_BOUND,
    DECAY_BATCH,
    DECAY_INPUT,
    DECAY_INPUT_SIZE,
    DECAY_H0,
    DECAY_WARMUP,
    DECAY_LOSS
};

static const column decay_column[] = {
    SHAPE_COLUMNS,
    {"rho", REAL, ALWAYS},
    {"g", REAL, ALWAYS},
    {"seeds", WHOLE, ALWAYS},
    {"decay_rate", REAL, ALWAYS},
    {"decay_rate_ci95", REAL, ALWAYS},
    {"decay_rate_min", REAL, ALWAYS},
    {"decay_rate_max", REAL, ALWAYS},
    {"gain", REAL, ALWAYS},
    {"growing_fraction", REAL, ALWAYS},
    {"regime", TEXT, ALWAYS},
    {"predicted_rate", REAL, IF_ANY},
    {"prediction", TEXT, IF_ANY},
    {"decay_rate_bound", REAL, NEVER},
    SETTING_COLUMNS,
    {"rho_asked", REAL, NEVER},
    {"forward_nonfinite", WHOLE, IF_ANY},
    {"backward_nonfinite", WHOLE, IF_ANY},
    {"fp32_underflow", WHOLE, IF_ANY},
    {"fp32_overflow", WHOLE, IF_ANY},
    {"fp16_underflow", WHOLE, NEVER},
    {"fp16_overflow", WHOLE, NEVER},
    {"bf16_underflow", WHOLE, NEVER},
    {"bf16_overflow", WHOLE, NEVER},
};
enum {
    DECAY_COLUMNS = sizeof decay_column / sizeof *decay_column,
    DECAY_FIRST_FINDING = DECAY_COLUMNS - 8
};

/* One row per seed; the column behind the table's says how many rows make a group. */
static const char decay_sql[] =
    "SELECT " SHAPE_SQL ", p.rho, p.g, NULL, p.decay_rate, NULL, NULL, NULL, NULL, NULL, NULL, "
    "NULL, NULL, NULL, " SETTING_SQL
    ", p.rho_asked, p.forward_nonfinite, p.backward_nonfinite, p.fp32_underflow,"
    " p.fp32_overflow, p.fp16_underflow, p.fp16_overflow, p.bf16_underflow, p.bf16_overflow,"
    " count(*) OVER (PARTITION BY " CASE_ORDER ", p.rho_asked)"
    " FROM points p JOIN cases c ON c.id = p.case_id"
    " ORDER BY " CASE_ORDER ", p.rho_asked, " SEED_ORDER;

static rs_status reserve_rates(source *from, size_t n) {
    if (n <= from->capacity) return RS_OK;
    double *const grown = reallocarray(from->rates, n, sizeof *grown);
    if (!grown) return rs_fail(RS_EMEMORY, "decay table: out of memory");
    from->rates = grown;
    from->capacity = n;
    return RS_OK;
}

static double column_real(sqlite3_stmt *query, int at) {
    return sqlite3_column_type(query, at) == SQLITE_NULL ? NAN : sqlite3_column_double(query, at);
}

/* Keeps in `earliest` the smaller of itself and the step of the current row. */
static void keep_earliest(sqlite3_stmt *query, int at, cell *earliest) {
    if (sqlite3_column_type(query, at) == SQLITE_NULL) return;
    int64_t const found = sqlite3_column_int64(query, at);
    if (earliest->kind == MISSING || found < earliest->whole) *earliest = whole_cell(found);
}

static void put_summary(const rs_seed_summary *summary, cell *row) {
    const char *const regime = rs_regime_name(summary->regime);
    row[DECAY_SEEDS] = whole_cell((int64_t)summary->seeds);
    row[DECAY_RATE] = real_cell(summary->mean);
    row[DECAY_CI95] = real_cell(summary->ci95);
    row[DECAY_MIN] = real_cell(summary->min);
    row[DECAY_MAX] = real_cell(summary->max);
    row[DECAY_GAIN] = real_cell(summary->gain);
    row[DECAY_GROWING] = real_cell(summary->growing_fraction);
    row[DECAY_REGIME] = (cell){.kind = regime[0] ? TEXT : MISSING, .text = regime};
}

static rs_status set_word(rs_spec *spec, const char *key, const cell *word) {
    return rs_spec_set(spec, key, word->kind == TEXT ? word->text : "", RS_FROM_FILE);
}

/* Reads the words of a row as the spec file's are read. */
static rs_status understand(const cell *row, rs_spec *spec) {
    RS_TRY(rs_spec_init(spec));
    RS_TRY(set_word(spec, "nonlinearity", &row[DECAY_NONLINEARITY]));
    RS_TRY(set_word(spec, "ensemble", &row[DECAY_ENSEMBLE]));
    RS_TRY(set_word(spec, "input", &row[DECAY_INPUT]));
    RS_TRY(set_word(spec, "h0", &row[DECAY_H0]));
    return set_word(spec, "loss", &row[DECAY_LOSS]);
}

static void put_theory(const rs_theory *theory, const rs_spec *spec, cell *row) {
    rs_case const one = {
        .cell = spec->cell[0],
        .ensemble = spec->ensemble[0],
        .hidden = (size_t)row[DECAY_HIDDEN].whole,
        .steps = (size_t)row[DECAY_STEPS].whole,
        .input = spec->input,
        .h0 = spec->h0,
        .loss = spec->loss,
    };
    double const rho = row[DECAY_RHO].real, g = row[DECAY_G].real;
    rs_prediction const prediction = rs_predict(theory, &one, rho, g);
    row[DECAY_BOUND] = real_cell(rs_decay_bound(&one, rho, g));
    if (!prediction.law) return;
    row[DECAY_PREDICTED] = real_cell(prediction.decay_rate);
    row[DECAY_PREDICTION] = (cell){.kind = TEXT, .text = prediction.law};
}

/* Adds what theory says of the row: nothing where no law speaks of it, which is so for networks
 * that no spec can name, such as imported ones. */
static rs_status predict(const rs_theory *theory, cell *row) {
    if (row[DECAY_RHO].kind != REAL || row[DECAY_G].kind != REAL) return RS_OK;
    rs_spec spec;
    rs_status const status = understand(row, &spec);
    if (status == RS_OK) put_theory(theory, &spec, row);
    rs_spec_free(&spec);
    return status == RS_EINPUT ? RS_OK : status;
}

static rs_status next_decay(source *from, cell *row, bool *more) {
    sqlite3_stmt *const query = from->outer;
    RS_TRY(step(from, query, more));
    if (!*more) return RS_OK;
    int64_t const n = sqlite3_column_int64(query, DECAY_COLUMNS);
    RS_TRY(reserve_rates(from, (size_t)n));
    cell earliest[DECAY_COLUMNS - DECAY_FIRST_FINDING] = {{.kind = MISSING}};
    double rho = 0.0, g = 0.0;
    for (int64_t i = 0; i < n; ++i) {
        if (i > 0) RS_TRY(step(from, query, more));
        rho += column_real(query, DECAY_RHO);
        g += column_real(query, DECAY_G);
        from->rates[i] = column_real(query, DECAY_RATE);
        for (int k = DECAY_FIRST_FINDING; k < DECAY_COLUMNS; ++k)
            keep_earliest(query, k, &earliest[k - DECAY_FIRST_FINDING]);
    }
    /* The statement stands on the group's last row: what the rows share is borrowed from there. */
    RS_TRY(read_row(from, row));
    row[DECAY_RHO] = real_cell(rho / (double)n);
    row[DECAY_G] = real_cell(g / (double)n);
    rs_seed_summary const summary = rs_fit_seeds(from->rates, (size_t)n);
    put_summary(&summary, row);
    memcpy(&row[DECAY_FIRST_FINDING], earliest, sizeof earliest);
    return predict(&from->theory, row);
}

static double decay_interval(const cell *row, size_t i) {
    if (row[DECAY_CI95].kind != REAL) return 0.0;
    switch (i) {
    case DECAY_RATE:
    case DECAY_CI95:
    case DECAY_MIN:
    case DECAY_MAX:
    case DECAY_PREDICTED: return row[DECAY_CI95].real;
    case DECAY_GAIN:
        return row[DECAY_CI95].real * row[DECAY_GAIN].real; /* d exp(-x) = exp(-x) dx */
    default: return 0.0;
    }
}

/* profile */

enum { PROFILE_STEP = 7, PROFILE_VALUES = 4 };

static const column profile_column[] = {
    SHAPE_COLUMNS,
    {"rho", REAL, ALWAYS},
    {"g", REAL, ALWAYS},
    {"seed", UNSIGNED, ALWAYS},
    {"step", WHOLE, ALWAYS},
    {"log10_norm_mean", REAL, ALWAYS},
    {"log10_norm_min", REAL, ALWAYS},
    {"log10_norm_max", REAL, ALWAYS},
    SETTING_COLUMNS,
    {"rho_asked", REAL, NEVER},
};
enum { PROFILE_COLUMNS = sizeof profile_column / sizeof *profile_column };

/* One row per point; the column behind the table's is its id. The steps come from a statement of
 * their own: only points need sorting, which are few beside steps. */
static const char profile_sql[] =
    "SELECT " SHAPE_SQL ", p.rho, p.g, c.seed, NULL, NULL, NULL, NULL, " SETTING_SQL
    ", p.rho_asked, p.id FROM points p JOIN cases c ON c.id = p.case_id"
    " ORDER BY " CASE_ORDER ", p.rho_asked, " SEED_ORDER;
static const char profile_inner_sql[] =
    "SELECT step, log10_norm_mean, log10_norm_min, log10_norm_max FROM profile"
    " WHERE point_id = ?1 ORDER BY step";

static rs_status next_point(source *from, bool *more) {
    RS_TRY(step(from, from->outer, more));
    if (!*more) return RS_OK;
    sqlite3_reset(from->inner);
    int64_t const id = sqlite3_column_int64(from->outer, PROFILE_COLUMNS);
    if (sqlite3_bind_int64(from->inner, 1, id) == SQLITE_OK) return RS_OK;
    return rs_store_fail(from->store, "reading");
}

static rs_status next_profile(source *from, cell *row, bool *more) {
    *more = false;
    /* A statement that is not busy has not begun, or has come to its end. */
    if (sqlite3_stmt_busy(from->inner)) RS_TRY(step(from, from->inner, more));
    while (!*more) {
        RS_TRY(next_point(from, more));
        if (!*more) return RS_OK;
        RS_TRY(step(from, from->inner, more));
    }
    RS_TRY(read_row(from, row));
    for (int k = 0; k < PROFILE_VALUES; ++k)
        RS_TRY(read_cell(from, from->inner, k, profile_column[PROFILE_STEP + k].kind,
                         &row[PROFILE_STEP + k]));
    return RS_OK;
}

/* throughput */

static const column throughput_column[] = {
    {"engine", TEXT, ALWAYS},          {"device", TEXT, ALWAYS},
    {"hidden", WHOLE, ALWAYS},         {"steps", WHOLE, ALWAYS},
    {"batch", WHOLE, ALWAYS},          {"radii", WHOLE, ALWAYS},
    {"forward_ms", REAL, ALWAYS},      {"backward_ms", REAL, ALWAYS},
    {"gflops", REAL, ALWAYS},          {"column_steps_per_s", REAL, ALWAYS},
    {"nonlinearity", TEXT, IF_VARIES}, {"precision", TEXT, IF_VARIES},
    {"warmup", WHOLE, IF_VARIES},      {"raw", WHOLE, IF_VARIES},
    {"threads", WHOLE, IF_VARIES},     {"cases", WHOLE, IF_VARIES},
};

/* Two products of H x H with a column in every recorded step, one forward, one backward: 4 H^2
 * operations. SQLite yields NULL for x / 0. */
#define THROUGHPUT_ORDER                                                                           \
    "c.engine, t.device, c.hidden, c.steps, c.batch, t.radii, c.nonlinearity, c.precision, "       \
    "c.warmup, c.raw, t.threads"
static const char throughput_sql[] =
    "SELECT c.engine, t.device, c.hidden, c.steps, c.batch, t.radii, avg(t.forward_s) * 1e3,"
    " avg(t.backward_s) * 1e3,"
    " 4e-9 * c.hidden * c.hidden * t.columns * c.steps / avg(t.forward_s + t.backward_s),"
    " 1.0 * t.columns * c.steps / avg(t.forward_s + t.backward_s),"
    " c.nonlinearity, c.precision, c.warmup, c.raw, t.threads, count(*)"
    " FROM timings t JOIN cases c ON c.id = t.case_id"
    " GROUP BY " THROUGHPUT_ORDER " ORDER BY " THROUGHPUT_ORDER;

/* runs */

static const column runs_column[] = {
    {"run", WHOLE, ALWAYS},       {"started", TEXT, ALWAYS},  {"finished", TEXT, ALWAYS},
    {"outcome", TEXT, ALWAYS},    {"points", WHOLE, ALWAYS},  {"version", TEXT, ALWAYS},
    {"git_commit", TEXT, ALWAYS}, {"host", TEXT, ALWAYS},     {"engine", TEXT, ALWAYS},
    {"device", TEXT, ALWAYS},     {"threads", WHOLE, ALWAYS}, {"command_line", TEXT, ALWAYS},
    {"system", TEXT, NEVER},      {"driver", TEXT, NEVER},    {"memory", WHOLE, NEVER},
    {"libraries", TEXT, NEVER},   {"spec", TEXT, NEVER},
};

static const char runs_sql[] =
    "SELECT r.id, r.started, r.finished, r.outcome, count(p.id), r.version, r.git_commit, r.host,"
    " r.engine, r.device, r.threads, r.command_line, r.system, r.driver, r.memory, r.libraries,"
    " r.spec FROM runs r LEFT JOIN points p ON p.run_id = r.id"
    " GROUP BY r.id ORDER BY r.started, r.id";

/* failures */

static const column failures_column[] = {
    SHAPE_COLUMNS,   {"seed", UNSIGNED, ALWAYS}, {"reason", TEXT, ALWAYS}, {"run", WHOLE, ALWAYS},
    SETTING_COLUMNS,
};

static const char failures_sql[] =
    "SELECT " SHAPE_SQL ", c.seed, c.reason, c.run_id, " SETTING_SQL
    " FROM cases c WHERE c.status = 'failed' ORDER BY " CASE_ORDER ", " SEED_ORDER;

#define COLUMNS(array) (array), sizeof(array) / sizeof *(array)
static const table tables[] = {
    {"decay", decay_sql, NULL, COLUMNS(decay_column), next_decay, decay_interval},
    {"profile", profile_sql, profile_inner_sql, COLUMNS(profile_column), next_profile, NULL},
    {"throughput", throughput_sql, NULL, COLUMNS(throughput_column), next_plain, NULL},
    {"runs", runs_sql, NULL, COLUMNS(runs_column), next_plain, NULL},
    {"failures", failures_sql, NULL, COLUMNS(failures_column), next_plain, NULL},
};
enum { N_TABLES = sizeof tables / sizeof *tables };
_Static_assert((size_t)DECAY_COLUMNS <= MAX_COLUMNS, "room for a row of the widest table");

/* --- cells as text ---------------------------------------------------------------------------- */

enum { NUMBER_SIZE = 32 };

/* The fewest digits that read back as the same number; %g drops zeros at the end by itself. */
static void print_exactly(double real, char buffer[NUMBER_SIZE]) {
    for (int digits = 15; digits <= 17; ++digits) {
        snprintf(buffer, NUMBER_SIZE, "%.*g", digits, real);
        if (strtod(buffer, NULL) == real) return;
    }
}

/* The text of a cell: its own, or its number printed into buffer. */
static const char *cell_text(const cell *one, bool exact, char buffer[NUMBER_SIZE]) {
    switch (one->kind) {
    case MISSING: buffer[0] = '\0'; return buffer;
    case TEXT: return one->text;
    case WHOLE: snprintf(buffer, NUMBER_SIZE, "%" PRId64, one->whole); return buffer;
    case UNSIGNED: snprintf(buffer, NUMBER_SIZE, "%" PRIu64, (uint64_t)one->whole); return buffer;
    case REAL: break;
    }
    if (exact)
        print_exactly(one->real, buffer);
    else
        snprintf(buffer, NUMBER_SIZE, "%.4g", one->real);
    return buffer;
}

/* --- writers ---------------------------------------------------------------------------------- */

/* Where the rows go, and how wide and which columns are, for the writers that need to know. */
typedef struct sink {
    FILE *out;
    const table *table;
    size_t rows; /* written so far */
    bool shown[MAX_COLUMNS];
    size_t width[MAX_COLUMNS];
} sink;

typedef struct writer {
    const char *name;
    bool for_people; /* rows are read once beforehand, to fill `shown` and `width` */
    void (*begin)(sink *to);
    void (*row)(sink *to, const cell *row);
    void (*end)(sink *to);
} writer;

/* md */

/* Writes text as a cell of a Markdown table, to `out` unless NULL; returns how many characters wide
 * it is, which are fewer than bytes in UTF-8. */
static size_t put_md_text(FILE *out, const char *text) {
    size_t width = 0;
    for (const unsigned char *c = (const unsigned char *)text; *c; ++c) {
        if (*c == '|') {
            ++width;
            if (out) fputc('\\', out);
        }
        if ((*c & 0xC0) != 0x80) ++width;
        if (out) fputc(*c < ' ' ? ' ' : *c, out);
    }
    return width;
}

static void put_times(FILE *out, char c, size_t n) {
    for (size_t i = 0; i < n; ++i) fputc(c, out);
}

/* One cell, padded: text to the left, numbers to the right. */
static void put_md_cell(sink *to, size_t i, const char *text) {
    size_t const gap = to->width[i] - put_md_text(NULL, text);
    bool const left = to->table->column[i].kind == TEXT;
    fputs("| ", to->out);
    if (!left) put_times(to->out, ' ', gap);
    put_md_text(to->out, text);
    if (left) put_times(to->out, ' ', gap);
    fputc(' ', to->out);
}

static void begin_md(sink *to) {
    for (size_t i = 0; i < to->table->n; ++i)
        if (to->shown[i]) put_md_cell(to, i, to->table->column[i].name);
    fputs("|\n", to->out);
    for (size_t i = 0; i < to->table->n; ++i) {
        if (!to->shown[i]) continue;
        bool const left = to->table->column[i].kind == TEXT;
        fputs(left ? "|:" : "|-", to->out);
        put_times(to->out, '-', to->width[i]);
        fputc(left ? '-' : ':', to->out);
    }
    fputs("|\n", to->out);
}

static void row_md(sink *to, const cell *row) {
    char buffer[NUMBER_SIZE];
    for (size_t i = 0; i < to->table->n; ++i)
        if (to->shown[i]) put_md_cell(to, i, cell_text(&row[i], false, buffer));
    fputs("|\n", to->out);
}

static void end_nothing(sink *to) { (void)to; }

/* csv: RFC 4180, but for line ends, which are the system's */

static void put_csv_text(FILE *out, const char *text) {
    if (!strpbrk(text, "\",\r\n")) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (const char *c = text; *c; ++c) {
        if (*c == '"') fputc('"', out);
        fputc(*c, out);
    }
    fputc('"', out);
}

static void begin_csv(sink *to) {
    for (size_t i = 0; i < to->table->n; ++i)
        fprintf(to->out, "%s%s", i ? "," : "", to->table->column[i].name);
    fputc('\n', to->out);
}

static void row_csv(sink *to, const cell *row) {
    char buffer[NUMBER_SIZE];
    for (size_t i = 0; i < to->table->n; ++i) {
        if (i > 0) fputc(',', to->out);
        put_csv_text(to->out, cell_text(&row[i], true, buffer));
    }
    fputc('\n', to->out);
}

/* latex */

static const char *latex_escape(char c) {
    switch (c) {
    case '&': return "\\&";
    case '%': return "\\%";
    case '$': return "\\$";
    case '#': return "\\#";
    case '_': return "\\_";
    case '{': return "\\{";
    case '}': return "\\}";
    case '\\': return "\\textbackslash{}";
    case '~': return "\\textasciitilde{}";
    case '^': return "\\textasciicircum{}";
    case '<': return "\\textless{}";
    case '>': return "\\textgreater{}";
    case '|': return "\\textbar{}";
    case '"': return "''";
    case '\n':
    case '\r':
    case '\t': return " ";
    default: return NULL;
    }
}

static void put_latex_text(FILE *out, const char *text) {
    for (const char *c = text; *c; ++c) {
        /* two hyphens would become a dash */
        const char *const escaped = c[0] == '-' && c[1] == '-' ? "-{}" : latex_escape(*c);
        if (escaped)
            fputs(escaped, out);
        else
            fputc(*c, out);
    }
}

/* The digits that an interval leaves meaning to: down to the second of its own. */
static bool print_rounded(double real, double interval, char buffer[NUMBER_SIZE]) {
    enum { MOST = 9 };
    if (!(interval > 0.0) || !(fabs(real) < 1e6) || !(interval < 1e6)) return false;
    int const decimals = 1 - (int)floor(log10(interval));
    if (decimals > MOST) return false;
    snprintf(buffer, NUMBER_SIZE, "%.*f", decimals > 0 ? decimals : 0, real);
    if (strtod(buffer, NULL) == 0.0) memmove(buffer, buffer + (buffer[0] == '-'), strlen(buffer));
    return true;
}

/* A printed number as siunitx reads it. */
static void put_latex_number(FILE *out, const char *number) {
    const char *const power = strchr(number, 'e');
    if (strstr(number, "inf"))
        fprintf(out, "{$%s\\infty$}", number[0] == '-' ? "-" : "");
    else if (power)
        fprintf(out, "%.*se%ld", (int)(power - number), number, strtol(power + 1, NULL, 10));
    else
        fputs(number, out);
}

static void put_latex_cell(sink *to, const cell *row, size_t i) {
    char buffer[NUMBER_SIZE];
    bool const rounds = to->table->interval && row[i].kind == REAL;
    if (row[i].kind == MISSING) return;
    if (row[i].kind == TEXT)
        put_latex_text(to->out, row[i].text);
    else if (rounds && print_rounded(row[i].real, to->table->interval(row, i), buffer))
        fputs(buffer, to->out);
    else
        put_latex_number(to->out, cell_text(&row[i], false, buffer));
}

static void end_latex_cell(sink *to, bool *first) {
    if (!*first) fputs(" & ", to->out);
    *first = false;
}

static void begin_latex(sink *to) {
    fputs("% needs \\usepackage{booktabs,siunitx}\n\\begin{tabular}{", to->out);
    for (size_t i = 0; i < to->table->n; ++i)
        if (to->shown[i]) fputc(to->table->column[i].kind == TEXT ? 'l' : 'S', to->out);
    fputs("}\n\\toprule\n", to->out);
    bool first = true;
    for (size_t i = 0; i < to->table->n; ++i) {
        if (!to->shown[i]) continue;
        end_latex_cell(to, &first);
        fputc('{', to->out); /* no number */
        put_latex_text(to->out, to->table->column[i].name);
        fputc('}', to->out);
    }
    fputs(" \\\\\n\\midrule\n", to->out);
}

static void row_latex(sink *to, const cell *row) {
    bool first = true;
    for (size_t i = 0; i < to->table->n; ++i) {
        if (!to->shown[i]) continue;
        end_latex_cell(to, &first);
        put_latex_cell(to, row, i);
    }
    fputs(" \\\\\n", to->out);
}

static void end_latex(sink *to) { fputs("\\bottomrule\n\\end{tabular}\n", to->out); }

/* json */

/* Length of the UTF-8 sequence at c, 0 where there is none (Unicode 15, table 3-7). */
static size_t utf8_length(const unsigned char *c) {
    if (c[0] < 0x80) return 1;
    size_t const n = c[0] >= 0xC2 && c[0] < 0xE0   ? 2
                     : c[0] >= 0xE0 && c[0] < 0xF0 ? 3
                     : c[0] >= 0xF0 && c[0] < 0xF5 ? 4
                                                   : 0;
    for (size_t i = 1; i < n; ++i)
        if ((c[i] & 0xC0) != 0x80) return 0;
    bool const overlong = (c[0] == 0xE0 && c[1] < 0xA0) || (c[0] == 0xF0 && c[1] < 0x90);
    bool const beyond = (c[0] == 0xED && c[1] > 0x9F) || (c[0] == 0xF4 && c[1] > 0x8F);
    return overlong || beyond ? 0 : n;
}

/* File names may be no UTF-8, JSON must be: what is not becomes the replacement character. */
static void put_json_text(FILE *out, const char *text) {
    fputc('"', out);
    for (const unsigned char *c = (const unsigned char *)text; *c;) {
        size_t const n = utf8_length(c);
        if (n == 0)
            fputs("\\ufffd", out);
        else if (*c < ' ')
            fprintf(out, "\\u%04x", *c);
        else if (*c == '"' || *c == '\\')
            fprintf(out, "\\%c", *c);
        else
            fwrite(c, 1, n, out);
        c += n ? n : 1;
    }
    fputc('"', out);
}

static void begin_json(sink *to) { fputc('[', to->out); }

static void row_json(sink *to, const cell *row) {
    char buffer[NUMBER_SIZE];
    fputs(to->rows ? ",\n  {" : "\n  {", to->out);
    for (size_t i = 0; i < to->table->n; ++i) {
        fprintf(to->out, "%s\"%s\": ", i ? ", " : "", to->table->column[i].name);
        const char *const text = cell_text(&row[i], true, buffer);
        if (row[i].kind == MISSING)
            fputs("null", to->out);
        else if (row[i].kind == TEXT || (row[i].kind == REAL && isinf(row[i].real)))
            put_json_text(to->out, text);
        else
            fputs(text, to->out);
    }
    fputc('}', to->out);
}

static void end_json(sink *to) { fputs(to->rows ? "\n]\n" : "]\n", to->out); }

static const writer writers[RS_N_TABLE_FORMAT] = {
    [RS_MD] = {"md", true, begin_md, row_md, end_nothing},
    [RS_CSV] = {"csv", false, begin_csv, row_csv, end_nothing},
    [RS_LATEX] = {"latex", true, begin_latex, row_latex, end_latex},
    [RS_JSON] = {"json", false, begin_json, row_json, end_json},
};

rs_table_format rs_table_format_named(const char *name) {
    rs_table_format format = RS_MD;
    while (format < RS_N_TABLE_FORMAT && strcmp(writers[format].name, name) != 0) ++format;
    return format;
}

/* --- putting them together -------------------------------------------------------------------- */

static rs_status open_source(rs_store *store, const table *of, source *out) {
    sqlite3 *const db = rs_store_handle(store);
    *out = (source){.store = store, .table = of};
    RS_TRY(rs_theory_make(&out->theory));
    if (sqlite3_prepare_v2(db, of->sql, -1, &out->outer, NULL) != SQLITE_OK)
        return rs_store_fail(store, "reading");
    if (of->inner_sql && sqlite3_prepare_v2(db, of->inner_sql, -1, &out->inner, NULL) != SQLITE_OK)
        return rs_store_fail(store, "reading");
    return RS_OK;
}

static void close_source(source *from) {
    sqlite3_finalize(from->outer);
    sqlite3_finalize(from->inner);
    free(from->rates);
}

/* Texts of the first row, to compare the others with. */
typedef struct first_row {
    char *text[MAX_COLUMNS];
} first_row;

static rs_status look_at_cell(sink *to, size_t i, const cell *one, first_row *first) {
    char buffer[NUMBER_SIZE];
    size_t const width = put_md_text(NULL, cell_text(one, false, buffer));
    if (width > to->width[i]) to->width[i] = width;
    show const show = to->table->column[i].show;
    if (show == IF_ANY && one->kind != MISSING) to->shown[i] = true;
    if (show != IF_VARIES || to->shown[i]) return RS_OK;
    const char *const text = cell_text(one, true, buffer);
    if (first->text[i]) {
        to->shown[i] = strcmp(first->text[i], text) != 0;
        return RS_OK;
    }
    first->text[i] = strdup(text);
    return first->text[i] ? RS_OK : rs_fail(RS_EMEMORY, "table: out of memory");
}

static rs_status look_at_rows(source *from, sink *to, first_row *first) {
    cell row[MAX_COLUMNS];
    for (;;) {
        bool more;
        RS_TRY(from->table->next(from, row, &more));
        if (!more) return RS_OK;
        for (size_t i = 0; i < from->table->n; ++i) RS_TRY(look_at_cell(to, i, &row[i], first));
    }
}

/* Reads all rows to learn the widths and which columns to show. */
static rs_status lay_out(rs_store *store, sink *to) {
    for (size_t i = 0; i < to->table->n; ++i) {
        to->width[i] = put_md_text(NULL, to->table->column[i].name);
        to->shown[i] = to->table->column[i].show == ALWAYS;
    }
    source from;
    first_row first = {{NULL}};
    rs_status status = open_source(store, to->table, &from);
    if (status == RS_OK) status = look_at_rows(&from, to, &first);
    for (size_t i = 0; i < MAX_COLUMNS; ++i) free(first.text[i]);
    close_source(&from);
    return status;
}

static rs_status write_from(source *from, const writer *writer, sink *to) {
    cell row[MAX_COLUMNS];
    writer->begin(to);
    for (;; ++to->rows) {
        bool more;
        RS_TRY(from->table->next(from, row, &more));
        if (!more || ferror(to->out)) break;
        writer->row(to, row);
    }
    writer->end(to);
    if (fflush(to->out) == 0 && !ferror(to->out)) return RS_OK;
    return rs_fail(RS_EIO, "%s table: cannot be written: %s", to->table->name, strerror(errno));
}

static rs_status write_table(rs_store *store, const table *of, const writer *writer, FILE *out) {
    sink to = {.out = out, .table = of};
    if (writer->for_people) RS_TRY(lay_out(store, &to));
    source from;
    rs_status status = open_source(store, of, &from);
    if (status == RS_OK) status = write_from(&from, writer, &to);
    close_source(&from);
    return status;
}

static rs_status fail_unknown(const char *name) {
    char known[128] = "";
    for (size_t i = 0; i < N_TABLES; ++i) {
        strcat(known, i ? ", " : "");
        strcat(known, tables[i].name);
    }
    return rs_fail(RS_EINPUT, "table %s: unknown: the tables are %s", name, known);
}

rs_status rs_table_write(rs_store *store, const char *name, rs_table_format format, FILE *out) {
    size_t i = 0;
    while (i < N_TABLES && strcmp(tables[i].name, name) != 0) ++i;
    if (i == N_TABLES) return fail_unknown(name);
    /* Both readings of a table must see the same rows while a sweep goes on. */
    sqlite3 *const db = rs_store_handle(store);
    if (sqlite3_exec(db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK)
        return rs_store_fail(store, "reading");
    rs_status const status = write_table(store, &tables[i], &writers[format], out);
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL); /* only reads: nothing to lose, or to fail */
    return status;
}
