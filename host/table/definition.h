/* definition: what a table is made of, and its rows as the database has them. */
#ifndef RS_TABLE_DEFINITION_H
#define RS_TABLE_DEFINITION_H

#include "../store/store.h"

#include <sqlite3.h>

/* POWER: a number known by its log10, for it may be beyond double's range; its NaN is a value. */
typedef enum kind { MISSING, TEXT, WHOLE, UNSIGNED, REAL, POWER } kind;

typedef struct cell {
    kind kind;
    union {
        const char *text; /* borrowed until the next row */
        int64_t whole;    /* UNSIGNED: the same bits */
        double real;      /* POWER: log10 of the number */
    };
} cell;

/* Whether the formats for reading show a column; CSV and JSON show all. */
typedef enum show {
    ALWAYS,
    IF_VARIES, /* where two rows differ */
    IF_ANY,    /* where some row has a value */
    MERGED,    /* as the interval of another column's value */
    NEVER
} show;

/* What a column is for. Where room is short, the last of these go first. */
typedef enum use {
    NAMES, /* tells rows apart */
    RESULT,
    BESIDE,
    DETAIL /* not for a paper */
} use;

typedef struct column {
    const char *name;
    kind kind;
    show show;
    use use;
    const char *sql;     /* what to select for it; NULL where next() fills it */
    const char *heading; /* in LaTeX, with \\ between its lines; NULL for the name */
    const char *about;   /* what it holds, in English */
} column;

/* The 95% interval of a number, and how formats for reading show it. */
typedef enum interval_kind {
    NO_INTERVAL,
    HALF_WIDTH, /* as 0.0459(93) */
    BOTH_ENDS,  /* as 1.557 [1.553, 1.561] */
    DIGITS_ONLY /* the number is rounded to its digits */
} interval_kind;

typedef struct interval {
    interval_kind kind;
    double half_width, low, high; /* ends: of BOTH_ENDS */
} interval;

enum { RS_MAX_COLUMNS = 48 };

typedef struct source source;
typedef struct table table;

/* A table as its file defines it: its own columns come after those of a case's shape (before them
 * where own_leads is set) and before those of its settings. No column appears twice. */
typedef struct definition {
    const char *name;
    const char *about; /* what it shows, in half a line */
    bool of_cases;     /* has the columns of shape and settings */
    bool own_leads;    /* its own columns are the first, and name of the shape what they need */
    const column *own; /* [n_own] */
    size_t n_own;
    const column *tail; /* [n_tail] behind the settings */
    size_t n_tail;
    const char *from; /* the rest of the statement; a %s, of at most four, is the order of cases */
    const char *inner_sql; /* or NULL */
    size_t state_size;
    rs_status (*open)(void *state); /* or NULL */
    void (*close)(void *state);     /* or NULL; also after an open() that failed */
    rs_status (*next)(source *from, cell *row, bool *more);
    interval (*interval)(const table *of, const cell *row, size_t i); /* or NULL */
} definition;

/* A table with all its columns. */
struct table {
    const definition *is;
    column column[RS_MAX_COLUMNS];
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
    void *state; /* what next() keeps from row to row: [state_size], zeros at first */
};

#define OWN_COLUMNS(array)  .own = (array), .n_own = sizeof(array) / sizeof *(array)
#define TAIL_COLUMNS(array) .tail = (array), .n_tail = sizeof(array) / sizeof *(array)

/* Order of seeds: as int64_t, negative ones are those from 2^63 on. */
#define SEED_ORDER "c.seed < 0, c.seed"

/* Columns of a case that some tables have as their own. */
#define CELL_ABOUT      "recurrent cell: tanh, relu, linear, lstm or gru"
#define ENSEMBLE_ABOUT  "how W_hh is drawn; model: imported"
#define HIDDEN_ABOUT    "units H"
#define STEPS_ABOUT     "recorded time steps T"
#define BATCH_ABOUT     "samples that every network sees"
#define WARMUP_ABOUT    "forward steps before the recorded ones"
#define LOSS_ABOUT      "loss whose gradient is measured"
#define PRECISION_ABOUT "arithmetic: f32 or f64"
#define RAW_ABOUT       "1: plain arithmetic, in which gradients underflow and overflow"

/* One file each. */
extern const definition rs_decay_table, rs_critical_table, rs_seeds_table, rs_profile_table,
    rs_clip_table, rs_lyapunov_table, rs_lyapunov_summary_table, rs_singular_table,
    rs_condition_table, rs_throughput_table, rs_runs_table, rs_failures_table;

/* The table with all its columns. The caller frees out->sql with sqlite3_free() in any case. */
rs_status rs_table_make(const definition *is, table *out);

/* The next row of a statement, false in *more where there is none. */
rs_status rs_table_step(source *from, sqlite3_stmt *query, bool *more);

/* The row that the outer statement has come to. */
rs_status rs_table_read_row(source *from, cell *row);

/* next() of a table whose statement yields its rows as they are. */
rs_status rs_table_next_plain(source *from, cell *row, bool *more);

/* A number of the row that a statement has come to; NaN for NULL. */
double rs_column_real(sqlite3_stmt *query, int at);

cell rs_whole_cell(int64_t whole);
cell rs_real_cell(double real); /* MISSING for NaN */
cell rs_power_cell(double log10);

/* Calls visit() with every row of the table; `row` is borrowed until it returns. */
typedef rs_status rs_row_visit(void *arg, const table *of, const cell *row);
rs_status rs_table_visit(rs_store *store, const definition *is, rs_row_visit *visit, void *arg);

/* The cell of the column of that name, which there is. */
const cell *rs_cell_named(const table *of, const cell *row, const char *name);

/* What theory needs of a row's case: cell, ensemble, sizes, input, h0, loss, gates and leak. *known
 * is false where this version does not know a word. */
rs_status rs_table_read_case(const table *of, const cell *row, rs_case *out, bool *known);

#endif
