#include "table.h"

#include "../spec/words.h"
#include "layout.h"
#include "writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const definition *const tables[] = {
    &rs_decay_table,
    &rs_critical_table,
    &rs_seeds_table,
    &rs_profile_table,
    &rs_clip_table,
    &rs_lyapunov_table,
    &rs_lyapunov_summary_table,
    &rs_singular_table,
    &rs_condition_table,
    &rs_throughput_table,
    &rs_runs_table,
    &rs_failures_table,
};
enum { N_TABLES = sizeof tables / sizeof *tables };

static const writer *const writers[RS_N_TABLE_FORMAT] = {
    [RS_TEXT] = &rs_text_writer,   [RS_MD] = &rs_md_writer,     [RS_CSV] = &rs_csv_writer,
    [RS_LATEX] = &rs_latex_writer, [RS_JSON] = &rs_json_writer,
};

rs_status rs_table_parse_format(const char *word, rs_table_format *out) {
    size_t at;
    RS_TRY(rs_parse_listed(word, rs_table_format_name, &at));
    *out = (rs_table_format)at;
    return RS_OK;
}

const char *rs_table_format_name(size_t i) {
    return i < RS_N_TABLE_FORMAT ? writers[i]->name : NULL;
}

const char *rs_table_name(size_t i) { return i < N_TABLES ? tables[i]->name : NULL; }

void rs_table_list(FILE *out) {
    for (size_t i = 0; i < N_TABLES; ++i)
        fprintf(out, "  %-16s   %s\n", tables[i]->name, tables[i]->about);
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

static rs_status look_at_rows(source *from, sink *to) {
    cell row[RS_MAX_COLUMNS];
    for (;;) {
        bool more;
        RS_TRY(from->table->is->next(from, row, &more));
        if (!more) return RS_OK;
        RS_TRY(rs_layout_look(to, row));
    }
}

/* Reads all rows, to learn what they look like. */
static rs_status read_once(rs_store *store, sink *to) {
    source from;
    rs_status status = open_source(store, to->table, &from);
    if (status == RS_OK) status = look_at_rows(&from, to);
    close_source(&from);
    return status;
}

static rs_status lay_out(rs_store *store, const rs_table_request *asked, const writer *writer,
                         sink *to) {
    if (asked->columns) RS_TRY(rs_layout_list(to, asked->columns));
    if (writer->for_people) RS_TRY(read_once(store, to));
    if (asked->columns) return RS_OK;
    if (asked->wide || !writer->for_people)
        rs_layout_all(to);
    else
        rs_layout_choose(to, writer);
    return RS_OK;
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

static rs_status write_rows(rs_store *store, const writer *writer, sink *to) {
    source from;
    rs_status status = open_source(store, to->table, &from);
    if (status == RS_OK) status = write_from(&from, writer, to);
    close_source(&from);
    return status;
}

static rs_status write_table(rs_store *store, const table *of, const rs_table_request *asked,
                             FILE *out) {
    const writer *const writer = writers[asked->format];
    sink to = {.out = out, .table = of, .line = asked->line, .utf8 = asked->utf8};
    rs_status status = lay_out(store, asked, writer, &to);
    if (status == RS_OK) status = write_rows(store, writer, &to);
    rs_layout_free(&to);
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

/* ---- tables by name ---------------------------------------------------------------------------
 */

/* The caller frees out->sql with sqlite3_free() in any case. */
static rs_status make(const char *name, table *out) {
    size_t at;
    *out = (table){0};
    RS_TRY(rs_fail_in(rs_parse_listed(name, rs_table_name, &at), "table"));
    return rs_table_make(tables[at], out);
}

/* Both readings of a table must see the same rows while a sweep goes on. */
static rs_status write_at_once(rs_store *store, const table *of, const rs_table_request *asked,
                               FILE *out) {
    rs_status status = rs_store_begin_read(store);
    if (status == RS_OK) status = write_table(store, of, asked, out);
    return rs_store_end_read(store, status);
}

rs_status rs_table_write(rs_store *store, const rs_table_request *asked, FILE *out) {
    table of;
    rs_status status = make(asked->name, &of);
    if (status == RS_OK) status = write_at_once(store, &of, asked, out);
    sqlite3_free(of.sql);
    return status;
}

/* ---- help -------------------------------------------------------------------------------------
 */

/* Writes text from character `indent` on, in lines of so many characters. */
static void put_indented(FILE *out, const char *text, size_t indent, size_t line) {
    size_t at = indent;
    while (*text) {
        size_t const length = strcspn(text, " ");
        bool const is_full = at > indent && at + 1 + length > line;
        if (is_full) {
            fputc('\n', out);
            rs_put_times(out, ' ', indent);
            at = indent;
        }
        fprintf(out, "%s%.*s", at > indent ? " " : "", (int)length, text);
        at += length + (at > indent);
        text += length;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

rs_status rs_table_explain(const char *name, size_t line, FILE *out) {
    enum { INDENT = 26 };
    table of;
    rs_status const status = make(name, &of);
    sqlite3_free(of.sql);
    RS_TRY(status);
    fprintf(out, "%s: %s\n\n", of.is->name, of.is->about);
    for (size_t i = 0; i < of.n; ++i) {
        fprintf(out, "  %-*s", INDENT - 2, of.column[i].name);
        put_indented(out, of.column[i].about, INDENT, line);
    }
    return RS_OK;
}

rs_status rs_table_describe(const char *name, FILE *out) {
    table of;
    rs_status const status = make(name, &of);
    sqlite3_free(of.sql);
    RS_TRY(status);
    fputs("| column | meaning |\n|:--|:--|\n", out);
    for (size_t i = 0; i < of.n; ++i) {
        fprintf(out, "| `%s` | ", of.column[i].name);
        rs_md_put(out, of.column[i].about);
        fputs(" |\n", out);
    }
    return RS_OK;
}
