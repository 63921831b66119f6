#include "plot.h"

#include "../spec/words.h"
#include "../table/terminal.h"
#include "canvas.h"
#include "rates.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 13, GUTTER = 10, LEAST_WIDTH = 40, MOST_WIDTH = 100, FEW = 2 };
enum { MOST_LINES = 8 }; /* of a plot: more are hard to distinguish */
enum { BETWEEN_TICKS = 8, MOST_TICKS = 32, TICK_TEXT = 16 };
static double const log_from = 100.0; /* ratio of the largest to the smallest radius */

const char *rs_plot_axis_name(size_t i) {
    static const char *const names[] = {
        [RS_PLOT_RHO] = "rho", [RS_PLOT_G] = "g", [RS_N_PLOT_AXIS] = NULL};
    return names[i];
}

rs_status rs_plot_parse_axis(const char *word, rs_plot_axis *out) {
    size_t which;
    RS_TRY(rs_parse_listed(word, rs_plot_axis_name, &which));
    *out = (rs_plot_axis)which;
    return RS_OK;
}

/* ---- the terminal ---------------------------------------------------------------------------- */

typedef struct look {
    size_t width;
    bool utf8, colour;
} look;

static look look_of(void) {
    size_t const width = rs_terminal_width();
    const char *const plain = getenv("NO_COLOR"), *const kind = getenv("TERM");
    bool const can_colour = rs_is_terminal() && kind && strcmp(kind, "dumb") != 0;
    return (look){.width = width < LEAST_WIDTH  ? LEAST_WIDTH
                           : width > MOST_WIDTH ? MOST_WIDTH
                                                : width,
                  .utf8 = rs_has_utf8(),
                  .colour = can_colour && !(plain && *plain)};
}

/* ---- axes ------------------------------------------------------------------------------------ */

/* From numbers to parts of the canvas. */
typedef struct axis {
    double low, high; /* their logarithms on a logarithmic axis */
    bool logarithmic;
} axis;

static double place(const axis *a, double value) {
    return ((a->logarithmic ? log10(value) : value) - a->low) / (a->high - a->low);
}

/* The least of 1, 2 and 5 times a power of ten that is not below. */
static double round_step(double least) {
    static double const steps[] = {1.0, 2.0, 5.0, 10.0};
    double const unit = pow(10.0, floor(log10(least)));
    size_t i = 0;
    while (i < 3 && steps[i] * unit < least * (1.0 - 1e-9)) ++i;
    return steps[i] * unit;
}

/* Values of at most n ticks at round numbers. */
static size_t make_ticks(const axis *a, size_t n, double tick[MOST_TICKS]) {
    double step = round_step((a->high - a->low) / (double)(n > 1 ? n - 1 : 1));
    if (a->logarithmic) step = fmax(1.0, ceil(step));
    size_t used = 0;
    double const first = ceil(a->low / step - 1e-9);
    for (; used < MOST_TICKS; ++used) {
        double const k = first + (double)used;
        if (k * step > a->high + 1e-9 * step) break;
        tick[used] = a->logarithmic ? pow(10.0, k * step) : k == 0.0 ? 0.0 : k * step;
    }
    return used;
}

static double x_of(const rs_mean_rate *point, rs_plot_axis x) {
    return x == RS_PLOT_G ? point->g : point->rho;
}

/* ---- one plot -------------------------------------------------------------------------------- */

typedef struct plot {
    look look;
    rs_plot_axis by;
    const rs_rate_line *line[MOST_LINES]; /* [n] with two points or more */
    size_t n;
    axis x, y;
    rs_canvas canvas;
    size_t printed; /* plots and lines before this one */
} plot;

static void set_x(plot *p) {
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < p->n; ++i)
        for (size_t k = 0; k < p->line[i]->n; ++k) {
            low = fmin(low, x_of(&p->line[i]->point[k], p->by));
            high = fmax(high, x_of(&p->line[i]->point[k], p->by));
        }
    if (!(low < high)) high = low + 1.0;
    p->x = (axis){low, high, low > 0.0 && high >= log_from * low};
    if (p->x.logarithmic) p->x = (axis){log10(low), log10(high), true};
}

/* From the highest rate at the top, with 0 in the middle of a row: limits are turned round. */
static void set_y(plot *p) {
    double low = 0.0, high = 0.0;
    for (size_t i = 0; i < p->n; ++i)
        for (size_t k = 0; k < p->line[i]->n; ++k) {
            low = fmin(low, p->line[i]->point[k].rate);
            high = fmax(high, p->line[i]->point[k].rate);
        }
    if (low == high) high = 1.0;
    double const row = (high - low) / (double)(ROWS - 1);
    double const above = ceil(high / row - 0.5 - 1e-9); /* rows above that of 0 */
    p->y = (axis){(above + 0.5) * row, (above + 0.5 - (double)ROWS) * row, false};
}

static void find_place(const plot *p, const rs_mean_rate *point, double at[2]) {
    at[0] = place(&p->x, x_of(point, p->by));
    at[1] = place(&p->y, point->rate);
}

static char letter_of(size_t i) { return (char)('a' + (int)i); }

/* Letters of several curves stand at different points, so that they are seen where curves meet. */
static void draw_line(plot *p, size_t i) {
    const rs_rate_line *const line = p->line[i];
    double from[2], to[2];
    for (size_t k = 1; k < line->n; ++k) {
        find_place(p, &line->point[k - 1], from);
        find_place(p, &line->point[k], to);
        rs_canvas_line(&p->canvas, from, to);
    }
    for (size_t k = i; p->n > 1 && k < line->n; k += p->n) {
        find_place(p, &line->point[k], to);
        rs_canvas_letter(&p->canvas, to, letter_of(i));
    }
}

static const rs_shown *turn_of(const plot *p, size_t i) {
    return p->by == RS_PLOT_G ? &p->line[i]->g : &p->line[i]->rho;
}

static void draw(plot *p) {
    double const zero = place(&p->y, 0.0);
    rs_canvas_across(&p->canvas, zero);
    for (size_t i = 0; i < p->n; ++i) {
        double const at[2] = {place(&p->x, turn_of(p, i)->value), zero};
        draw_line(p, i);
        if (!isfinite(at[0])) continue;
        rs_canvas_cross(&p->canvas, at);
        if (p->n == 1) rs_canvas_upright(&p->canvas, at[0]);
    }
}

/* ---- around it ------------------------------------------------------------------------------- */

/* The tick in that row, as text; or "". */
static const char *row_label(const plot *p, size_t row, const double *tick, size_t n,
                             char text[TICK_TEXT]) {
    text[0] = '\0';
    for (size_t i = 0; i < n; ++i)
        if (rs_canvas_row(&p->canvas, place(&p->y, tick[i])) == row)
            snprintf(text, TICK_TEXT, "%.8g", tick[i]);
    return text;
}

/* Vanishing gradients are blue and exploding ones vermilion, as in the figures. */
static const char *row_colour(const plot *p, size_t row, size_t zero) {
    if (!p->look.colour || row == zero) return "";
    return row < zero ? "\033[38;5;32m" : "\033[38;5;166m";
}

static void print_rows(const plot *p, FILE *out) {
    double tick[MOST_TICKS];
    axis const upright = {p->y.high, p->y.low, false};
    size_t const n = make_ticks(&upright, 7, tick);
    size_t const zero = rs_canvas_row(&p->canvas, place(&p->y, 0.0));
    for (size_t row = 0; row < ROWS; ++row) {
        char text[TICK_TEXT];
        row_label(p, row, tick, n, text);
        const char *const colour = row_colour(p, row, zero);
        fprintf(out, "%*s %s", GUTTER - 2, text,
                p->look.utf8 ? (*text ? "┤" : "│") : (*text ? "+" : "|"));
        rs_canvas_print_row(&p->canvas, row, colour, *colour ? "\033[0m" : "", out);
        fputc('\n', out);
    }
}

/* Writes text over a line of blanks, centred at a column and within the line. */
static void put_text(char *line, size_t size, size_t column, const char *text) {
    size_t const length = strlen(text), half = length / 2;
    size_t at = column > half ? column - half : 0;
    if (at + length > size) at = size - length;
    for (size_t i = 0; i < length; ++i) line[at + i] = text[i];
}

static void print_x(const plot *p, FILE *out) {
    double tick[MOST_TICKS];
    char labels[MOST_WIDTH + 1], text[TICK_TEXT];
    bool has_tick[MOST_WIDTH] = {false};
    size_t const columns = p->canvas.columns;
    size_t const n = make_ticks(&p->x, columns / BETWEEN_TICKS, tick);
    memset(labels, ' ', sizeof labels);
    for (size_t i = 0; i < n; ++i) {
        size_t const column = rs_canvas_column(&p->canvas, place(&p->x, tick[i]));
        snprintf(text, sizeof text, "%.8g", tick[i]);
        put_text(labels, columns + 1, column + 1, text);
        has_tick[column] = true;
    }
    fprintf(out, "%*s%s", GUTTER - 1, "", p->look.utf8 ? "└" : "+");
    for (size_t i = 0; i < columns; ++i)
        fputs(p->look.utf8 ? (has_tick[i] ? "┬" : "─") : (has_tick[i] ? "+" : "-"), out);
    fprintf(out, "\n%*s%.*s  %s\n", GUTTER - 1, "", (int)columns + 1, labels,
            rs_plot_axis_name(p->by));
}

static const char *without_turn(const rs_rate_line *line) {
    size_t above = 0, below = 0;
    for (size_t k = 0; k < line->n; ++k) {
        above += line->point[k].rate > 0.0;
        below += line->point[k].rate < 0.0;
    }
    if (above == line->n) return "the rate is above 0 at every radius";
    if (below == line->n) return "the rate is below 0 at every radius";
    return "the rate does not fall through 0";
}

static void print_turn(const plot *p, size_t i, FILE *out) {
    const rs_rate_line *const line = p->line[i];
    const rs_shown *const turn = turn_of(p, i);
    if (isnan(turn->value))
        fputs(without_turn(line), out);
    else
        fprintf(out, "%s* = %s", rs_plot_axis_name(p->by), turn->text);
    if (p->by == RS_PLOT_G && isfinite(line->g_predicted.value))
        fprintf(out, ", theory %s", line->g_predicted.text);
}

static void print_size(const rs_rate_line *line, FILE *out) {
    fprintf(out, "H = %" PRId64 ", T = %" PRId64, line->hidden, line->steps);
}

static void print_legend(const plot *p, FILE *out) {
    for (size_t i = 0; i < p->n; ++i) {
        fprintf(out, "%*s", GUTTER, "");
        if (p->n > 1) {
            fprintf(out, "%c  ", letter_of(i));
            print_size(p->line[i], out);
            fputs(":  ", out);
        }
        print_turn(p, i, out);
        fputc('\n', out);
    }
}

static rs_status print_plot(plot *p, FILE *out) {
    set_x(p);
    set_y(p);
    RS_TRY(rs_canvas_make(p->look.width - GUTTER - 5, ROWS, p->look.utf8, &p->canvas));
    draw(p);
    print_rows(p, out);
    print_x(p, out);
    print_legend(p, out);
    rs_canvas_free(&p->canvas);
    return RS_OK;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static void print_title(const rs_rates *rates, size_t kind, const rs_rate_line *only, FILE *out) {
    rs_rates_print_kind(rates, kind, out);
    if (only) {
        fputs(", ", out);
        print_size(only, out);
    }
}

/* Networks with one radius. */
static void print_point(const rs_rates *rates, size_t kind, const rs_rate_line *line, FILE *out) {
    const rs_mean_rate *const at = line->point;
    print_title(rates, kind, line, out);
    fprintf(out, ", rho = %.4g, g = %.4g: decay rate %s nats per step\n", at->rho, at->g,
            line->first_rate.text);
}

/* The next lines of a kind that make a plot, from *next on. */
static void take_lines(plot *p, const rs_rate_kind *kind, size_t *next) {
    for (p->n = 0; *next < kind->n && p->n < MOST_LINES; ++*next)
        if (kind->line[*next].n > 1) p->line[p->n++] = &kind->line[*next];
}

static rs_status print_kind(const rs_rates *rates, size_t at, plot *p, FILE *out) {
    const rs_rate_kind *const kind = &rates->kind[at];
    for (size_t i = 0; i < kind->n; ++i)
        if (kind->line[i].n == 1) {
            print_point(rates, at, &kind->line[i], out);
            ++p->printed;
        }
    for (size_t next = 0; next < kind->n;) {
        take_lines(p, kind, &next);
        if (p->n == 0) break;
        if (p->printed++ > 0) fputc('\n', out);
        print_title(rates, at, p->n == 1 ? p->line[0] : NULL, out);
        fputs(": decay rate, nats per step\n", out);
        RS_TRY(print_plot(p, out));
    }
    return RS_OK;
}

static bool has_rates(const rs_rate_kind *kind) {
    for (size_t i = 0; i < kind->n; ++i)
        if (kind->line[i].n > 0) return true;
    return false;
}

static size_t count_kinds(const rs_rates *rates) {
    size_t n = 0;
    for (size_t i = 0; i < rates->n; ++i) n += has_rates(&rates->kind[i]);
    return n;
}

static rs_status print_kinds(const rs_rates *rates, rs_plot_axis x, FILE *out) {
    plot p = {.look = look_of(), .by = x};
    for (size_t i = 0; i < rates->n; ++i) RS_TRY(print_kind(rates, i, &p, out));
    return RS_OK;
}

static rs_status read_rates(const char *path, rs_rates *out) {
    rs_store *store;
    *out = (rs_rates){0};
    RS_TRY(rs_store_open_readonly(path, &store));
    rs_status const status = rs_rates_read(store, out);
    rs_store_close(store);
    return status;
}

rs_status rs_plot(const char *path, rs_plot_axis x, FILE *out) {
    rs_rates rates;
    rs_status status = read_rates(path, &rates);
    if (status == RS_OK && count_kinds(&rates) == 0)
        status = rs_fail(RS_EINPUT, "plot: %s: has no decay rates", path);
    if (status == RS_OK) status = print_kinds(&rates, x, out);
    rs_rates_free(&rates);
    return status;
}

rs_status rs_plot_few(const char *path, FILE *out) {
    rs_rates rates;
    rs_status status = read_rates(path, &rates);
    bool const few = status == RS_OK && count_kinds(&rates) > 0 && rates.n <= FEW;
    if (few) status = print_kinds(&rates, RS_PLOT_RHO, out);
    rs_rates_free(&rates);
    return status;
}
