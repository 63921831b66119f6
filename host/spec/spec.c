#include "spec.h"

#include "../../kernels/base/sizes.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <ini.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Beyond these a number is a slip of the pen. They also keep every product of sizes in 64 bits. */
enum {
    MAX_VALUES = 100000,
    MAX_HIDDEN = 65536,
    MAX_STEPS = 10000000,
    MAX_BATCH = 1000000,
    MAX_INPUT_SIZE = 65536,
    MAX_THREADS = 4096,
    MAX_FILE = 1 << 24
};
static const uint64_t max_cases = 10000000;           /* of a sweep */
static const uint64_t max_profile = 1000000000;       /* radii x steps of a case */
static const uint64_t max_memory = UINT64_C(1) << 60; /* bytes */
static_assert(sizeof(size_t) == sizeof(uint64_t), "sizes are taken to have 64 bits");

enum { DEFAULT_HIDDEN = 64, TEXT = 32 };

/* ------------------------------------------------------------------ words and numbers */

static const char *const ensemble_names[RS_N_ENSEMBLE] = {
    [RS_GAUSSIAN] = "gaussian", [RS_UNIFORM] = "uniform",     [RS_ORTHOGONAL] = "orthogonal",
    [RS_IDENTITY] = "identity", [RS_SYMMETRIC] = "symmetric", [RS_MODEL] = "model"};
static const char *const loss_names[RS_N_LOSS] = {
    [RS_LAST_MEAN] = "last-mean", [RS_ALL_MEAN] = "all-mean", [RS_RANDOM] = "random"};
static const char *const engine_names[] = {"auto", "cpu", "cuda", "reference"};
enum { N_ENGINE_NAMES = sizeof engine_names / sizeof *engine_names };

const char *rs_ensemble_name(rs_ensemble ensemble) { return ensemble_names[ensemble]; }
const char *rs_loss_name(rs_loss loss) { return loss_names[loss]; }

/* Cuts blanks off both ends, in place. */
static char *trim(char *text) {
    while (isspace((unsigned char)*text)) ++text;
    size_t length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1])) --length;
    text[length] = '\0';
    return text;
}

static rs_status duplicate(const char *text, char **out) {
    *out = strdup(text);
    return *out ? RS_OK : rs_fail(RS_EMEMORY, "out of memory");
}

static rs_status fail_word(const char *word, const char *const *names, size_t n) {
    char known[160] = "";
    for (size_t i = 0; i < n; ++i) {
        size_t const used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", names[i]);
    }
    return rs_fail(RS_EINPUT, "\"%.60s\" is not one of %s", word, known);
}

static rs_status parse_word(const char *word, const char *const *names, size_t n, size_t *out) {
    for (size_t i = 0; i < n; ++i)
        if (strcmp(word, names[i]) == 0) {
            *out = i;
            return RS_OK;
        }
    return fail_word(word, names, n);
}

/* Decimal digits only: no sign, no exponent, no blanks. */
static rs_status parse_whole(const char *text, uint64_t least, uint64_t most, uint64_t *out) {
    if (*text == '\0' || text[strspn(text, "0123456789")] != '\0')
        return rs_fail(RS_EINPUT, "\"%.60s\" is not a whole number of at least %" PRIu64, text,
                       least);
    errno = 0;
    unsigned long long const value = strtoull(text, NULL, 10);
    if (errno != 0 || value < least || value > most)
        return rs_fail(RS_EINPUT, "%.60s is out of range; take %" PRIu64 " to %" PRIu64, text,
                       least, most);
    *out = value;
    return RS_OK;
}

/* A finite decimal number; "nan", "inf" and hexadecimal are not. */
static rs_status parse_real(const char *text, double *out) {
    char *end = NULL;
    double const value = strtod(text, &end);
    if (*text == '\0' || text[strspn(text, "0123456789.eE+-")] != '\0' || *end != '\0')
        return rs_fail(RS_EINPUT, "\"%.60s\" is not a number", text);
    if (!isfinite(value)) return rs_fail(RS_EINPUT, "%.60s is too large", text);
    *out = value;
    return RS_OK;
}

static rs_status parse_positive(const char *text, double *out) {
    double value = 0.0;
    RS_TRY(parse_real(text, &value));
    if (!(value > 0.0)) return rs_fail(RS_EINPUT, "%.60s is not above 0", text);
    *out = value;
    return RS_OK;
}

/* The shortest decimal that reads back as the same double. */
static const char *real_text(double value, char buffer[TEXT]) {
    for (int digits = 15; digits <= 17; ++digits) {
        snprintf(buffer, TEXT, "%.*g", digits, value);
        if (strtod(buffer, NULL) == value) break;
    }
    return buffer;
}

/* ------------------------------------------------------------------ lists */

typedef union number {
    double real;
    uint64_t whole;
} number;

typedef struct list {
    number *at;
    size_t n, capacity;
} list;

/* How the entries of a list are read; the ends of a range are within the limits as well. */
typedef struct list_kind {
    rs_status (*expand)(const struct list_kind *kind, char *const part[], size_t parts, list *out);
    int (*compare)(const void *a, const void *b);
    uint64_t least, most; /* of whole numbers */
} list_kind;

static rs_status append(list *out, number value) {
    if (out->n == MAX_VALUES) return rs_fail(RS_EINPUT, "more than %d values", MAX_VALUES);
    if (out->n == out->capacity) {
        size_t const capacity = out->capacity ? 2 * out->capacity : 16;
        number *const at = realloc(out->at, capacity * sizeof *at);
        if (!at) return rs_fail(RS_EMEMORY, "out of memory");
        out->at = at;
        out->capacity = capacity;
    }
    out->at[out->n++] = value;
    return RS_OK;
}

static rs_status fail_direction(const char *start, const char *stop, bool has_step) {
    return rs_fail(RS_EINPUT, "the range from %.40s never reaches %.40s; %s", start, stop,
                   has_step ? "turn the sign of its step" : "write start:stop:step, step below 0");
}

/* start + i step, freed from the dust of binary fractions: the third of 0.1:0.5:0.1 is 0.3 and
 * not 0.30000000000000004. A step too fine for 12 digits leaves the value as computed. */
static double range_value(double start, double stop, double step, size_t i) {
    if (i == 0) return start;
    double const computed = start + (double)i * step;
    char text[TEXT];
    snprintf(text, sizeof text, "%.12g", computed);
    double const rounded = strtod(text, NULL);
    double const value = fabs(rounded - computed) < 1e-3 * fabs(step) ? rounded : computed;
    return step > 0.0 ? fmin(value, stop) : fmax(value, stop);
}

/* How far the number of steps may be off, because decimals such as 0.1 are rounded to doubles. */
static double range_dust(double start, double stop, double step) {
    return fmin(0.5, 4.0 * DBL_EPSILON * fmax(start, stop) / fabs(step));
}

static rs_status expand_real(const list_kind *kind, char *const part[], size_t parts, list *out) {
    (void)kind;
    double start = 0.0, stop = 0.0, step = 1.0;
    RS_TRY(parse_positive(part[0], &start));
    if (parts == 1) return append(out, (number){.real = start});
    RS_TRY(parse_positive(part[1], &stop));
    if (parts == 3) RS_TRY(parse_real(part[2], &step));
    if (parts == 2 && (floor(start) != start || floor(stop) != stop))
        return rs_fail(RS_EINPUT, "a range of fractions needs a step; write %.40s:%.40s:STEP",
                       part[0], part[1]);
    if (step == 0.0) return rs_fail(RS_EINPUT, "the step of a range is 0");
    double const last = (stop - start) / step;
    if (last < 0.0) return fail_direction(part[0], part[1], parts == 3);
    if (!(last < MAX_VALUES)) return rs_fail(RS_EINPUT, "more than %d values", MAX_VALUES);
    size_t const n = (size_t)(last + range_dust(start, stop, step)) + 1;
    for (size_t i = 0; i < n; ++i)
        RS_TRY(append(out, (number){.real = range_value(start, stop, step, i)}));
    return RS_OK;
}

static rs_status expand_whole(const list_kind *kind, char *const part[], size_t parts, list *out) {
    uint64_t start = 0, stop = 0, step = 1;
    RS_TRY(parse_whole(part[0], kind->least, kind->most, &start));
    if (parts == 1) return append(out, (number){.whole = start});
    RS_TRY(parse_whole(part[1], kind->least, kind->most, &stop));
    bool const down = parts == 3 && part[2][0] == '-';
    if (parts == 3) RS_TRY(parse_whole(part[2] + down, 0, INT64_MAX, &step));
    if (step == 0) return rs_fail(RS_EINPUT, "the step of a range is 0");
    if (down ? stop > start : stop < start) return fail_direction(part[0], part[1], parts == 3);
    uint64_t const last = (down ? start - stop : stop - start) / step;
    if (last >= MAX_VALUES) return rs_fail(RS_EINPUT, "more than %d values", MAX_VALUES);
    for (uint64_t i = 0; i <= last; ++i)
        RS_TRY(append(out, (number){.whole = down ? start - i * step : start + i * step}));
    return RS_OK;
}

static int compare_real(const void *a, const void *b) {
    double const x = ((const number *)a)->real, y = ((const number *)b)->real;
    return (x > y) - (x < y);
}

static int compare_whole(const void *a, const void *b) {
    uint64_t const x = ((const number *)a)->whole, y = ((const number *)b)->whole;
    return (x > y) - (x < y);
}

/* One entry: a number, start:stop or start:stop:step. */
static rs_status parse_entry(const list_kind *kind, char *entry, list *out) {
    char *part[3];
    size_t parts = 0;
    for (char *rest = entry; rest;) {
        if (parts == 3) return rs_fail(RS_EINPUT, "a range has at most start:stop:step");
        part[parts++] = trim(strsep(&rest, ":"));
    }
    return kind->expand(kind, part, parts, out);
}

static rs_status sort_list(const list_kind *kind, list *values) {
    if (values->n < 2) return RS_OK;
    qsort(values->at, values->n, sizeof *values->at, kind->compare);
    for (size_t i = 1; i < values->n; ++i)
        if (kind->compare(&values->at[i - 1], &values->at[i]) == 0)
            return rs_fail(RS_EINPUT, "a value is given twice");
    return RS_OK;
}

static rs_status parse_entries(const list_kind *kind, char *text, list *out) {
    for (char *rest = text; rest;) {
        char *const entry = trim(strsep(&rest, ","));
        if (*entry == '\0')
            return rs_fail(RS_EINPUT, "an entry is empty; write a,b,c or start:stop:step");
        RS_TRY(parse_entry(kind, entry, out));
    }
    return sort_list(kind, out);
}

/* Reads a LIST, ascending; the caller frees out->at in any case. */
static rs_status parse_list(const list_kind *kind, const char *value, list *out) {
    *out = (list){0};
    char *text;
    RS_TRY(duplicate(value, &text));
    rs_status const status = parse_entries(kind, text, out);
    free(text);
    return rs_fail_in(status, "\"%.60s\"", value);
}

static rs_status parse_wholes(const list_kind *kind, const char *value, uint64_t **at, size_t *n) {
    list values;
    rs_status status = parse_list(kind, value, &values);
    uint64_t *copy = NULL;
    if (status == RS_OK) {
        copy = malloc(values.n * sizeof *copy);
        if (!copy) status = rs_fail(RS_EMEMORY, "out of memory");
    }
    if (status == RS_OK) {
        for (size_t i = 0; i < values.n; ++i) copy[i] = values.at[i].whole;
        free(*at);
        *at = copy;
        *n = values.n;
    }
    free(values.at);
    return status;
}

static rs_status mark_word(const char *word, const char *const *names, size_t n, bool *chosen) {
    size_t which = 0;
    RS_TRY(parse_word(word, names, n, &which));
    if (chosen[which]) return rs_fail(RS_EINPUT, "%s is given twice", word);
    chosen[which] = true;
    return RS_OK;
}

/* Reads a LIST of words; chosen [n] starts as false. */
static rs_status parse_words(const char *value, const char *const *names, size_t n, bool *chosen) {
    char *text;
    RS_TRY(duplicate(value, &text));
    rs_status status = RS_OK;
    for (char *rest = text; rest && status == RS_OK;)
        status = mark_word(trim(strsep(&rest, ",")), names, n, chosen);
    free(text);
    return status;
}

/* ------------------------------------------------------------------ setters */

static rs_status parse_path(const char *value, char **path) {
    if (*value == '\0') return rs_fail(RS_EINPUT, "the path is empty");
    for (const char *c = value; *c; ++c)
        if (iscntrl((unsigned char)*c))
            return rs_fail(RS_EINPUT, "the path has a control character");
    char *copy;
    RS_TRY(duplicate(value, &copy));
    free(*path);
    *path = copy;
    return RS_OK;
}

static rs_status set_cell(rs_spec *spec, const char *value) {
    const char *names[RS_N_NONLINEARITY];
    for (size_t i = 0; i < RS_N_NONLINEARITY; ++i)
        names[i] = rs_nonlinearity_name((rs_nonlinearity)i);
    bool chosen[RS_N_NONLINEARITY] = {false};
    RS_TRY(parse_words(value, names, RS_N_NONLINEARITY, chosen));
    spec->n_cell = 0;
    for (size_t i = 0; i < RS_N_NONLINEARITY; ++i)
        if (chosen[i]) spec->cell[spec->n_cell++] = (rs_nonlinearity)i;
    return RS_OK;
}

static rs_status set_ensemble(rs_spec *spec, const char *value) {
    bool chosen[RS_MODEL] = {false}; /* a model is asked for with its own key */
    RS_TRY(parse_words(value, ensemble_names, RS_MODEL, chosen));
    spec->n_ensemble = 0;
    for (size_t i = 0; i < RS_MODEL; ++i)
        if (chosen[i]) spec->ensemble[spec->n_ensemble++] = (rs_ensemble)i;
    return RS_OK;
}

static void take_rho(rs_spec *spec, double *rho, size_t n, bool native) {
    free(spec->rho);
    spec->rho = rho;
    spec->n_rho = n;
    spec->native = native;
}

static rs_status set_rho(rs_spec *spec, const char *value) {
    static const list_kind radii = {expand_real, compare_real, 0, 0};
    bool const native = strcmp(value, "native") == 0;
    list values;
    rs_status status = parse_list(&radii, native ? "1" : value, &values);
    double *rho = NULL;
    if (status == RS_OK) {
        rho = malloc(values.n * sizeof *rho);
        if (!rho) status = rs_fail(RS_EMEMORY, "out of memory");
    }
    if (status == RS_OK) {
        for (size_t i = 0; i < values.n; ++i) rho[i] = values.at[i].real;
        take_rho(spec, rho, values.n, native);
    }
    free(values.at);
    return status;
}

static rs_status parse_input(const char *word, rs_input *out) {
    static const char *const forms[] = {"zero", "pytorch", "noise:SIGMA"};
    *out = (rs_input){.kind = RS_INPUT_NOISE};
    if (strcmp(word, "zero") == 0)
        out->kind = RS_INPUT_ZERO;
    else if (strcmp(word, "pytorch") == 0)
        out->kind = RS_INPUT_PYTORCH;
    else if (strncmp(word, "noise:", 6) == 0)
        return parse_positive(word + 6, &out->sigma);
    else
        return fail_word(word, forms, 3);
    return RS_OK;
}

static int compare_input(const void *a, const void *b) {
    const rs_input *const x = a, *const y = b;
    if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
    return (x->sigma > y->sigma) - (x->sigma < y->sigma);
}

/* Reads the entries of `text`, which is cut up, into out [their number]. */
static rs_status parse_inputs(char *text, rs_input *out, size_t *n) {
    char name[64];
    for (char *rest = text; rest; ++*n) RS_TRY(parse_input(trim(strsep(&rest, ",")), &out[*n]));
    qsort(out, *n, sizeof *out, compare_input);
    for (size_t i = 1; i < *n; ++i)
        if (compare_input(&out[i - 1], &out[i]) == 0)
            return rs_fail(RS_EINPUT, "%s is given twice", rs_input_text(out[i], name));
    return RS_OK;
}

static size_t count_entries(const char *text) {
    size_t n = 1;
    for (; *text; ++text) n += *text == ',';
    return n;
}

static rs_status set_input(rs_spec *spec, const char *value) {
    size_t const most = count_entries(value);
    if (most > MAX_VALUES) return rs_fail(RS_EINPUT, "more than %d values", MAX_VALUES);
    char *text;
    RS_TRY(duplicate(value, &text));
    size_t n = 0;
    rs_input *const input = malloc(most * sizeof *input);
    rs_status const status =
        input ? parse_inputs(text, input, &n) : rs_fail(RS_EMEMORY, "out of memory");
    free(text);
    if (status != RS_OK) {
        free(input);
        return status;
    }
    free(spec->input);
    spec->input = input;
    spec->n_input = n;
    return RS_OK;
}

static rs_status set_h0(rs_spec *spec, const char *value) {
    static const char *const forms[] = {"zero", "normal:SIGMA"};
    rs_start h0 = {.kind = RS_START_NORMAL};
    if (strcmp(value, "zero") == 0)
        h0.kind = RS_START_ZERO;
    else if (strncmp(value, "normal:", 7) == 0)
        RS_TRY(parse_positive(value + 7, &h0.sigma));
    else
        return fail_word(value, forms, 2);
    spec->h0 = h0;
    return RS_OK;
}

static rs_status set_loss(rs_spec *spec, const char *value) {
    size_t which = 0;
    RS_TRY(parse_word(value, loss_names, RS_N_LOSS, &which));
    spec->loss = (rs_loss)which;
    return RS_OK;
}

static rs_status set_precision(rs_spec *spec, const char *value) {
    const char *const names[] = {rs_precision_name(RS_F32), rs_precision_name(RS_F64)};
    static_assert(RS_F32 == 0 && RS_F64 == 1 && RS_N_PRECISION == 2, "names in enum order");
    size_t which = 0;
    RS_TRY(parse_word(value, names, RS_N_PRECISION, &which));
    spec->precision = (rs_precision)which;
    return RS_OK;
}

/* Written out where the default depends on what is swept or on the machine. */
static const char by_default[] = "default";

static rs_status set_fit_skip(rs_spec *spec, const char *value) {
    if (strcmp(value, by_default) != 0) return parse_whole(value, 0, MAX_STEPS, &spec->fit_skip);
    spec->fit_skip = SIZE_MAX;
    return RS_OK;
}

static rs_status set_engine(rs_spec *spec, const char *value) {
    size_t which = 0;
    char *copy;
    RS_TRY(parse_word(value, engine_names, N_ENGINE_NAMES, &which));
    RS_TRY(duplicate(value, &copy));
    free(spec->engine);
    spec->engine = copy;
    return RS_OK;
}

static rs_status set_threads(rs_spec *spec, const char *value) {
    uint64_t threads = 0;
    if (strcmp(value, by_default) != 0) RS_TRY(parse_whole(value, 1, MAX_THREADS, &threads));
    spec->threads = (int)threads;
    return RS_OK;
}

/* 1.5 and "GiB" make 1.5 x 2^30; K, M, G and T are powers of 1024 with "iB" or without. */
static rs_status parse_scaled_size(const char *value, size_t digits, uint64_t *out) {
    static const char units[] = "KMGT";
    const char *const unit = strchr(units, toupper((unsigned char)value[digits]));
    const char *const rest = value + digits + 1;
    char text[TEXT];
    double size = 0.0;
    if (digits == 0 || digits >= sizeof text || !unit || (*rest && strcmp(rest, "iB") != 0))
        return rs_fail(RS_EINPUT, "\"%.60s\" is not a size such as 512M, 2G or 1.5GiB", value);
    snprintf(text, sizeof text, "%.*s", (int)digits, value);
    RS_TRY(parse_positive(text, &size));
    size = floor(ldexp(size, 10 * (int)(unit - units + 1)));
    if (!(size <= (double)max_memory))
        return rs_fail(RS_EINPUT, "\"%.60s\" is more than there is", value);
    *out = (uint64_t)size;
    return RS_OK;
}

static rs_status set_memory(rs_spec *spec, const char *value) {
    size_t const digits = strspn(value, "0123456789.");
    if (strcmp(value, by_default) == 0) {
        spec->memory = 0;
        return RS_OK;
    }
    if (digits > 0 && value[digits] == '\0')
        return parse_whole(value, 1, max_memory, &spec->memory);
    return parse_scaled_size(value, digits, &spec->memory);
}

/* A switch that is given as an option has no value. */
static rs_status parse_switch(const char *value, bool *on) {
    static const char *const words[] = {"yes", "no", "true", "false"};
    size_t which = 0;
    if (value) RS_TRY(parse_word(value, words, 4, &which));
    *on = which % 2 == 0;
    return RS_OK;
}

/* ------------------------------------------------------------------ printers */

const char *rs_input_text(rs_input input, char buffer[64]) {
    char sigma[TEXT];
    switch (input.kind) {
    case RS_INPUT_ZERO: return "zero";
    case RS_INPUT_PYTORCH: return "pytorch";
    default: snprintf(buffer, 64, "noise:%s", real_text(input.sigma, sigma)); return buffer;
    }
}

const char *rs_start_text(rs_start h0, char buffer[64]) {
    char sigma[TEXT];
    switch (h0.kind) {
    case RS_START_ZERO: return "zero";
    case RS_START_MODEL: return "model";
    default: snprintf(buffer, 64, "normal:%s", real_text(h0.sigma, sigma)); return buffer;
    }
}

/* A list goes on in the next line after a comma, so that no line grows too long to be read. */
static void print_separator(FILE *out, size_t i) {
    if (i > 0) fputs(i % 8 == 0 ? ",\n  " : ",", out);
}

/* Numbers at equal distances as a range. */
static void write_wholes(FILE *out, const uint64_t *at, size_t n) {
    uint64_t const step = n > 1 ? at[1] - at[0] : 0;
    size_t even = 1;
    while (even < n && at[even] - at[even - 1] == step) ++even;
    if (n > 2 && even == n)
        fprintf(out, "%" PRIu64 ":%" PRIu64 ":%" PRIu64, at[0], at[n - 1], step);
    else
        for (size_t i = 0; i < n; ++i) {
            print_separator(out, i);
            fprintf(out, "%" PRIu64, at[i]);
        }
}

static void print_cell(FILE *out, const rs_spec *spec) {
    for (size_t i = 0; i < spec->n_cell; ++i) {
        print_separator(out, i);
        fputs(rs_nonlinearity_name(spec->cell[i]), out);
    }
}
static void print_ensemble(FILE *out, const rs_spec *spec) {
    for (size_t i = 0; i < spec->n_ensemble; ++i) {
        print_separator(out, i);
        fputs(ensemble_names[spec->ensemble[i]], out);
    }
}
static void print_rho(FILE *out, const rs_spec *spec) {
    char text[TEXT];
    if (spec->native)
        fputs("native", out);
    else
        for (size_t i = 0; i < spec->n_rho; ++i) {
            print_separator(out, i);
            fputs(real_text(spec->rho[i], text), out);
        }
}
static void print_input(FILE *out, const rs_spec *spec) {
    char text[64];
    for (size_t i = 0; i < spec->n_input; ++i) {
        print_separator(out, i);
        fputs(rs_input_text(spec->input[i], text), out);
    }
}
static void print_h0(FILE *out, const rs_spec *spec) {
    char text[64];
    fputs(rs_start_text(spec->h0, text), out);
}
static void print_loss(FILE *out, const rs_spec *spec) { fputs(loss_names[spec->loss], out); }
static void print_precision(FILE *out, const rs_spec *spec) {
    fputs(rs_precision_name(spec->precision), out);
}
static void print_or_default(FILE *out, uint64_t value, uint64_t standing_for_default) {
    if (value == standing_for_default)
        fputs(by_default, out);
    else
        fprintf(out, "%" PRIu64, value);
}
static void print_fit_skip(FILE *out, const rs_spec *spec) {
    print_or_default(out, spec->fit_skip, SIZE_MAX);
}
static void print_engine(FILE *out, const rs_spec *spec) { fputs(spec->engine, out); }
static void print_threads(FILE *out, const rs_spec *spec) {
    print_or_default(out, (uint64_t)spec->threads, 0);
}
static void print_memory(FILE *out, const rs_spec *spec) { print_or_default(out, spec->memory, 0); }

/* ------------------------------------------------------------------ the table of keys */

/* How the text of a key is read into a spec, and printed again. */
typedef struct rs_key_kind {
    rs_status (*set)(rs_spec *spec, const rs_spec_key *key, const char *value);
    void (*print)(FILE *out, const rs_spec *spec, const rs_spec_key *key);
    /* or, of a key that is like no other: */
    rs_status (*set_own)(rs_spec *spec, const char *value);
    void (*print_own)(FILE *out, const rs_spec *spec);
} key_kind;

static void *value_in(rs_spec *spec, size_t offset) { return (char *)spec + offset; }
static const void *value_of(const rs_spec *spec, size_t offset) {
    return (const char *)spec + offset;
}

static rs_status set_whole(rs_spec *spec, const rs_spec_key *key, const char *value) {
    return parse_whole(value, key->least, key->most, value_in(spec, key->offset));
}
static void print_whole(FILE *out, const rs_spec *spec, const rs_spec_key *key) {
    fprintf(out, "%" PRIu64, *(const uint64_t *)value_of(spec, key->offset));
}

static rs_status set_wholes(rs_spec *spec, const rs_spec_key *key, const char *value) {
    list_kind const kind = {expand_whole, compare_whole, key->least, key->most};
    return parse_wholes(&kind, value, value_in(spec, key->offset), value_in(spec, key->offset_n));
}
static void print_wholes(FILE *out, const rs_spec *spec, const rs_spec_key *key) {
    write_wholes(out, *(uint64_t *const *)value_of(spec, key->offset),
                 *(const size_t *)value_of(spec, key->offset_n));
}

static rs_status set_path(rs_spec *spec, const rs_spec_key *key, const char *value) {
    return parse_path(value, value_in(spec, key->offset));
}
static void print_path(FILE *out, const rs_spec *spec, const rs_spec_key *key) {
    fputs(*(char *const *)value_of(spec, key->offset), out);
}

static rs_status set_switch(rs_spec *spec, const rs_spec_key *key, const char *value) {
    return parse_switch(value, value_in(spec, key->offset));
}
static void print_switch(FILE *out, const rs_spec *spec, const rs_spec_key *key) {
    fputs(*(const bool *)value_of(spec, key->offset) ? "yes" : "no", out);
}

static const key_kind whole_kind = {.set = set_whole, .print = print_whole};
static const key_kind wholes_kind = {.set = set_wholes, .print = print_wholes};
static const key_kind path_kind = {.set = set_path, .print = print_path};
static const key_kind switch_kind = {.set = set_switch, .print = print_switch};

#define WHOLE(field, from, to)                                                                     \
    .kind = &whole_kind, .offset = offsetof(rs_spec, field), .least = (from), .most = (to)
#define WHOLES(field, from, to)                                                                    \
    .kind = &wholes_kind, .offset = offsetof(rs_spec, field),                                      \
    .offset_n = offsetof(rs_spec, n_##field), .least = (from), .most = (to)
#define PATH(field)   .kind = &path_kind, .offset = offsetof(rs_spec, field)
#define SWITCH(field) .kind = &switch_kind, .offset = offsetof(rs_spec, field)
#define OWN(name)                                                                                  \
    .kind = &(const key_kind) { .set_own = set_##name, .print_own = print_##name }

#define WHAT  "What is swept; every combination is a case:"
#define DRIVE "What drives the network, and what is measured:"
#define HOW   "How it is computed:"
#define WHERE "Where the results go:"

/* In the order of the groups of --help. */
static const rs_spec_key keys[] = {
    {.name = "cell",
     .alias = "nonlinearity",
     .argument = "LIST",
     .help = "tanh, relu, linear; default tanh",
     .group = WHAT,
     .initial = "tanh",
     OWN(cell)},
    {.name = "ensemble",
     .argument = "LIST",
     .help = "How weight_hh is drawn: gaussian, uniform, orthogonal, identity, symmetric; "
             "default gaussian",
     .group = WHAT,
     .initial = "gaussian",
     .of_model = true,
     OWN(ensemble)},
    {.name = "model",
     .argument = "FILE.npz",
     .help = "Imported weights instead of an ensemble, keys as in nn.RNN's state_dict "
             "(weight_hh_l0, weight_ih_l0, ...), optional input and h0; see rhosweep inspect",
     .group = WHAT,
     PATH(model)},
    {.name = "rho",
     .argument = "LIST",
     .help = "Spectral radii that weight_hh is scaled to, or the word native: as drawn or "
             "imported; default 0.5:1.5:0.1",
     .group = WHAT,
     .initial = "0.5:1.5:0.1",
     OWN(rho)},
    {.name = "hidden",
     .argument = "LIST",
     .help = "Units H; default 64, or the model's",
     .group = WHAT,
     .initial = "64",
     .of_model = true,
     WHOLES(hidden, 1, MAX_HIDDEN)},
    {.name = "steps",
     .argument = "LIST",
     .help = "Time steps T; default 100",
     .group = WHAT,
     .initial = "100",
     .of_model = true,
     WHOLES(steps, 1, MAX_STEPS)},
    {.name = "batch",
     .argument = "N",
     .help = "Samples that every network sees; default 16",
     .group = WHAT,
     .initial = "16",
     .of_model = true,
     WHOLE(batch, 1, MAX_BATCH)},
    {.name = "seeds",
     .argument = "LIST",
     .help = "Seeds of weights and inputs; default 0:9",
     .group = WHAT,
     .initial = "0:9",
     WHOLES(seeds, 0, INT64_MAX)},
    {.name = "input",
     .argument = "LIST",
     .help = "pytorch: x ~ N(0,1), weights and biases U(+-1/sqrt(H)); zero; noise:SIGMA: "
             "N(0,SIGMA^2) added to every unit, no weights, no biases; default pytorch",
     .group = DRIVE,
     .initial = "pytorch",
     OWN(input)},
    {.name = "input-size",
     .argument = "N",
     .help = "Numbers per step of input pytorch; default 1",
     .group = DRIVE,
     .initial = "1",
     .of_model = true,
     WHOLE(input_size, 1, MAX_INPUT_SIZE)},
    {.name = "h0",
     .argument = "KIND",
     .help = "Start state: zero, or normal:SIGMA; default zero, or the model's",
     .group = DRIVE,
     .initial = "zero",
     .of_model = true,
     OWN(h0)},
    {.name = "warmup",
     .argument = "N",
     .help = "Forward steps before the recorded ones; default 0",
     .group = DRIVE,
     .initial = "0",
     WHOLE(warmup, 0, MAX_STEPS)},
    {.name = "loss",
     .argument = "KIND",
     .help = "last-mean: mean of h_T; all-mean: mean of h over all steps; random: a random "
             "unit vector on h_T, best for decay rates; default last-mean",
     .group = DRIVE,
     .initial = "last-mean",
     OWN(loss)},
    {.name = "fit-skip",
     .argument = "N",
     .help = "Steps next to the loss that the decay rate leaves out; default "
             "min(20, T/4)",
     .group = DRIVE,
     .initial = by_default,
     OWN(fit_skip)},
    {.name = "raw",
     .help = "Plain arithmetic: gradients underflow and overflow as in ordinary training",
     .group = DRIVE,
     .initial = "no",
     SWITCH(raw)},
    {.name = "precision",
     .argument = "TYPE",
     .help = "f32 or f64; default f32",
     .group = HOW,
     .initial = "f32",
     OWN(precision)},
    {.name = "engine",
     .argument = "NAME",
     .help = "auto, cpu, cuda, reference; default auto: cuda where a device is usable, "
             "else cpu",
     .group = HOW,
     .initial = "auto",
     OWN(engine)},
    {.name = "threads",
     .argument = "N",
     .help = "CPU threads; default: all. Results do not depend on it",
     .group = HOW,
     .initial = by_default,
     OWN(threads)},
    {.name = "memory",
     .argument = "SIZE",
     .help = "Memory to stay within, such as 512M or 1.5GiB; default: three quarters of "
             "what is free. Results do not depend on it",
     .group = HOW,
     .initial = by_default,
     OWN(memory)},
    {.name = "output",
     .argument = "DB",
     .help = "Database; work that it holds already is not repeated; default rhosweep.db",
     .group = WHERE,
     .short_option = 'o',
     .initial = "rhosweep.db",
     PATH(output)},
    {.name = "profiles",
     .argument = "yes|no",
     .help = "no: store rates and ranges only, no norm per step; default yes",
     .group = WHERE,
     .initial = "yes",
     SWITCH(profiles)},
    {.name = "quiet",
     .help = "No progress, no summary",
     .group = WHERE,
     .initial = "no",
     SWITCH(quiet)},
};
enum { N_KEYS = sizeof keys / sizeof *keys };
static_assert(N_KEYS < sizeof((rs_spec){0}.source) / sizeof(rs_source), "a source for every key");

const rs_spec_key *rs_spec_keys(size_t *n) {
    *n = N_KEYS;
    return keys;
}

static bool has_name(const rs_spec_key *key, const char *name) {
    return strcmp(name, key->name) == 0 || (key->alias && strcmp(name, key->alias) == 0);
}

/* Index of the key, or N_KEYS. */
static size_t find_key(const char *name) {
    size_t k = 0;
    while (k < N_KEYS && !has_name(&keys[k], name)) ++k;
    return k;
}

static rs_status fail_key(const char *name) {
    return rs_fail(RS_EINPUT, "unknown key \"%.60s\"; the keys are the options of rhosweep sweep",
                   name);
}

/* ------------------------------------------------------------------ setting */

static rs_status set_value(rs_spec *spec, const rs_spec_key *key, const char *value) {
    return key->kind->set ? key->kind->set(spec, key, value) : key->kind->set_own(spec, value);
}

static rs_source *source_of(rs_spec *spec, const char *key) { return &spec->source[find_key(key)]; }

rs_status rs_spec_init(rs_spec *spec) {
    *spec = (rs_spec){0};
    for (size_t k = 0; k < N_KEYS; ++k)
        if (keys[k].initial) RS_TRY(set_value(spec, &keys[k], keys[k].initial));
    return RS_OK;
}

void rs_spec_free(rs_spec *spec) {
    free(spec->output);
    free(spec->model);
    free(spec->rho);
    free(spec->hidden);
    free(spec->steps);
    free(spec->seeds);
    free(spec->input);
    free(spec->engine);
    *spec = (rs_spec){0};
}

/* The model brings its size with it, and takes the place of an ensemble of an earlier source. */
static void settle_model(rs_spec *spec, rs_source source) {
    rs_source *const ensemble = source_of(spec, "ensemble");
    rs_source *const hidden = source_of(spec, "hidden");
    if (*ensemble < source) {
        spec->ensemble[0] = RS_MODEL;
        spec->n_ensemble = 1;
        *ensemble = RS_FROM_DEFAULT;
    }
    if (*hidden < source) {
        spec->n_hidden = 0;
        *hidden = RS_FROM_DEFAULT;
    }
}

/* An ensemble takes the place of a model of an earlier source. */
static void settle_ensemble(rs_spec *spec, rs_source source) {
    rs_source *const model = source_of(spec, "model");
    if (!spec->model || *model >= source) return;
    free(spec->model);
    spec->model = NULL;
    *model = RS_FROM_DEFAULT;
    if (spec->n_hidden == 0) spec->hidden[spec->n_hidden++] = DEFAULT_HIDDEN;
}

rs_status rs_spec_set(rs_spec *spec, const char *key, const char *value, rs_source source) {
    size_t const k = find_key(key);
    if (k == N_KEYS) return fail_key(key);
    if (!value && keys[k].argument) return rs_fail(RS_EINPUT, "%s: needs a value", key);
    rs_status const status = set_value(spec, &keys[k], value);
    if (status != RS_OK) return rs_fail_in(status, "%s", key);
    if (k == find_key("model")) settle_model(spec, source);
    if (k == find_key("ensemble")) settle_ensemble(spec, source);
    spec->source[k] = source;
    return RS_OK;
}

bool rs_spec_given(const rs_spec *spec, const char *key) {
    size_t const k = find_key(key);
    return k < N_KEYS && spec->source[k] != RS_FROM_DEFAULT;
}

static rs_status check_fit_skip(const rs_spec *spec) {
    if (spec->fit_skip == SIZE_MAX) return RS_OK;
    for (size_t i = 0; i < spec->n_steps; ++i)
        if (spec->steps[i] > 1 && spec->fit_skip > spec->steps[i] - 2) /* one step has no rate */
            return rs_fail(RS_EINPUT,
                           "fit-skip: %zu of %zu steps leaves fewer than 2 to fit; take at most "
                           "%zu, or more steps",
                           spec->fit_skip, spec->steps[i], spec->steps[i] - 2);
    return RS_OK;
}

rs_status rs_spec_check(const rs_spec *spec) {
    if (spec->model && spec->source[find_key("model")] == spec->source[find_key("ensemble")])
        return rs_fail(RS_EINPUT, "model: an ensemble is given too; take one of them");
    RS_TRY(check_fit_skip(spec));
    size_t const length[] = {spec->n_ensemble, spec->n_cell,  spec->n_hidden ? spec->n_hidden : 1,
                             spec->n_steps,    spec->n_seeds, spec->n_input};
    uint64_t cases = 1;
    for (size_t i = 0; i < sizeof length / sizeof *length; ++i)
        cases = rs_size_mul(cases, length[i]);
    uint64_t const profile = (uint64_t)spec->n_rho * spec->steps[spec->n_steps - 1];
    if (cases > max_cases)
        return rs_fail(RS_EINPUT,
                       "sweep: %" PRIu64 " cases are more than %" PRIu64 "; take several sweeps",
                       cases, max_cases);
    if (profile > max_profile)
        return rs_fail(RS_EINPUT,
                       "sweep: %zu radii of %zu steps are more than %" PRIu64
                       " norms in one case; take fewer radii or steps",
                       spec->n_rho, spec->steps[spec->n_steps - 1], max_profile);
    return RS_OK;
}

/* ------------------------------------------------------------------ files */

/* inih cuts long lines, skips sections without keys and what stands behind a section's bracket,
 * and takes an indented line for more of the value above. So every line passes through next_line
 * first: it counts, cuts comments and indentation, and refuses what inih would pass over. */
typedef struct reader {
    rs_spec *spec;
    const char *name; /* of the file */
    const char *next, *end;
    int line;               /* number of the line that inih has */
    bool comma;             /* the last line with text ended in one: the list goes on */
    bool continued;         /* this line goes on with the value above */
    int first_line[N_KEYS]; /* of every key, 0 where it has not come up */
    size_t key;             /* whose value is being gathered, or N_KEYS */
    char *value;
    rs_status status;
} reader;

static rs_status fail_line(reader *r, int line, rs_status status) {
    r->status = rs_fail_in(status, "%s:%d", r->name, line);
    return r->status;
}

/* Narrows [*start, *stop) to what is no comment and no blank at either end. */
static void strip_line(const char **start, const char **stop) {
    while (*start < *stop && isspace((unsigned char)**start)) ++*start;
    if (*start < *stop && **start == '#') *stop = *start;
    for (const char *c = *start; c < *stop; ++c)
        if (*c == ';' && (c == *start || isspace((unsigned char)c[-1]))) *stop = c;
    while (*stop > *start && isspace((unsigned char)(*stop)[-1])) --*stop;
}

static rs_status check_line(const char *start, const char *stop, size_t room) {
    static const char section[] = "[sweep]";
    size_t const length = (size_t)(stop - start);
    for (const char *c = start; c < stop; ++c)
        if (iscntrl((unsigned char)*c) && *c != '\t')
            return rs_fail(RS_EINPUT, "a control character; this is no text");
    if (length > room)
        return rs_fail(RS_EINPUT,
                       "more than %zu characters; a list may go on in the next line after a comma",
                       room);
    if (length > 0 && *start == '[' &&
        (length != sizeof section - 1 || memcmp(start, section, length) != 0))
        return rs_fail(RS_EINPUT, "\"%.*s\" is no section; the only one is %s",
                       length < 60 ? (int)length : 60, start, section);
    return RS_OK;
}

/* The reader of inih, in the manner of fgets. */
static char *next_line(char *buffer, int size, void *stream) {
    reader *const r = stream;
    if (r->status != RS_OK || r->next == r->end) return NULL;
    const char *start = r->next;
    const char *stop = memchr(start, '\n', (size_t)(r->end - start));
    r->next = stop ? stop + 1 : r->end;
    if (!stop) stop = r->end;
    ++r->line;
    strip_line(&start, &stop);
    rs_status const status = check_line(start, stop, (size_t)size - 3);
    if (status != RS_OK) {
        fail_line(r, r->line, status);
        return NULL;
    }
    r->continued = r->comma && start < stop;
    if (start < stop) r->comma = stop[-1] == ',';
    snprintf(buffer, (size_t)size, "%s%.*s\n", r->continued ? " " : "", (int)(stop - start), start);
    return buffer;
}

/* Sets the key whose value is complete now, if there is one. */
static rs_status finish_key(reader *r) {
    if (r->key == N_KEYS) return RS_OK;
    size_t const k = r->key;
    r->key = N_KEYS;
    rs_status const status = rs_spec_set(r->spec, keys[k].name, r->value, RS_FROM_FILE);
    return status == RS_OK ? RS_OK : fail_line(r, r->first_line[k], status);
}

static rs_status start_key(reader *r, const char *section, const char *name) {
    size_t const k = find_key(name);
    if (*section == '\0')
        return rs_fail(RS_EINPUT, "\"%.60s\" stands before the line [sweep]", name);
    if (k == N_KEYS) return fail_key(name);
    if (r->first_line[k])
        return rs_fail(RS_EINPUT, "%s: given twice, first in line %d", name, r->first_line[k]);
    r->first_line[k] = r->line;
    r->key = k;
    return RS_OK;
}

/* Makes `value` the value, or with `more` the rest of it. */
static rs_status gather(reader *r, const char *value, bool more) {
    size_t const before = more ? strlen(r->value) : 0;
    size_t const length = strlen(value);
    char *const joined = realloc(r->value, before + length + 1);
    if (!joined) return rs_fail(RS_EMEMORY, "out of memory");
    memcpy(joined + before, value, length + 1);
    r->value = joined;
    return RS_OK;
}

/* The handler of inih: 1 to go on, 0 for an error. */
static int take_value(void *user, const char *section, const char *name, const char *value) {
    reader *const r = user;
    bool const more = r->continued && r->key != N_KEYS;
    if (!more && finish_key(r) != RS_OK) return 0;
    rs_status status = more ? RS_OK : start_key(r, section, name);
    if (status == RS_OK) status = gather(r, value, more);
    if (status != RS_OK) fail_line(r, r->line, status);
    return status == RS_OK;
}

rs_status rs_spec_parse(rs_spec *spec, const char *text, size_t length, const char *name) {
    static const char byte_order_mark[] = "\xEF\xBB\xBF";
    if (length > MAX_FILE)
        return rs_fail(RS_EINPUT, "%s: larger than %d bytes; this is no spec file", name, MAX_FILE);
    reader r = {.spec = spec, .name = name, .next = text, .end = text + length, .key = N_KEYS};
    if (length >= 3 && memcmp(text, byte_order_mark, 3) == 0) r.next += 3;
    int const stray = ini_parse_stream(next_line, &r, take_value, &r);
    if (r.status == RS_OK) finish_key(&r);
    free(r.value);
    if (r.status == RS_OK && stray < 0) return rs_fail(RS_EMEMORY, "%s: out of memory", name);
    if (r.status == RS_OK && stray > 0)
        return rs_fail(RS_EINPUT, "%s:%d: neither key = value nor a comment", name, stray);
    return r.status;
}

/* Reads up to size bytes of a file. */
static rs_status read_file(const char *path, char *text, size_t size, size_t *length) {
    FILE *const file = fopen(path, "rb");
    if (!file) return rs_fail(RS_EINPUT, "%s: %s", path, strerror(errno));
    errno = 0;
    *length = fread(text, 1, size, file);
    rs_status const status =
        ferror(file) ? rs_fail(RS_EINPUT, "%s: %s", path, strerror(errno)) : RS_OK;
    fclose(file);
    return status;
}

rs_status rs_spec_load(rs_spec *spec, const char *path) {
    size_t length = 0;
    char *const text = malloc(MAX_FILE + 1); /* one more, for rs_spec_parse to refuse */
    if (!text) return rs_fail(RS_EMEMORY, "%s: out of memory", path);
    rs_status status = read_file(path, text, MAX_FILE + 1, &length);
    if (status == RS_OK) status = rs_spec_parse(spec, text, length, path);
    free(text);
    return status;
}

/* Keys without a value of their own: no model, and what a model brings where nothing else is given.
 * Written out, such a default would be asked for when the spec is read again. */
static bool has_value(const rs_spec *spec, size_t k) {
    if (keys[k].of_model && spec->model) return spec->source[k] != RS_FROM_DEFAULT;
    return keys[k].kind != &path_kind || *(char *const *)value_of(spec, keys[k].offset) != NULL;
}

rs_status rs_spec_print(const rs_spec *spec, char **text) {
    size_t size;
    *text = NULL;
    FILE *const out = open_memstream(text, &size);
    if (!out) return rs_fail(RS_EMEMORY, "spec: out of memory");
    fputs("[sweep]\n", out);
    for (size_t k = 0; k < N_KEYS; ++k) {
        if (!has_value(spec, k)) continue;
        fprintf(out, "%s = ", keys[k].name);
        if (keys[k].kind->print)
            keys[k].kind->print(out, spec, &keys[k]);
        else
            keys[k].kind->print_own(out, spec);
        fputc('\n', out);
    }
    bool const failed = ferror(out) != 0;
    if (fclose(out) == 0 && !failed) return RS_OK;
    free(*text);
    *text = NULL;
    return rs_fail(RS_EMEMORY, "spec: out of memory");
}
