#include "kinds.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static_assert(sizeof(size_t) == sizeof(uint64_t), "sizes are taken to have 64 bits");

/* ------------------------------------------------------------------ words */

static const char *cell_word(size_t i) { return i < RS_N_CELL ? rs_cell_name((rs_cell)i) : NULL; }

/* A model is asked for with a key of its own. */
static const char *ensemble_word(size_t i) {
    if (i >= RS_MODEL) return NULL;
    rs_ensemble const value = {.kind = (rs_ensemble_kind)i};
    return i == RS_SPARSE ? "sparse:P" : rs_ensemble_text(value, NULL);
}

static const char *rho_word(size_t i) { return i == 0 ? "native" : NULL; }

static const char *devices_word(size_t i) { return i == 0 ? "all" : NULL; }

static const char *input_word(size_t i) {
    static const char *const words[] = {"zero", "pytorch", "noise:SIGMA", NULL};
    return words[i];
}

static const char *gate_bias_word(size_t i) {
    static const char *const words[] = {"drawn", "chrono:TMAX", NULL};
    return words[i];
}

static const char *gate_scale_word(size_t i) {
    return i < RS_N_GATE_SCALE ? rs_gate_scale_name((rs_gate_scale)i) : NULL;
}

static const char *h0_word(size_t i) {
    static const char *const words[] = {"zero", "normal:SIGMA", NULL};
    return words[i];
}

static const char *loss_word(size_t i) { return i < RS_N_LOSS ? rs_loss_name((rs_loss)i) : NULL; }

static const char *lyapunov_word(size_t i) { return i == 0 ? "all" : NULL; }

static const char *precision_word(size_t i) {
    static_assert(RS_F32 == 0 && RS_F64 == 1 && RS_N_PRECISION == 2, "names in enum order");
    return i < RS_N_PRECISION ? rs_precision_name((rs_precision)i) : NULL;
}

static const char *engine_word(size_t i) {
    static const char *const words[] = {"auto", "cpu", "cuda", "reference", NULL};
    return words[i];
}

static const char *switch_word(size_t i) {
    static const char *const words[] = {"yes", "no", NULL};
    return words[i];
}

/* ------------------------------------------------------------------ setters */

static rs_status set_cell(rs_spec *spec, const char *value) {
    const char *names[RS_MOST_WORDS];
    bool chosen[RS_MOST_WORDS] = {false};
    size_t const n = rs_list_words(cell_word, names);
    RS_TRY(rs_parse_words(value, names, n, chosen));
    spec->n_cell = 0;
    for (size_t i = 0; i < RS_N_CELL; ++i)
        if (chosen[i]) spec->cell[spec->n_cell++] = (rs_cell)i;
    return RS_OK;
}

/* ---- lists of values with a word or a number in them ---- */

typedef struct entries {
    const struct entry_kind *kind;
    char *at; /* [n] of kind->size bytes */
    size_t n, room;
} entries;

typedef struct entry_kind {
    size_t size;
    rs_status (*read)(const char *word, entries *out); /* appends what one entry stands for */
    int (*compare)(const void *a, const void *b);
    const char *(*text)(const void *value, char buffer[64]);
} entry_kind;

static rs_status append(entries *out, const void *value) {
    size_t const size = out->kind->size;
    if (out->n == RS_MAX_VALUES) return rs_fail(RS_EINPUT, "more than %d values", RS_MAX_VALUES);
    if (out->n == out->room) {
        size_t const room = out->room ? 2 * out->room : 4;
        char *const at = realloc(out->at, room * size);
        if (!at) return rs_fail(RS_EMEMORY, "out of memory");
        out->at = at;
        out->room = room;
    }
    memcpy(out->at + size * out->n++, value, size);
    return RS_OK;
}

/* `text` is cut up. */
static rs_status read_entries(char *text, entries *out) {
    const entry_kind *const kind = out->kind;
    char name[64];
    for (char *rest = text; rest;) RS_TRY(kind->read(rs_trim(strsep(&rest, ",")), out));
    if (out->n < 2) return RS_OK;
    qsort(out->at, out->n, kind->size, kind->compare);
    for (const char *at = out->at; at + kind->size < out->at + out->n * kind->size;
         at += kind->size)
        if (kind->compare(at, at + kind->size) == 0)
            return rs_fail(RS_EINPUT, "%s is given twice", kind->text(at, name));
    return RS_OK;
}

/* The LIST as an array [*n] of the caller's own, in the order of the kind and none twice. */
static rs_status read_list(const entry_kind *kind, const char *value, void **at, size_t *n) {
    entries list = {.kind = kind};
    char *text;
    RS_TRY(rs_duplicate(value, &text));
    rs_status const status = read_entries(text, &list);
    free(text);
    if (status != RS_OK) {
        free(list.at);
        return status;
    }
    *at = list.at;
    *n = list.n;
    return RS_OK;
}

static void print_list(FILE *out, const entry_kind *kind, const void *at, size_t n) {
    char text[64];
    for (size_t i = 0; i < n; ++i) {
        rs_print_separator(out, i);
        fputs(kind->text((const char *)at + i * kind->size, text), out);
    }
}

static rs_status read_ensemble(const char *word, entries *out) {
    static const char sparse[] = "sparse:";
    size_t which = 0;
    rs_ensemble value = {.kind = RS_SPARSE};
    if (strncmp(word, sparse, sizeof sparse - 1) == 0) {
        RS_TRY(rs_parse_positive(word + sizeof sparse - 1, &value.density));
        if (value.density > 1.0) return rs_fail(RS_EINPUT, "%.60s is above 1", word);
        return append(out, &value);
    }
    RS_TRY(rs_parse_listed(word, ensemble_word, &which));
    value.kind = (rs_ensemble_kind)which;
    return append(out, &value);
}

static int compare_ensembles(const void *a, const void *b) {
    return rs_compare_ensembles(*(const rs_ensemble *)a, *(const rs_ensemble *)b);
}

static const char *ensemble_text(const void *value, char buffer[64]) {
    return rs_ensemble_text(*(const rs_ensemble *)value, buffer);
}

static const entry_kind ensembles = {sizeof(rs_ensemble), read_ensemble, compare_ensembles,
                                     ensemble_text};

static rs_status set_ensemble(rs_spec *spec, const char *value) {
    void *at;
    RS_TRY(read_list(&ensembles, value, &at, &spec->n_ensemble));
    free(spec->ensemble);
    spec->ensemble = at;
    return RS_OK;
}

/* Of ascending radii. */
static rs_status check_radii(const double *rho, size_t n) {
    if (rho[0] >= RS_LEAST_RADIUS && rho[n - 1] <= RS_MOST_RADIUS) return RS_OK;
    return rs_fail(RS_EINPUT, "%g is not between %g and %g, the limits of range extension",
                   rho[0] < RS_LEAST_RADIUS ? rho[0] : rho[n - 1], RS_LEAST_RADIUS, RS_MOST_RADIUS);
}

static rs_status set_rho(rs_spec *spec, const char *value) {
    bool const native = strcmp(value, rho_word(0)) == 0;
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

static rs_status read_input(const char *word, entries *out) {
    rs_input value = {.kind = RS_INPUT_NOISE};
    if (strcmp(word, "zero") == 0)
        value.kind = RS_INPUT_ZERO;
    else if (strcmp(word, "pytorch") == 0)
        value.kind = RS_INPUT_PYTORCH;
    else if (strncmp(word, "noise:", 6) == 0)
        RS_TRY(rs_parse_positive(word + 6, &value.sigma));
    else
        return rs_fail_listed(word, input_word);
    return append(out, &value);
}

static int compare_inputs(const void *a, const void *b) {
    return rs_compare_inputs(*(const rs_input *)a, *(const rs_input *)b);
}

static const char *input_text(const void *value, char buffer[64]) {
    return rs_input_text(*(const rs_input *)value, buffer);
}

static const entry_kind inputs = {sizeof(rs_input), read_input, compare_inputs, input_text};

static rs_status set_input(rs_spec *spec, const char *value) {
    void *at;
    RS_TRY(read_list(&inputs, value, &at, &spec->n_input));
    free(spec->input);
    spec->input = at;
    return RS_OK;
}

static rs_status append_chrono(const char *text, entries *out) {
    rs_gate_bias value = {.kind = RS_BIAS_CHRONO};
    RS_TRY(rs_parse_positive(text, &value.value));
    if (!(value.value > 2.0))
        return rs_fail(RS_EINPUT,
                       "chrono:%.60s: TMAX must be above 2, for biases are ln U(1, TMAX "
                       "- 1)",
                       text);
    return append(out, &value);
}

/* A number or a range of them. */
static rs_status append_biases(const char *word, entries *out) {
    double *at = NULL;
    size_t n = 0;
    RS_TRY(rs_parse_signed_reals(word, &at, &n));
    rs_status status = RS_OK;
    for (size_t i = 0; i < n && status == RS_OK; ++i) {
        rs_gate_bias const value = {RS_BIAS_GIVEN, at[i] + 0.0}; /* which makes -0 a 0 */
        status = append(out, &value);
    }
    free(at);
    return status;
}

static rs_status read_gate_bias(const char *word, entries *out) {
    const char *const forms[] = {gate_bias_word(0), gate_bias_word(1), "a number"};
    static const char chrono[] = "chrono:";
    rs_gate_bias const drawn = {.kind = RS_BIAS_DRAWN};
    if (strcmp(word, forms[0]) == 0) return append(out, &drawn);
    if (strncmp(word, chrono, sizeof chrono - 1) == 0)
        return append_chrono(word + sizeof chrono - 1, out);
    bool const is_number = *word != '\0' && !isalpha((unsigned char)*word);
    return is_number ? append_biases(word, out) : rs_fail_word(word, forms, 3);
}

static int compare_gate_biases(const void *a, const void *b) {
    return rs_compare_gate_biases(*(const rs_gate_bias *)a, *(const rs_gate_bias *)b);
}

static const char *gate_bias_text(const void *value, char buffer[64]) {
    return rs_gate_bias_text(*(const rs_gate_bias *)value, buffer);
}

static const entry_kind gate_biases = {sizeof(rs_gate_bias), read_gate_bias, compare_gate_biases,
                                       gate_bias_text};

static rs_status set_gate_bias(rs_spec *spec, const char *value) {
    void *at;
    RS_TRY(read_list(&gate_biases, value, &at, &spec->n_gate_bias));
    free(spec->gate_bias);
    spec->gate_bias = at;
    return RS_OK;
}

static rs_status set_gate_scale(rs_spec *spec, const char *value) {
    size_t which = 0;
    RS_TRY(rs_parse_listed(value, gate_scale_word, &which));
    spec->gate_scale = (rs_gate_scale)which;
    return RS_OK;
}

static rs_status set_leak(rs_spec *spec, const char *value) {
    double *leak = NULL;
    size_t n = 0;
    RS_TRY(rs_parse_reals(value, &leak, &n));
    if (leak[n - 1] > 1.0) {
        rs_status const status = rs_fail(RS_EINPUT, "%g is above 1", leak[n - 1]);
        free(leak);
        return status;
    }
    free(spec->leak);
    spec->leak = leak;
    spec->n_leak = n;
    return RS_OK;
}

static rs_status set_h0(rs_spec *spec, const char *value) {
    rs_start h0 = {.kind = RS_START_NORMAL};
    if (strcmp(value, "zero") == 0)
        h0.kind = RS_START_ZERO;
    else if (strncmp(value, "normal:", 7) == 0)
        RS_TRY(rs_parse_positive(value + 7, &h0.sigma));
    else
        return rs_fail_listed(value, h0_word);
    spec->h0 = h0;
    return RS_OK;
}

static rs_status set_loss(rs_spec *spec, const char *value) {
    size_t which = 0;
    RS_TRY(rs_parse_listed(value, loss_word, &which));
    spec->loss = (rs_loss)which;
    return RS_OK;
}

static rs_status set_precision(rs_spec *spec, const char *value) {
    size_t which = 0;
    RS_TRY(rs_parse_listed(value, precision_word, &which));
    spec->precision = (rs_precision)which;
    return RS_OK;
}

static const char by_default[] = RS_BY_DEFAULT;

/* A whole number, or the one that stands for the default. */
static rs_status set_or_default(const rs_spec_key *key, const char *value,
                                size_t standing_for_default, size_t *out) {
    if (strcmp(value, by_default) != 0) return rs_parse_whole(value, key->least, key->most, out);
    *out = standing_for_default;
    return RS_OK;
}

static rs_status set_fit_skip(rs_spec *spec, const rs_spec_key *key, const char *value) {
    return set_or_default(key, value, SIZE_MAX, &spec->fit_skip);
}

static rs_status set_lyapunov(rs_spec *spec, const rs_spec_key *key, const char *value) {
    const char *const forms[] = {lyapunov_word(0), "a number"};
    if (strcmp(value, forms[0]) == 0) {
        spec->lyapunov = SIZE_MAX;
        return RS_OK;
    }
    bool const is_word = isalpha((unsigned char)*value) && strcmp(value, by_default) != 0;
    return is_word ? rs_fail_word(value, forms, 2) : set_or_default(key, value, 0, &spec->lyapunov);
}

static rs_status set_transient(rs_spec *spec, const rs_spec_key *key, const char *value) {
    return set_or_default(key, value, SIZE_MAX, &spec->transient);
}

static rs_status set_qr_every(rs_spec *spec, const rs_spec_key *key, const char *value) {
    return set_or_default(key, value, 0, &spec->qr_every);
}

static rs_status set_clip(rs_spec *spec, const char *value) {
    if (strcmp(value, by_default) != 0) return rs_parse_positive(value, &spec->clip);
    spec->clip = NAN;
    return RS_OK;
}

static rs_status set_engine(rs_spec *spec, const char *value) {
    size_t which = 0;
    char *copy;
    RS_TRY(rs_parse_listed(value, engine_word, &which));
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
    print_list(out, &ensembles, spec->ensemble, spec->n_ensemble);
}
static void print_reals(FILE *out, const double *at, size_t n) {
    char text[RS_REAL_TEXT];
    for (size_t i = 0; i < n; ++i) {
        rs_print_separator(out, i);
        fputs(rs_real_text(at[i], text), out);
    }
}
static void print_rho(FILE *out, const rs_spec *spec) {
    if (spec->native)
        fputs("native", out);
    else
        print_reals(out, spec->rho, spec->n_rho);
}
static void print_input(FILE *out, const rs_spec *spec) {
    print_list(out, &inputs, spec->input, spec->n_input);
}
static void print_gate_bias(FILE *out, const rs_spec *spec) {
    print_list(out, &gate_biases, spec->gate_bias, spec->n_gate_bias);
}
static void print_gate_scale(FILE *out, const rs_spec *spec) {
    fputs(rs_gate_scale_name(spec->gate_scale), out);
}
static void print_leak(FILE *out, const rs_spec *spec) {
    print_reals(out, spec->leak, spec->n_leak);
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
static void print_lyapunov(FILE *out, const rs_spec *spec) {
    if (spec->lyapunov == SIZE_MAX)
        fputs(lyapunov_word(0), out);
    else
        print_or_default(out, spec->lyapunov, 0);
}
static void print_transient(FILE *out, const rs_spec *spec) {
    print_or_default(out, spec->transient, SIZE_MAX);
}
static void print_qr_every(FILE *out, const rs_spec *spec) {
    print_or_default(out, spec->qr_every, 0);
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

/* A list, or the word that stands for an empty one. */
static rs_status set_wholes_or(const char *word, rs_spec *spec, const rs_spec_key *key,
                               const char *value) {
    uint64_t **const at = value_in(spec, key->offset);
    if (strcmp(value, word) != 0) return set_wholes(spec, key, value);
    free(*at);
    *at = NULL;
    *(size_t *)value_in(spec, key->offset_n) = 0;
    return RS_OK;
}
static void print_wholes_or(const char *word, FILE *out, const rs_spec *spec,
                            const rs_spec_key *key) {
    if (*(const size_t *)value_of(spec, key->offset_n) > 0)
        print_wholes(out, spec, key);
    else
        fputs(word, out);
}

/* All of them is an empty list. */
static rs_status set_devices(rs_spec *spec, const rs_spec_key *key, const char *value) {
    return set_wholes_or(devices_word(0), spec, key, value);
}
static void print_devices(FILE *out, const rs_spec *spec, const rs_spec_key *key) {
    print_wholes_or(devices_word(0), out, spec, key);
}

static rs_status set_singular_at(rs_spec *spec, const rs_spec_key *key, const char *value) {
    return set_wholes_or(by_default, spec, key, value);
}
static void print_singular_at(FILE *out, const rs_spec *spec, const rs_spec_key *key) {
    print_wholes_or(by_default, out, spec, key);
}

static rs_status read_shard(char *index, char *count, uint64_t most, rs_shard *out) {
    RS_TRY(rs_parse_whole(count, 1, most, &out->count));
    RS_TRY(rs_parse_whole(index, 0, UINT64_MAX, &out->index));
    if (out->index < out->count) return RS_OK;
    return rs_fail(RS_EINPUT, "%.20s/%.20s: shards of %.20s are numbered 0 to %" PRIu64, index,
                   count, count, out->count - 1);
}

static rs_status set_shard(rs_spec *spec, const rs_spec_key *key, const char *value) {
    char *text;
    rs_shard shard;
    if (!strchr(value, '/')) return rs_fail(RS_EINPUT, "\"%.60s\" is not I/N, such as 0/4", value);
    RS_TRY(rs_duplicate(value, &text));
    char *const slash = strchr(text, '/');
    *slash = '\0';
    rs_status const status = read_shard(text, slash + 1, key->most, &shard);
    free(text);
    RS_TRY(status);
    spec->shard = shard;
    return RS_OK;
}
static void print_shard(FILE *out, const rs_spec *spec) {
    fprintf(out, "%" PRIu64 "/%" PRIu64, spec->shard.index, spec->shard.count);
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
const rs_key_kind rs_kind_devices = {
    .set = set_devices, .print = print_devices, .owned = true, .word = devices_word};
const rs_key_kind rs_kind_path = {.set = set_path, .print = print_path, .owned = true};
const rs_key_kind rs_kind_switch = {.set = set_switch, .print = print_switch, .word = switch_word};

const rs_key_kind rs_kind_cell = {.set_own = set_cell, .print_own = print_cell, .word = cell_word};
const rs_key_kind rs_kind_ensemble = {
    .set_own = set_ensemble, .print_own = print_ensemble, .owned = true, .word = ensemble_word};
const rs_key_kind rs_kind_rho = {
    .set_own = set_rho, .print_own = print_rho, .owned = true, .word = rho_word};
const rs_key_kind rs_kind_input = {
    .set_own = set_input, .print_own = print_input, .owned = true, .word = input_word};
const rs_key_kind rs_kind_gate_bias = {
    .set_own = set_gate_bias, .print_own = print_gate_bias, .owned = true, .word = gate_bias_word};
const rs_key_kind rs_kind_gate_scale = {
    .set_own = set_gate_scale, .print_own = print_gate_scale, .word = gate_scale_word};
const rs_key_kind rs_kind_leak = {.set_own = set_leak, .print_own = print_leak, .owned = true};
const rs_key_kind rs_kind_h0 = {.set_own = set_h0, .print_own = print_h0, .word = h0_word};
const rs_key_kind rs_kind_loss = {.set_own = set_loss, .print_own = print_loss, .word = loss_word};
const rs_key_kind rs_kind_clip = {.set_own = set_clip, .print_own = print_clip};
const rs_key_kind rs_kind_fit_skip = {.set = set_fit_skip, .print_own = print_fit_skip};
const rs_key_kind rs_kind_lyapunov = {
    .set = set_lyapunov, .print_own = print_lyapunov, .word = lyapunov_word};
const rs_key_kind rs_kind_transient = {.set = set_transient, .print_own = print_transient};
const rs_key_kind rs_kind_qr_every = {.set = set_qr_every, .print_own = print_qr_every};
const rs_key_kind rs_kind_singular_at = {
    .set = set_singular_at, .print = print_singular_at, .owned = true};
const rs_key_kind rs_kind_precision = {
    .set_own = set_precision, .print_own = print_precision, .word = precision_word};
const rs_key_kind rs_kind_engine = {
    .set_own = set_engine, .print_own = print_engine, .owned = true, .word = engine_word};
const rs_key_kind rs_kind_shard = {.set = set_shard, .print_own = print_shard};
const rs_key_kind rs_kind_threads = {.set = set_threads, .print_own = print_threads};
const rs_key_kind rs_kind_memory = {.set = set_memory, .print_own = print_memory};
