#include "model.h"

#include "../spec/quote.h"
#include "../spec/words.h"
#include "array_file.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_SIZE = 32 };

/* "weight_hh_l0" or "weight_hh"; NULL without either, an error with both. */
static rs_status find(const rs_arrays *file, const char *name, const rs_array **out) {
    char layered[NAME_SIZE] = "";
    strcat(strcat(layered, name), "_l0");
    const rs_array *plain = rs_arrays_find(file, name);
    const rs_array *with_layer = rs_arrays_find(file, layered);
    if (plain && with_layer)
        return rs_fail(RS_EINPUT, "%s: given twice, also as %s: keep one", name, layered);
    *out = plain ? plain : with_layer;
    return RS_OK;
}

static bool ends_with(const char *text, const char *end) {
    size_t const length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

static bool begins_with(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}

/* weight_hh_l1, bias_ih_l0_reverse and the like. */
static bool is_of_other_layer(const char *name) {
    static const char *const prefix[] = {"weight_ih_l", "weight_hh_l", "bias_ih_l", "bias_hh_l"};
    for (size_t p = 0; p < sizeof prefix / sizeof prefix[0]; ++p)
        if (begins_with(name, prefix[p]) && strcmp(name + strlen(prefix[p]), "0") != 0) return true;
    return false;
}

static rs_status refuse_what_is_not_supported(const rs_arrays *file) {
    for (size_t i = 0; i < file->n; ++i) {
        const char *const name = file->array[i].name;
        if (begins_with(name, "weight_hr"))
            return rs_fail(RS_EINPUT, "%.60s: an LSTM with projections is not supported", name);
        if (is_of_other_layer(name))
            return rs_fail(RS_EINPUT,
                           "%.60s: more than one layer or direction is not supported: save one "
                           "layer alone, its arrays named _l0",
                           name);
    }
    return RS_OK;
}

static const char *const known[] = {"weight_hh", "weight_hh_l0", "weight_ih", "weight_ih_l0",
                                    "bias_ih",   "bias_ih_l0",   "bias_hh",   "bias_hh_l0",
                                    "input",     "h0",           "c0"};
enum { N_KNOWN = sizeof known / sizeof *known, MOST_OF_A_NAME = 60 };

static bool is_known(const char *name) {
    for (size_t i = 0; i < N_KNOWN; ++i)
        if (strcmp(name, known[i]) == 0) return true;
    return false;
}

/* An array that looks like part of the layer, and would be missed. */
static rs_status refuse_near_names(const rs_arrays *file) {
    for (size_t i = 0; i < file->n; ++i) {
        const char *const name = file->array[i].name;
        if (is_known(name)) continue;
        const char *const nearest = rs_nearest_word(name, known, N_KNOWN);
        if (nearest)
            return rs_fail(RS_EINPUT, "%.60s: is not an array of a layer; did you mean %s?", name,
                           nearest);
        if (begins_with(name, "weight_") || begins_with(name, "bias_"))
            return rs_fail(RS_EINPUT,
                           "%.60s: is not read, but may change what the layer computes: leave it "
                           "out of the file",
                           name);
    }
    return RS_OK;
}

static rs_status list_unused(rs_model *m) {
    size_t length = 0, n = 0;
    FILE *const out = open_memstream(&m->unused, &length);
    if (!out) return rs_fail(RS_EMEMORY, "no memory for names");
    for (size_t i = 0; i < m->file.n; ++i) {
        if (is_known(m->file.array[i].name)) continue;
        fputs(n++ ? ", " : "", out);
        rs_print_plain(out, m->file.array[i].name, MOST_OF_A_NAME);
    }
    if (fclose(out) != 0) return rs_fail(RS_EMEMORY, "no memory for names");
    if (n > 0) return RS_OK;
    free(m->unused);
    m->unused = NULL;
    return RS_OK;
}

static rs_status check_finite(const rs_array *a) {
    for (size_t i = 0; i < a->size; ++i)
        if (!isfinite(a->data[i]))
            return rs_fail(RS_EINPUT, "%s: value %zu of %zu is %g; all must be finite", a->name,
                           i + 1, a->size, a->data[i]);
    return RS_OK;
}

static rs_status check_dims(const rs_array *a, size_t n_dims, const char *wanted) {
    if (a->n_dims != n_dims)
        return rs_fail(RS_EINPUT, "%s: has %zu dimensions, must be %s", a->name, a->n_dims, wanted);
    for (size_t d = 0; d < n_dims; ++d)
        if (a->shape[d] == 0)
            return rs_fail(RS_EINPUT, "%s: is empty, must be %s", a->name, wanted);
    return check_finite(a);
}

static rs_status check_length(const rs_array *a, size_t length, size_t expected, const char *what) {
    if (length == expected) return RS_OK;
    return rs_fail(RS_EINPUT, "%s: %s is %zu, must be %zu as in the other arrays", a->name, what,
                   length, expected);
}

static rs_status no_weight_hh(const rs_arrays *file) {
    for (size_t i = 0; i < file->n; ++i) {
        const char *name = file->array[i].name;
        if (ends_with(name, ".weight_hh_l0") || ends_with(name, ".weight_hh"))
            return rs_fail(RS_EINPUT, "weight_hh_l0: missing; save %s and its kind without '%.*s'",
                           name, (int)(strrchr(name, '.') + 1 - name), name);
    }
    return rs_fail(RS_EINPUT, "weight_hh_l0: missing; keys are those of the state_dict of nn.RNN, "
                              "nn.LSTM or nn.GRU");
}

typedef struct kind {
    rs_cell cell;
    const char *name;
} kind;

static const kind kinds[] = {{RS_TANH, "an nn.RNN"}, {RS_LSTM, "an LSTM"}, {RS_GRU, "a GRU"}};

const char *rs_model_kind(const rs_model *model) {
    const kind *at = kinds;
    while (at->cell != model->cell) ++at;
    return at->name;
}

static size_t rows_of(const rs_model *m) { return rs_cell_of(m->cell)->gates * m->hidden; }

static rs_status take_weight_hh(rs_model *m) {
    const rs_array *a = NULL;
    RS_TRY(find(&m->file, "weight_hh", &a));
    if (!a) return no_weight_hh(&m->file);
    RS_TRY(check_dims(a, 2, "[H][H], [3 H][H] or [4 H][H]"));
    size_t const rows = a->shape[0], columns = a->shape[1];
    m->hidden = columns;
    m->weight_hh = a->data;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; ++i) {
        m->cell = kinds[i].cell;
        if (rows == rows_of(m)) return RS_OK;
    }
    return rs_fail(
        RS_EINPUT,
        "%s: is [%zu][%zu], must be square for an nn.RNN, [3 H][H] for a GRU or [4 H][H] "
        "for an LSTM",
        a->name, rows, columns);
}

/* Of weight_ih and the biases. */
static rs_status check_rows(const rs_array *a, const rs_model *m) {
    bool const gated = rs_cell_is_gated(m->cell);
    return check_length(a, a->shape[0], rows_of(m), gated ? "the number of rows" : "H");
}

static rs_status take_weight_ih(rs_model *m) {
    const rs_array *a = NULL;
    RS_TRY(find(&m->file, "weight_ih", &a));
    if (!a) return RS_OK;
    RS_TRY(check_dims(a, 2, "[K H][I]"));
    RS_TRY(check_rows(a, m));
    m->input_size = a->shape[1];
    m->weight_ih = a->data;
    return RS_OK;
}

static rs_status take_bias(rs_model *m, const char *name, const double **bias) {
    const rs_array *a = NULL;
    RS_TRY(find(&m->file, name, &a));
    if (!a) return RS_OK;
    RS_TRY(check_dims(a, 1, "[K H]"));
    RS_TRY(check_rows(a, m));
    *bias = a->data;
    return RS_OK;
}

static rs_status take_input(rs_model *m) {
    const rs_array *a = rs_arrays_find(&m->file, "input");
    if (!a) return RS_OK;
    RS_TRY(check_dims(a, 3, "[T][B][I]"));
    if (m->weight_ih) RS_TRY(check_length(a, a->shape[2], m->input_size, "I"));
    m->steps = a->shape[0];
    m->batch = a->shape[1];
    m->input_size = a->shape[2];
    m->input = a->data;
    return RS_OK;
}

/* PyTorch's [layers][B][H], with one layer, is the same as [B][H]. */
static rs_status take_state(rs_model *m, const char *name, const double **state) {
    const rs_array *a = rs_arrays_find(&m->file, name);
    if (!a) return RS_OK;
    bool const layered = a->n_dims == 3;
    RS_TRY(check_dims(a, layered ? 3 : 2, "[B][H] or [1][B][H]"));
    if (layered) RS_TRY(check_length(a, a->shape[0], 1, "the number of layers"));
    const size_t *shape = a->shape + (layered ? 1 : 0);
    if (m->batch) RS_TRY(check_length(a, shape[0], m->batch, "B"));
    RS_TRY(check_length(a, shape[1], m->hidden, "H"));
    m->batch = shape[0];
    *state = a->data;
    return RS_OK;
}

static rs_status take_c0(rs_model *m) {
    if (rs_arrays_find(&m->file, "c0") && rs_cell_of(m->cell)->states < 2)
        return rs_fail(RS_EINPUT, "c0: %s has none; leave it out of the file", rs_model_kind(m));
    return take_state(m, "c0", &m->c0);
}

/* FNV-1a, 64 bits (Fowler, Noll, Vo; draft-eastlake-fnv). */
static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t length) {
    const unsigned char *at = bytes;
    for (size_t i = 0; i < length; ++i) hash = (hash ^ at[i]) * 0x100000001b3u;
    return hash;
}

static uint64_t hash_array(uint64_t hash, const char *name, const double *data, size_t n_dims,
                           const size_t *shape) {
    if (!data) return hash;
    size_t size = 1;
    hash = hash_bytes(hash, name, strlen(name) + 1);
    hash = hash_bytes(hash, &n_dims, sizeof n_dims);
    for (size_t d = 0; d < n_dims; ++d) {
        hash = hash_bytes(hash, &shape[d], sizeof shape[d]);
        size *= shape[d];
    }
    return hash_bytes(hash, data, size * sizeof *data);
}

/* By the names and shapes of rs_model, so that "_l0" or [1][B][H] in the file make no difference.
 */
static uint64_t digest(const rs_model *m) {
    size_t const h = m->hidden, rows = rows_of(m), i = m->input_size, b = m->batch;
    uint64_t hash = 0xcbf29ce484222325u;
    hash = hash_array(hash, "weight_hh", m->weight_hh, 2, (const size_t[]){rows, h});
    hash = hash_array(hash, "weight_ih", m->weight_ih, 2, (const size_t[]){rows, i});
    hash = hash_array(hash, "bias_ih", m->bias_ih, 1, (const size_t[]){rows});
    hash = hash_array(hash, "bias_hh", m->bias_hh, 1, (const size_t[]){rows});
    hash = hash_array(hash, "input", m->input, 3, (const size_t[]){m->steps, b, i});
    hash = hash_array(hash, "h0", m->h0, 2, (const size_t[]){b, h});
    return hash_array(hash, "c0", m->c0, 2, (const size_t[]){b, h});
}

static rs_status take_arrays(rs_model *m) {
    RS_TRY(refuse_what_is_not_supported(&m->file));
    RS_TRY(refuse_near_names(&m->file));
    RS_TRY(list_unused(m));
    RS_TRY(take_weight_hh(m));
    RS_TRY(take_weight_ih(m));
    RS_TRY(take_bias(m, "bias_ih", &m->bias_ih));
    RS_TRY(take_bias(m, "bias_hh", &m->bias_hh));
    RS_TRY(take_input(m));
    RS_TRY(take_state(m, "h0", &m->h0));
    RS_TRY(take_c0(m));
    m->digest = digest(m);
    return RS_OK;
}

rs_status rs_model_read(const char *path, rs_model *out) {
    *out = (rs_model){0};
    RS_TRY(rs_arrays_read(path, &out->file));
    const char *slash = strrchr(path, '/');
    out->name = strdup(slash ? slash + 1 : path);
    rs_status const status =
        out->name ? take_arrays(out) : rs_fail(RS_EMEMORY, "no memory for a name");
    if (status != RS_OK) rs_model_free(out);
    return rs_fail_in(status, "%s", path);
}

void rs_model_free(rs_model *model) {
    rs_arrays_free(&model->file);
    free(model->name);
    free(model->unused);
    *model = (rs_model){0};
}
