/* For a paper: a table or, where a page does not hold it, a longtable. What all rows share is in
 * the caption. */
#include "reading.h"
#include "writer.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- text and numbers -------------------------------------------------------------------------
 */

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

/* `breaks`: lines may end behind any sign that is neither letter nor digit. */
static void put_latex_text(FILE *out, const char *text, bool breaks) {
    for (const char *c = text; *c; ++c) {
        /* two hyphens would become a dash */
        const char *const escaped = c[0] == '-' && c[1] == '-' ? "-{}" : latex_escape(*c);
        if (escaped)
            fputs(escaped, out);
        else
            fputc(*c, out);
        if (breaks && (unsigned char)*c > ' ' && (unsigned char)*c < 0x80 && !isalnum(*c))
            fputs("\\allowbreak{}", out);
    }
}

/* A name as words. */
static void put_latex_name(FILE *out, const char *name) {
    for (const char *c = name; *c; ++c) fputc(*c == '_' ? ' ' : *c, out);
}

/* A printed number in mathematics. */
static void put_latex_number(FILE *out, const char *number) {
    fputc('$', out);
    for (const char *c = number; *c; ++c) {
        if (strncmp(c, "inf", 3) == 0) {
            fputs("\\infty", out);
            c += 2;
        } else if (strncmp(c, "nan", 3) == 0) {
            fputs("\\mathrm{nan}", out);
            c += 2;
        } else if (*c == 'e') {
            fprintf(out, "\\times 10^{%ld}", strtol(c + 1, NULL, 10));
            c += strlen(c) - 1;
        } else {
            fputs(*c == ' ' ? "\\ " : (char[]){*c, '\0'}, out);
        }
    }
    fputc('$', out);
}

/* ---- columns ----------------------------------------------------------------------------------
 */

/* In points: a digit of the 10 pt font, the gap on both sides of a column, and \textwidth of the
 * class article, whose first and last gap are left out. */
enum { DIGIT = 5, COLUMN_GAP = 12, TEXT_WIDTH = 345 };

/* Digits that the widest line of a heading is wide. */
static size_t heading_width(const column *of) {
    if (!of->heading) return strlen(of->name);
    size_t width = 0, widest = 0;
    for (const char *c = of->heading; *c; ++c) {
        if (c[0] == '\\' && c[1] == '\\') {
            width = 0;
            ++c;
        } else if (*c == '\\') { /* a letter or a word */
            width += strncmp(c, "\\log", 4) == 0 ? 3 : 1;
            while (isalpha(c[1])) ++c;
        } else if (!strchr("${}^_", *c)) {
            ++width;
        }
        if (width > widest) widest = width;
    }
    return widest;
}

static size_t latex_width(const sink *to, size_t i) {
    const look *const look = &to->look[i];
    size_t const cells = look->limit ? 2 * look->limit : look->halves;
    size_t const heading = 2 * heading_width(&to->table->column[i]);
    return DIGIT * (cells > heading ? cells : heading) / 2 + COLUMN_GAP;
}

static size_t latex_room(const sink *to) {
    (void)to;
    return TEXT_WIDTH + COLUMN_GAP;
}

static void put_column_types(const sink *to) {
    fputs("{@{}", to->out);
    for (size_t k = 0; k < to->shown.n; ++k) {
        size_t const i = to->shown.at[k];
        if (to->look[i].limit)
            fprintf(to->out, "p{%zupt}", DIGIT * to->look[i].limit);
        else
            fputc(to->table->column[i].kind == TEXT ? 'l' : 'r', to->out);
    }
    fputs("@{}}\n", to->out);
}

static void put_heading(const sink *to, size_t i) {
    const column *const column = &to->table->column[i];
    bool const is_text = column->kind == TEXT;
    if (!column->heading)
        put_latex_name(to->out, column->name);
    else if (strstr(column->heading, "\\\\"))
        fprintf(to->out, "\\shortstack[%c]{%s}", is_text ? 'l' : 'r', column->heading);
    else
        fputs(column->heading, to->out);
}

static void put_headings(const sink *to) {
    fputs("\\toprule\n", to->out);
    for (size_t k = 0; k < to->shown.n; ++k) {
        if (k > 0) fputs(" & ", to->out);
        put_heading(to, to->shown.at[k]);
    }
    fputs(" \\\\\n\\midrule\n", to->out);
}

/* ---- the table --------------------------------------------------------------------------------
 */

static bool is_long(const sink *to) {
    enum { PAGE = 40 }; /* rows */
    return to->all_rows > PAGE;
}

static void put_constant(const sink *to, size_t i) {
    const column *const column = &to->table->column[i];
    bool const is_symbol = column->heading && column->heading[0] == '$';
    if (is_symbol)
        fprintf(to->out, "%s~=~", column->heading);
    else
        put_latex_name(to->out, column->name);
    if (!is_symbol) fputc('~', to->out);
    if (column->kind == TEXT)
        put_latex_text(to->out, to->look[i].text, false);
    else
        put_latex_number(to->out, to->look[i].text);
}

static void put_caption(const sink *to) {
    const char *const about = to->table->is->about;
    fprintf(to->out, "\\caption{%c", toupper(about[0]));
    put_latex_text(to->out, about + 1, false);
    for (size_t k = 0; k < to->constant.n; ++k) {
        fputs(k ? ", " : ": ", to->out);
        put_constant(to, to->constant.at[k]);
    }
    fputc('.', to->out);
    if (*rs_interval_note(to)) fputc(' ', to->out);
    put_latex_text(to->out, rs_interval_note(to), false);
    fprintf(to->out, "}\n\\label{tab:%s}", to->table->is->name);
}

static void begin_short(const sink *to) {
    fputs("\\begin{table}\n\\centering\n", to->out);
    put_caption(to);
    fputs("\n\\medskip\n\n\\begin{tabular}", to->out);
    put_column_types(to);
    put_headings(to);
}

static void begin_long(const sink *to) {
    fputs("\\begin{longtable}", to->out);
    put_column_types(to);
    put_caption(to);
    fputs(" \\\\\n", to->out);
    put_headings(to);
    fputs("\\endfirsthead\n", to->out);
    put_headings(to);
    fputs("\\endhead\n\\bottomrule\n\\endfoot\n", to->out);
}

static void put_left_out(const sink *to) {
    if (to->left_out.n == 0) return;
    fputs("% left out for want of room, see --columns:", to->out);
    for (size_t k = to->left_out.n; k-- > 0;)
        fprintf(to->out, " %s", to->table->column[to->left_out.at[k]].name);
    fputc('\n', to->out);
}

static void begin_latex(sink *to) {
    fprintf(to->out, "%% rhosweep table %s: needs \\usepackage{booktabs%s}\n", to->table->is->name,
            is_long(to) ? ",longtable" : "");
    put_left_out(to);
    if (is_long(to))
        begin_long(to);
    else
        begin_short(to);
}

/* Digits that a number has fewer behind its point than the longest are left free, so that points
 * stand below each other. */
static void put_number(const sink *to, size_t i, const char *text) {
    size_t const behind = rs_characters(text) - rs_before_point(text);
    size_t const missing = to->look[i].behind - behind;
    put_latex_number(to->out, text);
    if (missing == 0) return;
    fputs(behind ? "\\phantom{" : "\\phantom{.", to->out);
    rs_put_times(to->out, '0', behind ? missing : missing - 1);
    fputc('}', to->out);
}

static void put_cell(const sink *to, const cell *row, size_t i) {
    char buffer[RS_READING_TEXT];
    const char *const text = rs_reading_text(to->table, row, i, buffer);
    bool const breaks = to->look[i].limit > 0;
    if (row[i].kind == MISSING) return;
    if (row[i].kind != TEXT) {
        put_number(to, i, text);
        return;
    }
    if (breaks) fputs("{\\raggedright ", to->out);
    put_latex_text(to->out, text, breaks);
    if (breaks) fputs("\\par}", to->out);
}

static void row_latex(sink *to, const cell *row) {
    for (size_t k = 0; k < to->shown.n; ++k) {
        if (k > 0) fputs(" & ", to->out);
        put_cell(to, row, to->shown.at[k]);
    }
    fputs(" \\\\\n", to->out);
}

static void end_latex(sink *to) {
    if (is_long(to))
        fputs("\\end{longtable}\n", to->out);
    else
        fputs("\\bottomrule\n\\end{tabular}\n\\end{table}\n", to->out);
}

const writer rs_latex_writer = {.name = "latex",
                                .for_people = true,
                                .begin = begin_latex,
                                .row = row_latex,
                                .end = end_latex,
                                .room = latex_room,
                                .width = latex_width,
                                .least_use = BESIDE};
