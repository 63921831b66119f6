#include "kinds.h"

#include "words.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static_assert(sizeof(size_t) == sizeof(uint64_t), "sizes are taken to have 64 bits");

static const char *const engine_names[] = {"auto", "cpu", "cuda", "reference"};
enum { N_ENGINE_NAMES = sizeof engine_names / sizeof *engine_names };

/* ------------------------------------------------------------------ setters */

static rs_status set_cell(rs_spec *spec, const char *value) {
    const char *names[RS_N_CELL];
    for (size_t i = 0; i < RS_N_CELL; ++i) names[i] = rs_cell_name((rs_cell)i);
    bool chosen[RS_N_CELL] = {false};
    RS_TRY(rs_parse_words(value, names, RS_N_CELL, chosen));
    spec->n_cell = 0;
    for (size_t i = 0; i < RS_N_CELL; ++i)
        if (chosen[i]) spec->cell[spec->n_cell++] = (rs_cell)i;
    return RS_OK;
}

static rs_status set_ensemble(rs_spec *spec, const char *value) {
    bool chosen[RS_MODEL] = {false}; /* a model is asked for with its own key */
    const char *names[RS_MODEL];
    for (size_t i = 0; i < RS_MODEL; ++i) names[i] = rs_ensemble_name((rs_ensemble)i);
    RS_TRY(rs_parse_words(value, names, RS_MODEL, chosen));
    spec->n_ensemble = 0;
    for (size_t i = 0; i < RS_MODEL; ++i)
        if (chosen[i]) spec->ensemble[spec->n_ensemble++] = (rs_ensemble)i;
    return RS_OK;
}

/* Of ascending radii. */
static rs_status check_radii(const double *rho, size_t n) {
    if (rho[0] >= RS_LEAST_RADIUS && rho[n - 1] <= RS_MOST_RADIUS) return RS_OK;
    return rs_fail(RS_EINPUT, "%g is not between %g and %g, which range extension can follow",
                   rho[0] < RS_LEAST_RADIUS ? rho[0] : rho[n - 1], RS_LEAST_RADIUS, RS_MOST_RADIUS);
}

static rs_status set_rho(rs_spec *spec, const char *value) {
    bool const native = strcmp(value, "native") == 0;
    double *rho = NULL;
    size_t n = 0;
    rs_status status = rs_parse_reals(native ? "1" : value, &rho, &n);
    if (status == RS_OK) status = check_radii(rho, n);
    if (status != RS_OK) {
        free(rho);
        return status;
    }
    free(spec->rho);
    spec->rho = rho;
    spec->n_rho = n;
    spec->native = native;
    return RS_OK;
}

static rs_status parse_input(const char *word, rs_input *out) {
    static const char *const forms[] = {"zero", "pytorch", "noise:SIGMA"};
    *out = (rs_input){.kind = RS_INPUT_NOISE};
    if (strcmp(word, "zero") == 0)
        out->kind = RS_INPUT_ZERO;
    else if (strcmp(word, "pytorch") == 0)
        out->kind = RS_INPUT_PYTORCH;
    else if (strncmp(word, "noise:", 6) == 0)
        return rs_parse_positive(word + 6, &out->sigma);
    else
        return rs_fail_word(word, forms, 3);
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
    for (char *rest = text; rest; ++*n) RS_TRY(parse_input(rs_trim(strsep(&rest, ",")), &out[*n]));
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
    if (most > RS_MAX_VALUES) return rs_fail(RS_EINPUT, "more than %d values", RS_MAX_VALUES);
    char *text;
    RS_TRY(rs_duplicate(value, &text));
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
        RS_TRY(rs_parse_positive(value + 7, &h0.sigma));
    else
        return rs_fail_word(value, forms, 2);
    spec->h0 = h0;
    return RS_OK;
}

static rs_status set_loss(rs_spec *spec, const char *value) {
    size_t which = 0;
    const char *names[RS_N_LOSS];
    for (size_t i = 0; i < RS_N_LOSS; ++i) names[i] = rs_loss_name((rs_loss)i);
    RS_TRY(rs_parse_word(value, names, RS_N_LOSS, &which));
    spec->loss = (rs_loss)which;
    return RS_OK;
}

static rs_status set_precision(rs_spec *spec, const char *value) {
    const char *const names[] = {rs_precision_name(RS_F32), rs_precision_name(RS_F64)};
    static_assert(RS_F32 == 0 && RS_F64 == 1 && RS_N_PRECISION == 2, "names in enum order");
    size_t which = 0;
    RS_TRY(rs_parse_word(value, names, RS_N_PRECISION, &which));
    spec->precision = (rs_precision)which;
    return RS_OK;
}

static const char by_default[] = RS_BY_DEFAULT;

static rs_status set_fit_skip(rs_spec *spec, const rs_spec_key *key, const char *value) {
    if (strcmp(value, by_default) != 0)
        return rs_parse_whole(value, key->least, key->most, &spec->fit_skip);
    spec->fit_skip = SIZE_MAX;
    return RS_OK;
}

static rs_status set_clip(rs_spec *spec, const char *value) {
    if (strcmp(value, by_default) != 0) return rs_parse_positive(value, &spec->clip);
    spec->clip = NAN;
    return RS_OK;
}

static rs_status set_engine(rs_spec *spec, const char *value) {
    size_t which = 0;
    char *copy;
    RS_TRY(rs_parse_word(value, engine_names, N_ENGINE_NAMES, &which));
    RS_TRY(rs_duplicate(value, &copy));
    free(spec->engine);
    spec->engine = copy;
    return RS_OK;
}

static rs_status set_threads(rs_spec *spec, const rs_spec_key *key, const char *value) {
    uint64_t threads = 0;
    if (strcmp(value, by_default) != 0)
        RS_TRY(rs_parse_whole(value, key->least, key->most, &threads));
    spec->threads = (int)threads;
    return RS_OK;
}

static rs_status set_memory(rs_spec *spec, const rs_spec_key *key, const char *value) {
    if (strcmp(value, by_default) != 0) return rs_parse_size(value, key->most, &spec->memory);
    spec->memory = 0;
    return RS_OK;
}

/* ------------------------------------------------------------------ printers */

static void print_cell(FILE *out, const rs_spec *spec) {
    for (size_t i = 0; i < spec->n_cell; ++i) {
        rs_print_separator(out, i);
        fputs(rs_cell_name(spec->cell[i]), out);
    }
}
static void print_ensemble(FILE *out, const rs_spec *spec) {
    for (size_t i = 0; i < spec->n_ensemble; ++i) {
        rs_print_separator(out, i);
        fputs(rs_ensemble_name(spec->ensemble[i]), out);
    }
}
static void print_rho(FILE *out, const rs_spec *spec) {
    char text[RS_REAL_TEXT];
    if (spec->native)
        fputs("native", out);
    else
        for (size_t i = 0; i < spec->n_rho; ++i) {
            rs_print_separator(out, i);
            fputs(rs_real_text(spec->rho[i], text), out);
        }
}
static void print_input(FILE *out, const rs_spec *spec) {
    char text[64];
    for (size_t i = 0; i < spec->n_input; ++i) {
        rs_print_separator(out, i);
        fputs(rs_input_text(spec->input[i], text), out);
    }
}
static void print_h0(FILE *out, const rs_spec *spec) {
    char text[64];
    fputs(rs_start_text(spec->h0, text), out);
}
static void print_loss(FILE *out, const rs_spec *spec) { fputs(rs_loss_name(spec->loss), out); }
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
static void print_clip(FILE *out, const rs_spec *spec) {
    char text[RS_REAL_TEXT];
    fputs(isnan(spec->clip) ? by_default : rs_real_text(spec->clip, text), out);
}
static void print_engine(FILE *out, const rs_spec *spec) { fputs(spec->engine, out); }
static void print_threads(FILE *out, const rs_spec *spec) {
    print_or_default(out, (uint64_t)spec->threads, 0);
}
static void print_memory(FILE *out, const rs_spec *spec) { print_or_default(out, spec->memory, 0); }

/* ------------------------------------------------------------------ kinds of keys */

static void *value_in(rs_spec *spec, size_t offset) { return (char *)spec + offset; }
static const void *value_of(const rs_spec *spec, size_t offset) {
    return (const char *)spec + offset;
}

static rs_status set_whole(rs_spec *spec, const rs_spec_key *key, const char *value) {
    return rs_parse_whole(value, key->least, key->most, value_in(spec, key->offset));
}
static void print_whole(FILE *out, const rs_spec *spec, const rs_spec_key *key) {
    fprintf(out, "%" PRIu64, *(const uint64_t *)value_of(spec, key->offset));
}

static rs_status set_wholes(rs_spec *spec, const rs_spec_key *key, const char *value) {
    return rs_parse_wholes(value, key->least, key->most, value_in(spec, key->offset),
                           value_in(spec, key->offset_n));
}
static void print_wholes(FILE *out, const rs_spec *spec, const rs_spec_key *key) {
    rs_print_wholes(out, *(uint64_t *const *)value_of(spec, key->offset),
                    *(const size_t *)value_of(spec, key->offset_n));
}

static rs_status set_path(rs_spec *spec, const rs_spec_key *key, const char *value) {
    return rs_parse_path(value, value_in(spec, key->offset));
}
static void print_path(FILE *out, const rs_spec *spec, const rs_spec_key *key) {
    rs_print_text(out, *(char *const *)value_of(spec, key->offset));
}

static rs_status set_switch(rs_spec *spec, const rs_spec_key *key, const char *value) {
    return rs_parse_switch(value, value_in(spec, key->offset));
}
static void print_switch(FILE *out, const rs_spec *spec, const rs_spec_key *key) {
    fputs(*(const bool *)value_of(spec, key->offset) ? "yes" : "no", out);
}

const rs_key_kind rs_kind_whole = {.set = set_whole, .print = print_whole};
const rs_key_kind rs_kind_wholes = {.set = set_wholes, .print = print_wholes, .owned = true};
const rs_key_kind rs_kind_path = {.set = set_path, .print = print_path, .owned = true};
const rs_key_kind rs_kind_switch = {.set = set_switch, .print = print_switch};

const rs_key_kind rs_kind_cell = {.set_own = set_cell, .print_own = print_cell};
const rs_key_kind rs_kind_ensemble = {.set_own = set_ensemble, .print_own = print_ensemble};
const rs_key_kind rs_kind_rho = {.set_own = set_rho, .print_own = print_rho, .owned = true};
const rs_key_kind rs_kind_input = {.set_own = set_input, .print_own = print_input, .owned = true};
const rs_key_kind rs_kind_h0 = {.set_own = set_h0, .print_own = print_h0};
const rs_key_kind rs_kind_loss = {.set_own = set_loss, .print_own = print_loss};
const rs_key_kind rs_kind_clip = {.set_own = set_clip, .print_own = print_clip};
const rs_key_kind rs_kind_fit_skip = {.set = set_fit_skip, .print_own = print_fit_skip};
const rs_key_kind rs_kind_precision = {.set_own = set_precision, .print_own = print_precision};
const rs_key_kind rs_kind_engine = {
    .set_own = set_engine, .print_own = print_engine, .owned = true};
const rs_key_kind rs_kind_threads = {.set = set_threads, .print_own = print_threads};
const rs_key_kind rs_kind_memory = {.set = set_memory, .print_own = print_memory};
