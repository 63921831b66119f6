#include "writer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

static void put_latex_text(FILE *out, const char *text) {
    for (const char *c = text; *c; ++c) {
        /* two hyphens would become a dash */
        const char *const escaped = c[0] == '-' && c[1] == '-' ? "-{}" : latex_escape(*c);
        if (escaped)
            fputs(escaped, out);
        else
            fputc(*c, out);
    }
}

/* The digits that an interval leaves meaning to: down to the second of its own. */
static bool print_rounded(double real, double interval, char buffer[RS_REAL_TEXT]) {
    enum { MOST = 9 };
    if (!(interval > 0.0) || !(fabs(real) < 1e6) || !(interval < 1e6)) return false;
    int const decimals = 1 - (int)floor(log10(interval));
    if (decimals > MOST) return false;
    snprintf(buffer, RS_REAL_TEXT, "%.*f", decimals > 0 ? decimals : 0, real);
    if (strtod(buffer, NULL) == 0.0) memmove(buffer, buffer + (buffer[0] == '-'), strlen(buffer));
    return true;
}

/* A printed number as siunitx reads it. */
static void put_latex_number(FILE *out, const char *number) {
    const char *const power = strchr(number, 'e');
    if (strstr(number, "inf"))
        fprintf(out, "{$%s\\infty$}", number[0] == '-' ? "-" : "");
    else if (strcmp(number, "nan") == 0)
        fputs("{nan}", out);
    else if (power)
        fprintf(out, "%.*se%ld", (int)(power - number), number, strtol(power + 1, NULL, 10));
    else
        fputs(number, out);
}

static void put_latex_cell(sink *to, const cell *row, size_t i) {
    char buffer[RS_REAL_TEXT];
    bool const rounds = to->table->is->interval && row[i].kind == REAL;
    if (row[i].kind == MISSING) return;
    if (row[i].kind == TEXT)
        put_latex_text(to->out, row[i].text);
    else if (rounds &&
             print_rounded(row[i].real, to->table->is->interval(to->table, row, i), buffer))
        fputs(buffer, to->out);
    else
        put_latex_number(to->out, rs_cell_text(&row[i], false, buffer));
}

static void end_latex_cell(sink *to, bool *first) {
    if (!*first) fputs(" & ", to->out);
    *first = false;
}

static void begin_latex(sink *to) {
    fputs("% needs \\usepackage{booktabs,siunitx}\n\\begin{tabular}{", to->out);
    for (size_t i = 0; i < to->table->n; ++i)
        if (to->shown[i]) fputc(to->table->column[i].kind == TEXT ? 'l' : 'S', to->out);
    fputs("}\n\\toprule\n", to->out);
    bool first = true;
    for (size_t i = 0; i < to->table->n; ++i) {
        if (!to->shown[i]) continue;
        end_latex_cell(to, &first);
        fputc('{', to->out); /* no number */
        put_latex_text(to->out, to->table->column[i].name);
        fputc('}', to->out);
    }
    fputs(" \\\\\n\\midrule\n", to->out);
}

static void row_latex(sink *to, const cell *row) {
    bool first = true;
    for (size_t i = 0; i < to->table->n; ++i) {
        if (!to->shown[i]) continue;
        end_latex_cell(to, &first);
        put_latex_cell(to, row, i);
    }
    fputs(" \\\\\n", to->out);
}

static void end_latex(sink *to) { fputs("\\bottomrule\n\\end{tabular}\n", to->out); }

const writer rs_latex_writer = {"latex", true, begin_latex, row_latex, end_latex};
