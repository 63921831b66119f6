#include "table.h"

#include "../spec/words.h"
#include "writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const definition *const tables[] = {
    &rs_decay_table, &rs_critical_table,   &rs_seeds_table, &rs_profile_table,
    &rs_clip_table,  &rs_throughput_table, &rs_runs_table,  &rs_failures_table,
};
enum { N_TABLES = sizeof tables / sizeof *tables };

static const writer *const writers[RS_N_TABLE_FORMAT] = {
    [RS_MD] = &rs_md_writer,
    [RS_CSV] = &rs_csv_writer,
    [RS_LATEX] = &rs_latex_writer,
    [RS_JSON] = &rs_json_writer,
};

rs_status rs_table_parse_format(const char *word, rs_table_format *out) {
    const char *names[RS_N_TABLE_FORMAT];
    size_t at;
    for (size_t i = 0; i < RS_N_TABLE_FORMAT; ++i) names[i] = writers[i]->name;
    RS_TRY(rs_parse_word(word, names, RS_N_TABLE_FORMAT, &at));
    *out = (rs_table_format)at;
    return RS_OK;
}

const char *rs_table_format_name(size_t i) {
    return i < RS_N_TABLE_FORMAT ? writers[i]->name : NULL;
}

const char *rs_table_name(size_t i) { return i < N_TABLES ? tables[i]->name : NULL; }

void rs_table_list(FILE *out) {
    for (size_t i = 0; i < N_TABLES; ++i)
        fprintf(out, "  %-10s   %s\n", tables[i]->name, tables[i]->about);
}

/* --- putting them together -------------------------------------------------------------------- */

static rs_status make_state(const definition *is, void **out) {
    if (is->state_size == 0) return RS_OK;
    *out = calloc(1, is->state_size);
    if (!*out) return rs_fail(RS_EMEMORY, "%s table: out of memory", is->name);
    return is->open ? is->open(*out) : RS_OK;
}

static rs_status open_source(rs_store *store, const table *of, source *out) {
    sqlite3 *const db = rs_store_handle(store);
    *out = (source){.store = store, .table = of};
    RS_TRY(make_state(of->is, &out->state));
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
    if (from->state && from->table->is->close) from->table->is->close(from->state);
    free(from->state);
}

/* Texts of the first row, to compare the others with. */
typedef struct first_row {
    char *text[RS_MAX_COLUMNS];
} first_row;

static rs_status look_at_cell(sink *to, size_t i, const cell *one, first_row *first) {
    char buffer[RS_REAL_TEXT];
    size_t const width = rs_md_width(rs_cell_text(one, false, buffer));
    if (width > to->width[i]) to->width[i] = width;
    show const show = to->table->column[i].show;
    if (show == IF_ANY && one->kind != MISSING) to->shown[i] = true;
    if (show != IF_VARIES || to->shown[i]) return RS_OK;
    const char *const text = rs_cell_text(one, true, buffer);
    if (first->text[i]) {
        to->shown[i] = strcmp(first->text[i], text) != 0;
        return RS_OK;
    }
    first->text[i] = strdup(text);
    return first->text[i] ? RS_OK : rs_fail(RS_EMEMORY, "table: out of memory");
}

static rs_status look_at_rows(source *from, sink *to, first_row *first) {
    cell row[RS_MAX_COLUMNS];
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
        to->width[i] = rs_md_width(to->table->column[i].name);
        to->shown[i] = to->table->column[i].show == ALWAYS;
    }
    source from;
    first_row first = {{NULL}};
    rs_status status = open_source(store, to->table, &from);
    if (status == RS_OK) status = look_at_rows(&from, to, &first);
    for (size_t i = 0; i < RS_MAX_COLUMNS; ++i) free(first.text[i]);
    close_source(&from);
    return status;
}

static rs_status write_from(source *from, const writer *writer, sink *to) {
    cell row[RS_MAX_COLUMNS];
    writer->begin(to);
    for (;; ++to->rows) {
        bool more;
        RS_TRY(from->table->is->next(from, row, &more));
        if (!more || ferror(to->out)) break;
        writer->row(to, row);
    }
    if (writer->end) writer->end(to);
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
    rs_status status = rs_table_make(is, &of);
    if (status == RS_OK) status = write_rows(store, &of, writer, out);
    sqlite3_free(of.sql);
    return status;
}

static rs_status visit_from(source *from, rs_row_visit *visit, void *arg) {
    cell row[RS_MAX_COLUMNS];
    for (;;) {
        bool more;
        RS_TRY(from->table->is->next(from, row, &more));
        if (!more) return RS_OK;
        RS_TRY(visit(arg, from->table, row));
    }
}

rs_status rs_table_visit(rs_store *store, const definition *is, rs_row_visit *visit, void *arg) {
    table of;
    source from = {0};
    rs_status status = rs_table_make(is, &of);
    if (status == RS_OK) status = open_source(store, &of, &from);
    if (status == RS_OK) status = visit_from(&from, visit, arg);
    if (from.table) close_source(&from);
    sqlite3_free(of.sql);
    return status;
}

static rs_status fail_unknown(const char *name) {
    const char *names[N_TABLES];
    for (size_t i = 0; i < N_TABLES; ++i) names[i] = tables[i]->name;
    return rs_fail_in(rs_fail_word(name, names, N_TABLES), "table");
}

rs_status rs_table_write(rs_store *store, const char *name, rs_table_format format, FILE *out) {
    size_t i = 0;
    while (i < N_TABLES && strcmp(tables[i]->name, name) != 0) ++i;
    if (i == N_TABLES) return fail_unknown(name);
    /* Both readings of a table must see the same rows while a sweep goes on. */
    rs_status status = rs_store_begin_read(store);
    if (status == RS_OK) status = write_table(store, tables[i], writers[format], out);
    return rs_store_end_read(store, status);
}
