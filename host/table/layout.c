#include "layout.h"

#include "reading.h"

#include <stdlib.h>
#include <string.h>

/* ---- looking at rows --------------------------------------------------------------------------
 */

static void widen(size_t *width, size_t to) {
    if (to > *width) *width = to;
}

/* Points, commas, brackets and blanks are half a digit wide, a minus is one and a half. */
static size_t half_digits(const char *text) {
    size_t halves = 0;
    for (; *text; ++text)
        if (((unsigned char)*text & 0xC0) != 0x80)
            halves += strchr(".,[] ", *text) ? 1 : *text == '-' ? 3 : 2;
    return halves;
}

static rs_status look_at_text(look *look, const char *text, bool first) {
    if (!first) {
        look->varies = look->varies || strcmp(look->text, text) != 0;
        return RS_OK;
    }
    look->text = strdup(text);
    return look->text ? RS_OK : rs_fail(RS_EMEMORY, "table: out of memory");
}

static void look_at_interval(const table *of, const cell *row, size_t i, look *look) {
    if (!of->is->interval || row[i].kind != REAL) return;
    interval_kind const kind = of->is->interval(of, row, i).kind;
    if (kind == HALF_WIDTH || kind == BOTH_ENDS) look->interval = kind;
}

static rs_status look_at_cell(sink *to, const cell *row, size_t i) {
    char buffer[RS_READING_TEXT];
    look *const look = &to->look[i];
    const char *const text = rs_reading_text(to->table, row, i, buffer);
    bool const is_text = to->table->column[i].kind == TEXT;
    size_t const all = is_text ? rs_md_width(text) : rs_characters(text);
    size_t const before = is_text ? all : rs_before_point(text);
    look->any = look->any || row[i].kind != MISSING;
    widen(&look->halves, half_digits(text));
    widen(&look->before, before);
    widen(&look->behind, all - before);
    look_at_interval(to->table, row, i, look);
    return look_at_text(look, text, to->all_rows == 0);
}

rs_status rs_layout_look(sink *to, const cell *row) {
    for (size_t i = 0; i < to->table->n; ++i) RS_TRY(look_at_cell(to, row, i));
    ++to->all_rows;
    return RS_OK;
}

void rs_layout_free(sink *to) {
    for (size_t i = 0; i < RS_MAX_COLUMNS; ++i) free(to->look[i].text);
}

/* ---- choosing columns -------------------------------------------------------------------------
 */

static void add(selection *to, size_t i) { to->at[to->n++] = i; }

static void take_out(selection *from, size_t k) {
    --from->n;
    for (; k < from->n; ++k) from->at[k] = from->at[k + 1];
}

static bool is_worth_showing(const sink *to, size_t i) {
    switch (to->table->column[i].show) {
    case ALWAYS: return true;
    case IF_VARIES: return to->look[i].varies;
    case IF_ANY: return to->look[i].any;
    case MERGED:
    case NEVER: break;
    }
    return false;
}

/* In one row nothing varies: its results are no constants of the table. */
static bool is_constant(const sink *to, size_t i) {
    const column *const column = &to->table->column[i];
    bool const is_hidden = column->show == MERGED || column->show == NEVER;
    bool const names = column->use == NAMES;
    return !is_hidden && to->look[i].any && !to->look[i].varies && (names || to->all_rows > 1);
}

/* The columns of cases lead, as rows are in their order, then what else tells rows apart. */
static int rank_of(const table *of, size_t i) {
    enum { CASE, NAME, VALUE };
    bool const is_own = i >= of->own && i < of->own + of->is->n_own;
    if (of->column[i].use != NAMES) return VALUE;
    return is_own && !of->is->own_leads ? NAME : CASE;
}

static void choose_column(sink *to, size_t i, use least) {
    if (is_constant(to, i))
        add(&to->constant, i);
    else if (to->table->column[i].use <= least && is_worth_showing(to, i))
        add(&to->shown, i);
}

static void choose_with_heading(sink *to, use least) {
    for (int rank = 0; rank < 3; ++rank)
        for (size_t i = 0; i < to->table->n; ++i)
            if (rank_of(to->table, i) == rank) choose_column(to, i, least);
}

static size_t total_width(const sink *to, const writer *writer) {
    size_t total = 0;
    for (size_t k = 0; k < to->shown.n; ++k) total += writer->width(to, to->shown.at[k]);
    return total;
}

/* A table keeps its first result, and the columns that always tell its rows apart. */
static bool may_go(const sink *to, size_t k) {
    const column *const column = to->table->column;
    const size_t *const at = to->shown.at;
    if (column[at[k]].use == NAMES) return column[at[k]].show != ALWAYS;
    if (column[at[k]].use != RESULT) return true;
    while (k-- > 0)
        if (column[at[k]].use == RESULT) return true;
    return false;
}

/* Whether they are X_min and X_max: a range, of which one end alone says little. */
static bool is_range(const column *low, const column *high) {
    size_t const length = strlen(high->name);
    return length > 4 && strcmp(high->name + length - 4, "_max") == 0 &&
           strncmp(low->name, high->name, length - 4) == 0 &&
           strcmp(low->name + length - 4, "_min") == 0;
}

static void leave_out(sink *to, size_t k) {
    add(&to->left_out, to->shown.at[k]);
    take_out(&to->shown, k);
}

/* Leaves out the last column of that use, of a range both ends; false where there is none. */
static bool leave_out_last(sink *to, use use) {
    const column *const column = to->table->column;
    const size_t *const at = to->shown.at;
    for (size_t k = to->shown.n; k-- > 0;) {
        if (column[at[k]].use != use || !may_go(to, k)) continue;
        bool const has_low = k > 0 && is_range(&column[at[k - 1]], &column[at[k]]);
        leave_out(to, k);
        if (has_low) leave_out(to, k - 1);
        return true;
    }
    return false;
}

/* Cuts a character off the longest text; false where none is long. */
static bool cut_longest(sink *to) {
    enum { SHORTEST = 20 };
    look *longest = NULL;
    for (size_t k = 0; k < to->shown.n; ++k) {
        look *const look = &to->look[to->shown.at[k]];
        bool const is_text = to->table->column[to->shown.at[k]].kind == TEXT;
        if (is_text && (!longest || rs_cells_width(look) > rs_cells_width(longest))) longest = look;
    }
    if (!longest || rs_cells_width(longest) <= SHORTEST) return false;
    longest->limit = rs_cells_width(longest) - 1;
    return true;
}

static void fit(sink *to, const writer *writer) {
    size_t const room = writer->room(to);
    while (room > 0 && total_width(to, writer) > room) {
        bool const is_less = leave_out_last(to, DETAIL) || leave_out_last(to, BESIDE) ||
                             cut_longest(to) || leave_out_last(to, RESULT) ||
                             leave_out_last(to, NAMES);
        if (!is_less) break;
    }
}

void rs_layout_choose(sink *to, const writer *writer) {
    if (writer->room) {
        choose_with_heading(to, writer->least_use);
        fit(to, writer);
        return;
    }
    for (size_t i = 0; i < to->table->n; ++i)
        if (is_worth_showing(to, i)) add(&to->shown, i);
}

void rs_layout_all(sink *to) {
    for (size_t i = 0; i < to->table->n; ++i) add(&to->shown, i);
}

/* ---- columns by name --------------------------------------------------------------------------
 */

static rs_status fail_unknown(const table *of, const char *name) {
    const char *names[RS_MAX_COLUMNS];
    for (size_t i = 0; i < of->n; ++i) names[i] = of->column[i].name;
    const char *const nearest = *name ? rs_nearest_word(name, names, of->n) : NULL;
    return rs_fail(RS_EINPUT,
                   "columns: \"%.60s\" is not a column of %s; %s%s%ssee rhosweep help table %s",
                   name, of->is->name, nearest ? "did you mean " : "", nearest ? nearest : "",
                   nearest ? "? " : "", of->is->name);
}

static rs_status add_named(sink *to, const char *name) {
    size_t i = 0;
    while (i < to->table->n && strcmp(to->table->column[i].name, name) != 0) ++i;
    if (i == to->table->n) return fail_unknown(to->table, name);
    for (size_t k = 0; k < to->shown.n; ++k)
        if (to->shown.at[k] == i) return rs_fail(RS_EINPUT, "columns: %s is named twice", name);
    add(&to->shown, i);
    return RS_OK;
}

static rs_status add_list(sink *to, char *list) {
    for (char *name; (name = strsep(&list, ","));) RS_TRY(add_named(to, rs_trim(name)));
    return RS_OK;
}

rs_status rs_layout_list(sink *to, const char *list) {
    char *copy;
    RS_TRY(rs_duplicate(list, &copy));
    rs_status const status = add_list(to, copy);
    free(copy);
    return status;
}
