#include "rates.h"

#include "../spec/quote.h"
#include "../table/writer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- a list that grows ----------------------------------------------------------------------- */

/* Makes room for one more; new entries are zeros. */
static rs_status make_room(void **at, size_t n, size_t *room, size_t size) {
    if (n < *room) return RS_OK;
    size_t const wanted = *room ? 2 * *room : 8;
    char *const grown = reallocarray(*at, wanted, size);
    if (!grown) return rs_fail(RS_EMEMORY, "plot: out of memory");
    memset(grown + *room * size, 0, (wanted - *room) * size);
    *at = grown;
    *room = wanted;
    return RS_OK;
}

/* ---- which curve a row belongs to ------------------------------------------------------------ */

static bool is_size(const rs_identity_column *column) {
    return strcmp(column->name, "hidden") == 0 || strcmp(column->name, "steps") == 0;
}

/* Whether a column of a case tells kinds apart. */
static bool tells_kinds(const rs_identity_column *column) {
    return column->part != RS_PART_SEED && !is_size(column);
}

static const char *text_of(const table *of, const cell *row, const char *name,
                           char buffer[RS_REAL_TEXT]) {
    return rs_cell_text(rs_cell_named(of, row, name), true, buffer);
}

static bool is_of_kind(const rs_rate_kind *kind, const table *of, const cell *row) {
    size_t n;
    char buffer[RS_REAL_TEXT];
    const rs_identity_column *const column = rs_identity_columns(&n);
    for (size_t i = 0; i < n; ++i)
        if (tells_kinds(&column[i]) &&
            strcmp(kind->setting[i], text_of(of, row, column[i].name, buffer)) != 0)
            return false;
    return true;
}

static rs_status copy(const table *of, const cell *row, const char *name, char **out) {
    char buffer[RS_REAL_TEXT];
    return rs_duplicate(text_of(of, row, name, buffer), out);
}

static rs_status add_kind(rs_rates *rates, const table *of, const cell *row) {
    size_t n;
    const rs_identity_column *const column = rs_identity_columns(&n);
    RS_TRY(make_room((void **)&rates->kind, rates->n, &rates->room, sizeof *rates->kind));
    rs_rate_kind *const kind = &rates->kind[rates->n++];
    for (size_t i = 0; i < n; ++i)
        if (tells_kinds(&column[i])) RS_TRY(copy(of, row, column[i].name, &kind->setting[i]));
    return copy(of, row, "model", &kind->model);
}

/* Rows of a kind come in turns, so the search starts with the latest. */
static rs_status find_kind(rs_rates *rates, const table *of, const cell *row, rs_rate_kind **out) {
    for (size_t k = 0; k < rates->n; ++k) {
        size_t const at = (rates->latest + k) % rates->n;
        if (!is_of_kind(&rates->kind[at], of, row)) continue;
        rates->latest = at;
        *out = &rates->kind[at];
        return RS_OK;
    }
    RS_TRY(add_kind(rates, of, row));
    rates->latest = rates->n - 1;
    *out = &rates->kind[rates->latest];
    return RS_OK;
}

/* Those of a kind come one after the other. */
static rs_status find_line(rs_rates *rates, const table *of, const cell *row, rs_rate_line **out) {
    rs_rate_kind *kind;
    int64_t const hidden = rs_cell_named(of, row, "hidden")->whole;
    int64_t const steps = rs_cell_named(of, row, "steps")->whole;
    RS_TRY(find_kind(rates, of, row, &kind));
    for (size_t i = kind->n; i-- > 0;) {
        *out = &kind->line[i];
        if ((*out)->hidden == hidden && (*out)->steps == steps) return RS_OK;
    }
    RS_TRY(make_room((void **)&kind->line, kind->n, &kind->room, sizeof *kind->line));
    rs_shown const none = {.value = NAN};
    *out = &kind->line[kind->n++];
    **out = (rs_rate_line){
        .hidden = hidden, .steps = steps, .rho = none, .g = none, .g_predicted = none};
    return RS_OK;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static double real(const table *of, const cell *row, const char *name) {
    const cell *const one = rs_cell_named(of, row, name);
    return one->kind == REAL ? one->real : NAN;
}

static rs_shown shown(const table *of, const cell *row, const char *name) {
    rs_shown out = {.value = real(of, row, name)};
    char buffer[RS_READING_TEXT];
    size_t const i = (size_t)(rs_cell_named(of, row, name) - row);
    snprintf(out.text, sizeof out.text, "%s", rs_reading_text(of, row, i, buffer));
    return out;
}

static rs_status take_decay(void *arg, const table *of, const cell *row) {
    rs_rate_line *line;
    rs_mean_rate const point = {real(of, row, "rho"), real(of, row, "g"),
                                real(of, row, "decay_rate")};
    if (!isfinite(point.rho) || !isfinite(point.g) || !isfinite(point.rate)) return RS_OK;
    RS_TRY(find_line(arg, of, row, &line));
    RS_TRY(make_room((void **)&line->point, line->n, &line->room, sizeof point));
    if (line->n == 0) line->first_rate = shown(of, row, "decay_rate");
    line->point[line->n++] = point;
    return RS_OK;
}

static rs_status take_critical(void *arg, const table *of, const cell *row) {
    rs_rate_line *line;
    RS_TRY(find_line(arg, of, row, &line));
    line->rho = shown(of, row, "rho_critical");
    line->g = shown(of, row, "g_critical");
    line->g_predicted = shown(of, row, "g_predicted");
    return RS_OK;
}

static rs_status read_tables(rs_store *store, rs_rates *out) {
    RS_TRY(rs_table_visit(store, &rs_decay_table, take_decay, out));
    return rs_table_visit(store, &rs_critical_table, take_critical, out);
}

rs_status rs_rates_read(rs_store *store, rs_rates *out) {
    *out = (rs_rates){0};
    /* Both tables must see the same rows while a sweep goes on. */
    rs_status status = rs_store_begin_read(store);
    if (status == RS_OK) status = read_tables(store, out);
    return rs_store_end_read(store, status);
}

static void free_kind(rs_rate_kind *kind) {
    for (size_t i = 0; i < RS_MAX_IDENTITY; ++i) free(kind->setting[i]);
    for (size_t i = 0; i < kind->n; ++i) free(kind->line[i].point);
    free(kind->line);
    free(kind->model);
}

void rs_rates_free(rs_rates *rates) {
    for (size_t i = 0; i < rates->n; ++i) free_kind(&rates->kind[i]);
    free(rates->kind);
    *rates = (rs_rates){0};
}

/* ---- names ----------------------------------------------------------------------------------- */

/* Whether a kind that has the setting at all has another value. */
static bool differs(const rs_rates *rates, size_t setting, const char *value) {
    for (size_t k = 0; k < rates->n; ++k) {
        const char *const other = rates->kind[k].setting[setting];
        if (*other && strcmp(other, value) != 0) return true;
    }
    return false;
}

/* "input_size" with a blank. */
static void print_setting(const char *name, const char *value, FILE *out) {
    fputs(", ", out);
    for (; *name; ++name) fputc(*name == '_' ? ' ' : *name, out);
    fprintf(out, " %s", value);
}

void rs_rates_print_kind(const rs_rates *rates, size_t i, FILE *out) {
    const rs_rate_kind *const kind = &rates->kind[i];
    size_t n;
    const rs_identity_column *const column = rs_identity_columns(&n);
    for (size_t k = 0; k < n; ++k) {
        if (column[k].part == RS_PART_SHAPE && !is_size(&column[k]))
            fprintf(out, "%s%s", k ? ", " : "", kind->setting[k]);
        bool const is_setting = column[k].part == RS_PART_SETTING && kind->setting[k][0];
        if (is_setting && differs(rates, k, kind->setting[k]))
            print_setting(column[k].name, kind->setting[k], out);
    }
    if (!kind->model[0]) return;
    fputs(" ", out);
    rs_print_plain(out, kind->model, 60);
}
