/* For a terminal: what all rows share in a heading, the rest in aligned columns. */
#include "reading.h"
#include "writer.h"

#include <string.h>

enum { GAP = 2, INDENT = 2 };

/* ---- headings of columns: on two lines where cells are narrower than the name -----------------
 */

/* Characters of the name that go to the first of two lines, 0 for one line. */
static size_t first_line(const char *name, size_t cells) {
    size_t const length = strlen(name);
    size_t best = 0, width = length;
    for (size_t k = 1; k < length && width > cells; ++k) {
        size_t const longer = k > length - k ? k : length - k;
        if (name[k - 1] != '_' || longer >= width) continue;
        best = k;
        width = longer;
    }
    return best;
}

static const char *name_of(const sink *to, size_t i) { return to->table->column[i].name; }

static size_t split_of(const sink *to, size_t i) {
    return first_line(name_of(to, i), rs_cells_width(&to->look[i]));
}

static size_t column_width(const sink *to, size_t i) {
    size_t const cells = rs_cells_width(&to->look[i]), split = split_of(to, i);
    size_t const rest = strlen(name_of(to, i)) - split;
    size_t const heading = split > rest ? split : rest;
    return heading > cells ? heading : cells;
}

static size_t text_width(const sink *to, size_t i) { return column_width(to, i) + GAP; }

/* The gap behind the last column is no part of the line. */
static size_t text_room(const sink *to) { return to->line ? to->line + GAP : 0; }

/* ---- one line ---------------------------------------------------------------------------------
 */

/* Blanks are written when something follows them. */
typedef struct line {
    FILE *out;
    size_t blanks;
    bool utf8;
} line;

static void put_blanks(line *to, size_t n) { to->blanks += n; }

static void end_line(line *to) {
    fputc('\n', to->out);
    to->blanks = 0;
}

static void put_word(line *to, const char *text, size_t characters) {
    if (characters == 0) return;
    rs_put_times(to->out, ' ', to->blanks);
    to->blanks = 0;
    for (const unsigned char *c = (const unsigned char *)text; *c; ++c) {
        bool const begins = (*c & 0xC0) != 0x80;
        if (begins && characters-- == 0) break;
        if (*c < 0x80 || to->utf8)
            fputc(*c < ' ' ? ' ' : *c, to->out);
        else if (begins)
            fputc('?', to->out);
    }
}

/* Text that is longer than the column ends with dots. */
static void put_text(line *to, const char *text, size_t width) {
    size_t const length = rs_characters(text);
    const char *const dots = to->utf8 ? "\u2026" : "...";
    size_t const n_dots = length > width ? rs_characters(dots) : 0;
    put_word(to, text, n_dots ? width - n_dots : length);
    put_word(to, dots, n_dots);
    put_blanks(to, length > width ? 0 : width - length);
}

/* Numbers stand with their points below each other, to the right of the column. */
static void put_number(line *to, const char *text, const look *look, size_t width) {
    size_t const length = rs_characters(text), before = rs_before_point(text);
    size_t const cells = look->before + look->behind;
    size_t const behind = length - before;
    put_blanks(to, width - cells + look->before - before);
    put_word(to, text, length);
    put_blanks(to, look->behind - behind);
}

static void put_heading(line *to, const sink *of, size_t i, bool is_first) {
    size_t const split = split_of(of, i), width = column_width(of, i);
    const char *const name = name_of(of, i);
    const char *const part = is_first ? name : name + split;
    size_t const length = is_first ? split : strlen(part);
    bool const is_text = of->table->column[i].kind == TEXT;
    put_blanks(to, is_text ? 0 : width - length);
    put_word(to, part, length);
    put_blanks(to, GAP + (is_text ? width - length : 0));
}

/* ---- the heading of the table -----------------------------------------------------------------
 */

/* Writes words with a blank between them, in lines of a limited width. */
typedef struct paragraph {
    FILE *out;
    size_t line, at;
} paragraph;

static void put_in_paragraph(paragraph *to, const char *word) {
    size_t const length = rs_characters(word);
    bool const is_full = to->line > 0 && to->at > INDENT && to->at + 1 + length > to->line;
    if (is_full) fputc('\n', to->out);
    if (is_full || to->at == 0) {
        rs_put_times(to->out, ' ', INDENT);
        to->at = INDENT;
    } else {
        fputc(' ', to->out);
        ++to->at;
    }
    fputs(word, to->out);
    to->at += length;
}

static void end_paragraph(paragraph *to) {
    if (to->at > 0) fputc('\n', to->out);
    to->at = 0;
}

static void put_constants(const sink *to) {
    paragraph lines = {to->out, to->line, 0};
    for (size_t k = 0; k < to->constant.n; ++k) {
        size_t const i = to->constant.at[k];
        char word[256];
        snprintf(word, sizeof word, "%s %s%s", name_of(to, i), to->look[i].text,
                 k + 1 < to->constant.n ? "," : "");
        put_in_paragraph(&lines, word);
    }
    end_paragraph(&lines);
}

static void put_rule(const sink *to) {
    size_t width = 0;
    for (size_t k = 0; k < to->shown.n; ++k) width += text_width(to, to->shown.at[k]);
    for (size_t k = GAP; k < width; ++k) fputs(to->utf8 ? "\u2500" : "-", to->out);
    fputc('\n', to->out);
}

static void put_headings(const sink *to) {
    bool is_split = false;
    for (size_t k = 0; k < to->shown.n; ++k)
        is_split = is_split || split_of(to, to->shown.at[k]) > 0;
    for (int turn = is_split ? 0 : 1; turn < 2; ++turn) {
        line out = {to->out, 0, to->utf8};
        for (size_t k = 0; k < to->shown.n; ++k) put_heading(&out, to, to->shown.at[k], turn == 0);
        end_line(&out);
    }
}

static void begin_text(sink *to) {
    fprintf(to->out, "%s: %s\n", to->table->is->name, to->table->is->about);
    put_constants(to);
    fputc('\n', to->out);
    put_headings(to);
    put_rule(to);
}

/* ---- rows -------------------------------------------------------------------------------------
 */

static void row_text(sink *to, const cell *row) {
    line out = {to->out, 0, to->utf8};
    for (size_t k = 0; k < to->shown.n; ++k) {
        size_t const i = to->shown.at[k], width = column_width(to, i);
        char buffer[RS_READING_TEXT];
        const char *const text = rs_reading_text(to->table, row, i, buffer);
        if (to->table->column[i].kind == TEXT)
            put_text(&out, text, width);
        else
            put_number(&out, text, &to->look[i], width);
        put_blanks(&out, GAP);
    }
    end_line(&out);
}

/* ---- what is below ----------------------------------------------------------------------------
 */

static void put_sentence(paragraph *to, const char *text) {
    char word[64];
    for (; *text; text += strspn(text, " ")) {
        size_t const length = strcspn(text, " ");
        snprintf(word, sizeof word, "%.*s", (int)length, text);
        put_in_paragraph(to, word);
        text += length;
    }
}

static void put_left_out(const sink *to, paragraph *lines) {
    if (to->left_out.n == 0) return;
    put_sentence(lines, "No room for");
    for (size_t k = to->left_out.n; k-- > 0;) {
        char word[64];
        snprintf(word, sizeof word, "%s%s", name_of(to, to->left_out.at[k]), k ? "," : ";");
        put_in_paragraph(lines, word);
    }
    put_sentence(lines, "--wide shows all columns.");
    end_paragraph(lines);
}

static void end_text(sink *to) {
    paragraph lines = {to->out, to->line, 0};
    if (to->all_rows == 0) fputs("  no rows\n", to->out);
    fputc('\n', to->out);
    put_sentence(&lines, rs_interval_note(to));
    end_paragraph(&lines);
    put_left_out(to, &lines);
    put_sentence(&lines, "Columns explained: rhosweep help table");
    put_in_paragraph(&lines, to->table->is->name);
    end_paragraph(&lines);
}

const writer rs_text_writer = {.name = "text",
                               .for_people = true,
                               .begin = begin_text,
                               .row = row_text,
                               .end = end_text,
                               .room = text_room,
                               .width = text_width,
                               .least_use = DETAIL};
