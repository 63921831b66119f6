#include "spectra.h"

#include <math.h>
#include <string.h>

/* S H of the row's case; 0 where this version does not know its cell. */
static size_t states_of(const source *from) {
    const table *const of = from->table;
    size_t hidden = 0, states = 0;
    for (size_t i = 0; i < of->n; ++i) {
        if (strcmp(of->column[i].name, "hidden") == 0)
            hidden = (size_t)sqlite3_column_int64(from->outer, (int)i);
        if (strcmp(of->column[i].name, "cell") != 0) continue;
        const char *const name = (const char *)sqlite3_column_text(from->outer, (int)i);
        for (rs_cell cell = 0; name && cell < RS_N_CELL; ++cell)
            if (strcmp(name, rs_cell_name(cell)) == 0) states = rs_cell_of(cell)->states;
    }
    return states * hidden;
}

static rs_status fail_damaged(const source *from) {
    return rs_fail(RS_EINPUT,
                   "%s table: an array of another length than its network's: the "
                   "database is damaged; move it away or name another file",
                   from->table->is->name);
}

/* Takes the arrays that the inner statement has come to; behind them stands how many numbers each
 * has, or NULL for all there can be. */
static rs_status take_arrays(const source *from, size_t arrays, rs_spectrum *out) {
    bool const leading = sqlite3_column_type(from->inner, (int)arrays) != SQLITE_NULL;
    int64_t const n = sqlite3_column_int64(from->inner, (int)arrays);
    out->n = leading ? (size_t)n : out->all;
    if (n < 0 || out->n > out->all) return fail_damaged(from);
    for (size_t i = 0; i < arrays; ++i) {
        bool const is_there = sqlite3_column_type(from->inner, (int)i) != SQLITE_NULL;
        out->array[i] = is_there ? sqlite3_column_blob(from->inner, (int)i) : NULL;
        size_t const bytes = (size_t)sqlite3_column_bytes(from->inner, (int)i);
        if (is_there && bytes != out->n * sizeof(double)) return fail_damaged(from);
    }
    return RS_OK;
}

rs_status rs_spectrum_next(source *from, int keys, size_t arrays, rs_spectrum *out, bool *more) {
    bool found;
    *out = (rs_spectrum){0};
    RS_TRY(rs_table_step(from, from->outer, more));
    if (!*more) return RS_OK;
    out->all = states_of(from);
    sqlite3_reset(from->inner);
    for (int i = 0; i < keys; ++i) {
        int64_t const key = sqlite3_column_int64(from->outer, (int)from->table->n + i);
        if (sqlite3_bind_int64(from->inner, i + 1, key) != SQLITE_OK)
            return rs_store_fail(from->store, "reading");
    }
    RS_TRY(rs_table_step(from, from->inner, &found));
    return found ? take_arrays(from, arrays, out) : RS_OK;
}

rs_status rs_spectrum_next_number(source *from, int keys, size_t arrays, rs_spectrum *out,
                                  bool *more) {
    *more = true;
    while (*more && out->at == out->n) RS_TRY(rs_spectrum_next(from, keys, arrays, out, more));
    return RS_OK;
}

double rs_spectrum_value(const rs_spectrum *of, size_t array, size_t i) {
    double value = NAN;
    if (of->array[array] && i < of->n)
        memcpy(&value, of->array[array] + i * sizeof value, sizeof value);
    return value + 0.0; /* no minus before a zero */
}
