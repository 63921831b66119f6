#include "table.h"

#include "../fit/theory.h"

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
    const char *sql; /* what to select for it; NULL where next() fills it */
} column;

enum { MAX_COLUMNS = 40 };

typedef struct source source;
typedef struct table table;

/* A table as it is written down below: columns of its own, behind those of a case's shape and
 * before those of its settings. */
typedef struct definition {
    const char *name;
    bool of_cases;     /* has the columns of shape and settings */
    const column *own; /* [n_own] */
    size_t n_own;
    const column *tail; /* [n_tail] behind the settings */
    size_t n_tail;
    const char *from;      /* the rest of the statement; every %s is the order of cases */
    const char *inner_sql; /* or NULL */
    rs_status (*next)(source *from, cell *row, bool *more);
    /* Half width of the 95% interval that a cell's number is known to, 0 for none; or NULL. */
    double (*interval)(const table *of, const cell *row, size_t i);
} definition;

/* A table with all its columns. */
struct table {
    const definition *is;
    column column[MAX_COLUMNS];
    size_t n;
    size_t own;  /* index of the first column of its own */
    size_t tail; /* index of the first one behind the settings */
    char *sql;   /* yields the columns in order, and behind them what next() needs */
};

/* A table being read, row by row. */
struct source {
    rs_store *store;
    const table *table;
    sqlite3_stmt *outer, *inner;
    rs_theory theory;
    double *rates; /* [capacity] */
    size_t capacity;
    const char *curve[3]; /* mean, min, max: `steps` doubles, unaligned, borrowed from inner */
    size_t steps, at;     /* of the curve; those that have been rows */
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

#define SEED_ORDER "c.seed < 0, c.seed" /* negative ones are those from 2^63 on */

/* decay */

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

/* One row per seed; the column behind the table's says how many rows make a group. */
static const char decay_from[] =
    ", count(*) OVER (PARTITION BY %s, p.rho_asked)"
    " FROM points p JOIN cases c ON c.id = p.case_id ORDER BY %s, p.rho_asked, " SEED_ORDER;

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

static void put_summary(const rs_seed_summary *summary, cell *own) {
    const char *const regime = rs_regime_name(summary->regime);
    own[DECAY_SEEDS] = whole_cell((int64_t)summary->seeds);
    own[DECAY_RATE] = real_cell(summary->mean);
    own[DECAY_CI95] = real_cell(summary->ci95);
    own[DECAY_MIN] = real_cell(summary->min);
    own[DECAY_MAX] = real_cell(summary->max);
    own[DECAY_GAIN] = real_cell(summary->gain);
    own[DECAY_GROWING] = real_cell(summary->growing_fraction);
    own[DECAY_REGIME] = (cell){.kind = regime[0] ? TEXT : MISSING, .text = regime};
}

/* The cell of the column of that name. */
static const cell *cell_named(const table *of, const cell *row, const char *name) {
    size_t i = 0;
    while (strcmp(of->column[i].name, name) != 0) ++i;
    return &row[i];
}

/* Reads the words of a row as the spec file's are read: the columns have the names of the keys. */
static rs_status understand(const table *of, const cell *row, rs_spec *spec) {
    static const char *const key[] = {"cell", "ensemble", "input", "h0", "loss"};
    RS_TRY(rs_spec_init(spec));
    for (size_t i = 0; i < sizeof key / sizeof *key; ++i) {
        const cell *const word = cell_named(of, row, key[i]);
        RS_TRY(rs_spec_set(spec, key[i], word->kind == TEXT ? word->text : "", RS_FROM_FILE));
    }
    return RS_OK;
}

static void put_theory(const source *from, const rs_spec *spec, cell *row) {
    cell *const own = row + from->table->own;
    rs_case const one = {
        .cell = spec->cell[0],
        .ensemble = spec->ensemble[0],
        .hidden = (size_t)cell_named(from->table, row, "hidden")->whole,
        .steps = (size_t)cell_named(from->table, row, "steps")->whole,
        .input = spec->input[0],
        .h0 = spec->h0,
        .loss = spec->loss,
    };
    double const rho = own[DECAY_RHO].real, g = own[DECAY_G].real;
    rs_prediction const prediction = rs_predict(&from->theory, &one, rho, g);
    own[DECAY_BOUND] = real_cell(rs_decay_bound(&one, rho, g));
    if (!prediction.law) return;
    own[DECAY_PREDICTED] = real_cell(prediction.decay_rate);
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
    sqlite3_stmt *const query = from->outer;
    const table *const of = from->table;
    int const own = (int)of->own, tail = (int)of->tail;
    RS_TRY(step(from, query, more));
    if (!*more) return RS_OK;
    int64_t const n = sqlite3_column_int64(query, (int)of->n);
    RS_TRY(reserve_rates(from, (size_t)n));
    cell earliest[DECAY_TAIL] = {{.kind = MISSING}};
    double rho = 0.0, g = 0.0;
    for (int64_t i = 0; i < n; ++i) {
        if (i > 0) RS_TRY(step(from, query, more));
        rho += column_real(query, own + DECAY_RHO);
        g += column_real(query, own + DECAY_G);
        from->rates[i] = column_real(query, own + DECAY_RATE);
        for (int k = DECAY_FIRST_FINDING; k < DECAY_TAIL; ++k)
            keep_earliest(query, tail + k, &earliest[k]);
    }
    /* The statement stands on the group's last row: what the rows share is borrowed from there. */
    RS_TRY(read_row(from, row));
    row[own + DECAY_RHO] = real_cell(rho / (double)n);
    row[own + DECAY_G] = real_cell(g / (double)n);
    rs_seed_summary const summary = rs_fit_seeds(from->rates, (size_t)n);
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

/* profile */

enum { PROFILE_STEP = 3, PROFILE_MEAN, CURVES = 3 }; /* counted from the first column of its own */

static const column profile_own[] = {
    {"rho", REAL, ALWAYS, "p.rho"},          {"g", REAL, ALWAYS, "p.g"},
    {"seed", UNSIGNED, ALWAYS, "c.seed"},    {"step", WHOLE, ALWAYS, NULL},
    {"log10_norm_mean", REAL, ALWAYS, NULL}, {"log10_norm_min", REAL, ALWAYS, NULL},
    {"log10_norm_max", REAL, ALWAYS, NULL},
};
static const column profile_tail[] = {{"rho_asked", REAL, NEVER, "p.rho_asked"}};

/* One row per point; the column behind the table's is its id. The curve comes from a statement of
 * its own: points need sorting, and are small without it. */
static const char profile_from[] = ", p.id FROM points p JOIN cases c ON c.id = p.case_id"
                                   " ORDER BY %s, p.rho_asked, " SEED_ORDER;
static const char profile_inner_sql[] =
    "SELECT mean, ifnull(min, mean), ifnull(max, mean) FROM curves WHERE point_id = ?1";

/* Takes the curve that the inner statement has come to. */
static rs_status take_curve(source *from) {
    int const bytes = sqlite3_column_bytes(from->inner, 0);
    for (int k = 0; k < CURVES; ++k) {
        from->curve[k] = sqlite3_column_blob(from->inner, k);
        if (sqlite3_column_bytes(from->inner, k) != bytes || bytes % (int)sizeof(double) != 0)
            return rs_fail(RS_EINPUT, "profile table: curves of uneven length: the database is "
                                      "damaged; move it away or name another file");
    }
    from->steps = (size_t)bytes / sizeof(double);
    from->at = 0;
    return RS_OK;
}

/* Goes on to the next point, whose curve may be missing or empty. */
static rs_status next_curve(source *from, bool *more) {
    bool found;
    from->steps = from->at = 0;
    RS_TRY(step(from, from->outer, more));
    if (!*more) return RS_OK;
    sqlite3_reset(from->inner);
    int64_t const id = sqlite3_column_int64(from->outer, (int)from->table->n);
    if (sqlite3_bind_int64(from->inner, 1, id) != SQLITE_OK)
        return rs_store_fail(from->store, "reading");
    RS_TRY(step(from, from->inner, &found));
    return found ? take_curve(from) : RS_OK;
}

static rs_status next_profile(source *from, cell *row, bool *more) {
    *more = true;
    while (*more && from->at == from->steps) RS_TRY(next_curve(from, more));
    if (!*more) return RS_OK;
    RS_TRY(read_row(from, row));
    cell *const own = row + from->table->own;
    own[PROFILE_STEP] = whole_cell((int64_t)from->at + 1);
    for (int k = 0; k < CURVES; ++k) {
        double value;
        memcpy(&value, from->curve[k] + from->at * sizeof value, sizeof value);
        own[PROFILE_MEAN + k] = real_cell(value + 0.0); /* no minus before a zero */
    }
    ++from->at;
    return RS_OK;
}

/* throughput */

static const column throughput_own[] = {
    {"engine", TEXT, ALWAYS, "c.engine"},
    {"device", TEXT, ALWAYS, "t.device"},
    {"hidden", WHOLE, ALWAYS, "c.hidden"},
    {"steps", WHOLE, ALWAYS, "c.steps"},
    {"batch", WHOLE, ALWAYS, "c.batch"},
    {"radii", WHOLE, ALWAYS, "t.radii"},
    {"forward_ms", REAL, ALWAYS, "avg(t.forward_s) * 1e3"},
    {"backward_ms", REAL, ALWAYS, "avg(t.backward_s) * 1e3"},
    /* Two products of H x H with a column in every recorded step, one forward, one backward: 4 H^2
     * operations. SQLite yields NULL for x / 0. */
    {"gflops", REAL, ALWAYS,
     "4e-9 * c.hidden * c.hidden * t.columns * c.steps / avg(t.forward_s + t.backward_s)"},
    {"column_steps_per_s", REAL, ALWAYS,
     "1.0 * t.columns * c.steps / avg(t.forward_s + t.backward_s)"},
    {"cell", TEXT, IF_VARIES, "c.cell"},
    {"precision", TEXT, IF_VARIES, "c.precision"},
    {"warmup", WHOLE, IF_VARIES, "c.warmup"},
    {"raw", WHOLE, IF_VARIES, "c.raw"},
    {"threads", WHOLE, IF_VARIES, "t.threads"},
    {"cases", WHOLE, IF_VARIES, "count(*)"},
};

#define THROUGHPUT_ORDER                                                                           \
    "c.engine, t.device, c.hidden, c.steps, c.batch, t.radii, c.cell, c.precision, "               \
    "c.warmup, c.raw, t.threads"
static const char throughput_from[] = " FROM timings t JOIN cases c ON c.id = t.case_id"
                                      " GROUP BY " THROUGHPUT_ORDER " ORDER BY " THROUGHPUT_ORDER;

/* runs */

static const column runs_own[] = {
    {"run", WHOLE, ALWAYS, "r.id"},
    {"started", TEXT, ALWAYS, "r.started"},
    {"finished", TEXT, ALWAYS, "r.finished"},
    {"outcome", TEXT, ALWAYS, "r.outcome"},
    {"points", WHOLE, ALWAYS, "count(p.id)"},
    {"version", TEXT, ALWAYS, "r.version"},
    {"git_commit", TEXT, ALWAYS, "r.git_commit"},
    {"host", TEXT, ALWAYS, "r.host"},
    {"engine", TEXT, ALWAYS, "r.engine"},
    {"device", TEXT, ALWAYS, "r.device"},
    {"threads", WHOLE, ALWAYS, "r.threads"},
    {"command_line", TEXT, ALWAYS, "r.command_line"},
    {"system", TEXT, NEVER, "r.system"},
    {"driver", TEXT, NEVER, "r.driver"},
    {"memory", WHOLE, NEVER, "r.memory"},
    {"libraries", TEXT, NEVER, "r.libraries"},
    {"spec", TEXT, NEVER, "r.spec"},
    {"engine_s", REAL, NEVER, "r.engine_s"},
    {"wall_s", REAL, NEVER, "r.wall_s"},
    {"engine_busy", REAL, IF_ANY, "r.engine_s / r.wall_s"},
};

static const char runs_from[] = " FROM runs r LEFT JOIN points p ON p.run_id = r.id"
                                " GROUP BY r.id ORDER BY r.started, r.id";

/* failures */

static const column failures_own[] = {
    {"seed", UNSIGNED, ALWAYS, "c.seed"},
    {"reason", TEXT, ALWAYS, "c.reason"},
    {"run", WHOLE, ALWAYS, "c.run_id"},
};

static const char failures_from[] =
    " FROM cases c WHERE c.status = 'failed' ORDER BY %s, " SEED_ORDER;

#define COLUMNS(array) (array), sizeof(array) / sizeof *(array)
static const definition definitions[] = {
    {"decay", true, COLUMNS(decay_own), COLUMNS(decay_tail), decay_from, NULL, next_decay,
     decay_interval},
    {"profile", true, COLUMNS(profile_own), COLUMNS(profile_tail), profile_from, profile_inner_sql,
     next_profile, NULL},
    {"throughput", false, COLUMNS(throughput_own), NULL, 0, throughput_from, NULL, next_plain,
     NULL},
    {"runs", false, COLUMNS(runs_own), NULL, 0, runs_from, NULL, next_plain, NULL},
    {"failures", true, COLUMNS(failures_own), NULL, 0, failures_from, NULL, next_plain, NULL},
};
enum { N_TABLES = sizeof definitions / sizeof *definitions };
_Static_assert(RS_MAX_IDENTITY + sizeof decay_own / sizeof *decay_own + DECAY_TAIL <= MAX_COLUMNS,
               "room for a row of the widest table");

/* --- a table with all its columns ------------------------------------------------------------- */

static void add_columns(table *to, const column *from, size_t n) {
    for (size_t i = 0; i < n; ++i) to->column[to->n++] = from[i];
}

/* Adds the columns of one part of a case's identity. */
static void add_part(table *to, rs_identity_part part, show show) {
    size_t n;
    const rs_identity_column *const identity = rs_identity_columns(&n);
    for (size_t i = 0; i < n; ++i)
        if (identity[i].part == part)
            to->column[to->n++] =
                (column){identity[i].name, identity[i].kind == RS_IDENTITY_TEXT ? TEXT : WHOLE,
                         show, identity[i].name};
}

static void add_settings(table *to) {
    static const column model = {"model", TEXT, IF_VARIES, "c.model"};
    add_part(to, RS_PART_SETTING, IF_VARIES);
    add_columns(to, &model, 1);
    add_part(to, RS_PART_DIGEST, NEVER);
}

/* What a case is, apart from its seed. Rows are ordered by all of it, so that the order never
 * depends on that of the work. */
static char *order_of_cases(void) {
    size_t n;
    const rs_identity_column *const identity = rs_identity_columns(&n);
    sqlite3_str *const list = sqlite3_str_new(NULL);
    for (size_t i = 0; i < n; ++i)
        if (identity[i].part != RS_PART_SEED)
            sqlite3_str_appendf(list, "%sc.%s", i ? ", " : "", identity[i].name);
    return sqlite3_str_finish(list);
}

static char *select_columns(const table *of) {
    sqlite3_str *const list = sqlite3_str_new(NULL);
    sqlite3_str_appendall(list, "SELECT ");
    for (size_t i = 0; i < of->n; ++i) {
        sqlite3_str_appendf(list, "%s%s", i ? ", " : "",
                            of->column[i].sql ? of->column[i].sql : "NULL");
    }
    return sqlite3_str_finish(list);
}

static char *make_sql(const table *of) {
    char *const columns = select_columns(of), *const order = order_of_cases();
    char *const rest = order ? sqlite3_mprintf(of->is->from, order, order) : NULL;
    char *const sql = columns && rest ? sqlite3_mprintf("%s%s", columns, rest) : NULL;
    sqlite3_free(columns);
    sqlite3_free(order);
    sqlite3_free(rest);
    return sql;
}

/* The caller frees out->sql in any case. */
static rs_status make_table(const definition *is, table *out) {
    *out = (table){.is = is};
    if (is->of_cases) add_part(out, RS_PART_SHAPE, ALWAYS);
    out->own = out->n;
    add_columns(out, is->own, is->n_own);
    if (is->of_cases) add_settings(out);
    out->tail = out->n;
    add_columns(out, is->tail, is->n_tail);
    out->sql = make_sql(out);
    return out->sql ? RS_OK : rs_fail(RS_EMEMORY, "%s table: out of memory", is->name);
}

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
    bool const rounds = to->table->is->interval && row[i].kind == REAL;
    if (row[i].kind == MISSING) return;
    if (row[i].kind == TEXT)
        put_latex_text(to->out, row[i].text);
    else if (rounds &&
             print_rounded(row[i].real, to->table->is->interval(to->table, row, i), buffer))
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
    const char *const inner = of->is->inner_sql;
    if (inner && sqlite3_prepare_v2(db, inner, -1, &out->inner, NULL) != SQLITE_OK)
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
        RS_TRY(from->table->is->next(from, row, &more));
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
        RS_TRY(from->table->is->next(from, row, &more));
        if (!more || ferror(to->out)) break;
        writer->row(to, row);
    }
    writer->end(to);
    if (fflush(to->out) == 0 && !ferror(to->out)) return RS_OK;
    return rs_fail(RS_EIO, "%s table: cannot be written: %s", to->table->is->name, strerror(errno));
}

static rs_status write_rows(rs_store *store, const table *of, const writer *writer, FILE *out) {
    sink to = {.out = out, .table = of};
    if (writer->for_people) RS_TRY(lay_out(store, &to));
    source from;
    rs_status status = open_source(store, of, &from);
    if (status == RS_OK) status = write_from(&from, writer, &to);
    close_source(&from);
    return status;
}

static rs_status write_table(rs_store *store, const definition *is, const writer *writer,
                             FILE *out) {
    table of;
    rs_status status = make_table(is, &of);
    if (status == RS_OK) status = write_rows(store, &of, writer, out);
    sqlite3_free(of.sql);
    return status;
}

static rs_status fail_unknown(const char *name) {
    char known[128] = "";
    for (size_t i = 0; i < N_TABLES; ++i) {
        strcat(known, i ? ", " : "");
        strcat(known, definitions[i].name);
    }
    return rs_fail(RS_EINPUT, "table %s: unknown: the tables are %s", name, known);
}

rs_status rs_table_write(rs_store *store, const char *name, rs_table_format format, FILE *out) {
    size_t i = 0;
    while (i < N_TABLES && strcmp(definitions[i].name, name) != 0) ++i;
    if (i == N_TABLES) return fail_unknown(name);
    /* Both readings of a table must see the same rows while a sweep goes on. */
    rs_status status = rs_store_begin_read(store);
    if (status == RS_OK) status = write_table(store, &definitions[i], &writers[format], out);
    rs_store_end_read(store);
    return status;
}
