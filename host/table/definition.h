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

enum { RS_MAX_COLUMNS = 48 };

typedef struct source source;
typedef struct table table;

/* A table as its file writes it down: columns of its own, behind those of a case's shape (or before
 * them, where own columns are of that shape) and before those of its settings, of which none comes
 * twice. */
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
    /* Half width of the 95% interval that a cell's number is known to, 0 for none; or NULL. */
    double (*interval)(const table *of, const cell *row, size_t i);
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

/* One file each. */
extern const definition rs_decay_table, rs_critical_table, rs_seeds_table, rs_profile_table,
    rs_clip_table, rs_throughput_table, rs_runs_table, rs_failures_table;

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

/* What theory needs of a row's case: cell, ensemble, sizes, input, h0, loss, gates and leak. Not
 * *known where the words are none of today's. */
rs_status rs_table_read_case(const table *of, const cell *row, rs_case *out, bool *known);

#endif
