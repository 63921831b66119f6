#include "definition.h"

#include <math.h>
#include <string.h>

/* --- rows from the database ------------------------------------------------------------------- */

rs_status rs_table_step(source *from, sqlite3_stmt *query, bool *more) {
    int const code = sqlite3_step(query);
    *more = code == SQLITE_ROW;
    if (code == SQLITE_ROW || code == SQLITE_DONE) return RS_OK;
    return rs_store_fail(from->store, "reading");
}

double rs_column_real(sqlite3_stmt *query, int at) {
    return sqlite3_column_type(query, at) == SQLITE_NULL ? NAN : sqlite3_column_double(query, at);
}

cell rs_whole_cell(int64_t whole) { return (cell){.kind = WHOLE, .whole = whole}; }

cell rs_real_cell(double real) {
    return isnan(real) ? (cell){.kind = MISSING} : (cell){.kind = REAL, .real = real};
}

cell rs_power_cell(double log10) { return (cell){.kind = POWER, .real = log10}; }

static rs_status read_cell(source *from, sqlite3_stmt *query, int at, kind kind, cell *out) {
    *out = (cell){.kind = MISSING};
    if (kind == POWER) *out = rs_power_cell(rs_column_real(query, at));
    if (kind == POWER || sqlite3_column_type(query, at) == SQLITE_NULL) return RS_OK;
    if (kind == REAL) {
        *out = rs_real_cell(sqlite3_column_double(query, at));
    } else if (kind == TEXT) {
        out->text = (const char *)sqlite3_column_text(query, at);
        if (!out->text) return rs_store_fail(from->store, "reading");
        if (out->text[0] != '\0') out->kind = TEXT;
    } else {
        *out = rs_whole_cell(sqlite3_column_int64(query, at));
        out->kind = kind;
    }
    return RS_OK;
}

rs_status rs_table_read_row(source *from, cell *row) {
    for (size_t i = 0; i < from->table->n; ++i)
        RS_TRY(read_cell(from, from->outer, (int)i, from->table->column[i].kind, &row[i]));
    return RS_OK;
}

rs_status rs_table_next_plain(source *from, cell *row, bool *more) {
    RS_TRY(rs_table_step(from, from->outer, more));
    return *more ? rs_table_read_row(from, row) : RS_OK;
}

const cell *rs_cell_named(const table *of, const cell *row, const char *name) {
    size_t i = 0;
    while (strcmp(of->column[i].name, name) != 0) ++i;
    return &row[i];
}

/* Columns of a case that theory needs, and the keys of a spec that have their words. */
static const struct {
    const char *column, *key;
    bool of_model, optional; /* may be a model's, which no spec can say; some cells have none */
} setting[] = {
    {"cell", "cell", false, false},
    {"ensemble", "ensemble", true, false},
    {"input", "input", false, false},
    {"h0", "h0", true, false},
    {"loss", "loss", false, false},
    {"gate_bias", "gate-bias", false, true},
    {"gate_scale", "gate-scale", false, true},
    {"leak", "leak", false, true},
};

static const char *word_of(const table *of, const cell *row, const char *column) {
    const cell *const found = rs_cell_named(of, row, column);
    return found->kind == TEXT ? found->text : "";
}

static bool is_of_model(const char *word) {
    return strcmp(word, "model") == 0 || strcmp(word, "unrecorded") == 0;
}

/* Reads the words of a row as the spec file's are read. */
static rs_status understand(const table *of, const cell *row, rs_spec *spec) {
    RS_TRY(rs_spec_init(spec));
    for (size_t i = 0; i < sizeof setting / sizeof *setting; ++i) {
        const char *const word = word_of(of, row, setting[i].column);
        if (setting[i].of_model && is_of_model(word)) continue;
        if (setting[i].optional && *word == '\0') continue;
        RS_TRY(rs_spec_set(spec, setting[i].key, word, RS_FROM_FILE));
    }
    return RS_OK;
}

rs_status rs_table_read_case(const table *of, const cell *row, rs_case *out, bool *known) {
    rs_spec spec;
    rs_status const status = understand(of, row, &spec);
    *known = status == RS_OK;
    if (*known)
        *out = (rs_case){
            .cell = spec.cell[0],
            .ensemble = spec.ensemble[0],
            .hidden = (size_t)rs_cell_named(of, row, "hidden")->whole,
            .steps = (size_t)rs_cell_named(of, row, "steps")->whole,
            .input = spec.input[0],
            .h0 = spec.h0,
            .loss = spec.loss,
            .gate_bias = spec.gate_bias[0],
            .gate_scale = spec.gate_scale,
            .leak = spec.leak[0],
        };
    if (*known && is_of_model(word_of(of, row, "ensemble")))
        out->ensemble = (rs_ensemble){.kind = RS_MODEL};
    if (*known && is_of_model(word_of(of, row, "h0"))) out->h0 = (rs_start){.kind = RS_START_MODEL};
    rs_spec_free(&spec);
    return status == RS_EINPUT ? RS_OK : status;
}

/* --- a table with all its columns ------------------------------------------------------------- */

static void add_columns(table *to, const column *from, size_t n) {
    for (size_t i = 0; i < n; ++i) to->column[to->n++] = from[i];
}

static bool has_column(const table *of, const char *name) {
    size_t i = 0;
    while (i < of->n && strcmp(of->column[i].name, name) != 0) ++i;
    return i < of->n;
}

/* What the columns of a case hold. */
static const struct {
    const char *name, *heading, *about;
} identity_text[] = {
    {"cell", NULL, CELL_ABOUT},
    {"ensemble", NULL, ENSEMBLE_ABOUT},
    {"hidden", "$H$", HIDDEN_ABOUT},
    {"steps", "$T$", STEPS_ABOUT},
    {"batch", "$B$", BATCH_ABOUT},
    {"input", NULL, "zero, noise:SIGMA at every unit, or pytorch: through weight_ih"},
    {"input_size", NULL, "features of the input"},
    {"h0", "$h_0$", "state before the first step; model: imported"},
    {"warmup", NULL, WARMUP_ABOUT},
    {"loss", NULL, LOSS_ABOUT},
    {"fit_skip", NULL, "steps next to the loss that the decay rate leaves out"},
    {"gate_bias", NULL, "bias of the gate that keeps the state: f of an LSTM, z of a GRU"},
    {"gate_scale", NULL,
     "blocks scaled to rho: all by the candidate's factor (same), or its own alone (native)"},
    {"leak", NULL, "A of h_t = (1 - A) h_{t-1} + A phi(a_t); 1: no leak; empty for gated cells"},
    {"precision", NULL, PRECISION_ABOUT},
    {"raw", NULL, RAW_ABOUT},
    {"engine", NULL, "engine that computed"},
    {"model_digest", NULL, "digest of the imported weights"},
};

/* A column of a case as a table has it. */
static column identity_column(const rs_identity_column *of, show show) {
    enum { N = sizeof identity_text / sizeof *identity_text };
    size_t i = 0;
    while (i < N - 1 && strcmp(identity_text[i].name, of->name) != 0) ++i;
    return (column){.name = of->name,
                    .kind = of->kind == RS_IDENTITY_TEXT ? TEXT : WHOLE,
                    .show = show,
                    .use = NAMES,
                    .sql = of->name,
                    .heading = identity_text[i].heading,
                    .about = identity_text[i].about};
}

/* Adds the columns of one part of a case's identity that the table does not have yet. */
static void add_part(table *to, rs_identity_part part, show show) {
    size_t n;
    const rs_identity_column *const identity = rs_identity_columns(&n);
    for (size_t i = 0; i < n; ++i)
        if (identity[i].part == part && !has_column(to, identity[i].name))
            to->column[to->n++] = identity_column(&identity[i], show);
}

static void add_settings(table *to) {
    static const column model = {
        "model", TEXT, IF_VARIES, NAMES, "c.model", NULL, "file of the imported weights"};
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
    char *const rest = order ? sqlite3_mprintf(of->is->from, order, order, order, order) : NULL;
    char *const sql = columns && rest ? sqlite3_mprintf("%s%s", columns, rest) : NULL;
    sqlite3_free(columns);
    sqlite3_free(order);
    sqlite3_free(rest);
    return sql;
}

rs_status rs_table_make(const definition *is, table *out) {
    *out = (table){.is = is};
    if (is->of_cases && !is->own_leads) add_part(out, RS_PART_SHAPE, ALWAYS);
    out->own = out->n;
    add_columns(out, is->own, is->n_own);
    if (is->of_cases) add_part(out, RS_PART_SHAPE, ALWAYS);
    if (is->of_cases) add_settings(out);
    out->tail = out->n;
    add_columns(out, is->tail, is->n_tail);
    out->sql = make_sql(out);
    return out->sql ? RS_OK : rs_fail(RS_EMEMORY, "%s table: out of memory", is->name);
}
