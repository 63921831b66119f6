#include "inspect.h"

#include "../plan/array_file.h"
#include "../plan/model.h"
#include "../spec/quote.h"
#include "../work/spectrum.h"

#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static size_t count_nonfinite(const rs_array *array) {
    size_t n = 0;
    for (size_t i = 0; i < array->size; ++i) n += isfinite(array->data[i]) ? 0 : 1;
    return n;
}

enum { MOST_OF_A_NAME = 200 };

static void print_shape(const rs_array *array, FILE *out) {
    char text[RS_MAX_DIMS * 24] = "scalar";
    size_t used = 0;
    for (size_t d = 0; d < array->n_dims; ++d)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%zu", d ? " x " : "",
                                 array->shape[d]);
    fprintf(out, "%-20s ", text);
}

static void print_array(const rs_array *array, FILE *out) {
    size_t const nonfinite = count_nonfinite(array);
    fputs("  ", out);
    int const length = rs_print_plain(out, array->name, MOST_OF_A_NAME);
    fprintf(out, "%*s", length < 24 ? 24 - length : 1, "");
    print_shape(array, out);
    fprintf(out, "%-4s  ", array->dtype);
    if (nonfinite == 0)
        fputs("all finite\n", out);
    else
        fprintf(out, "%zu of %zu NOT FINITE\n", nonfinite, array->size);
}

/* ---- spectra --------------------------------------------------------------------------------- */

/* One gate's block of weight_hh, or all of it. */
typedef struct block {
    const rs_array *array;
    const char *gate; /* NULL for all of it */
    const double *weight;
    size_t n;          /* rows */
    bool is_candidate; /* whose radius is the layer's */
} block;

/* The array that a sweep scales. */
static bool is_layer(const rs_array *array) {
    return strcmp(array->name, "weight_hh") == 0 || strcmp(array->name, "weight_hh_l0") == 0;
}

static bool has_spectrum(const rs_array *array) {
    return strncmp(array->name, "weight_hh", strlen("weight_hh")) == 0 && array->n_dims == 2 &&
           array->size > 0 && count_nonfinite(array) == 0;
}

/* Its cell by its blocks; false where it has none. */
static bool cell_of(const rs_array *array, rs_cell *cell) {
    static const rs_cell cells[] = {RS_TANH, RS_LSTM, RS_GRU};
    for (size_t i = 0; i < sizeof cells / sizeof *cells; ++i) {
        *cell = cells[i];
        if (array->shape[0] == rs_cell_of(*cell)->gates * array->shape[1]) return true;
    }
    return false;
}

/* In PyTorch's order. */
static const char *gate_name(rs_cell cell, size_t k) {
    static const char *const lstm[] = {"i, input", "f, forget", "g, candidate", "o, output"};
    static const char *const gru[] = {"r, reset", "z, update", "n, candidate"};
    return cell == RS_LSTM ? lstm[k] : cell == RS_GRU ? gru[k] : NULL;
}

/* LAPACK's work on a matrix, in units of which a core of 2024 does about 2e9 in a second. */
static double cost_of(const block *b) {
    double const n = (double)b->n;
    return n * n * n;
}

typedef struct spectrum {
    double radius, largest, smallest;
} spectrum;

static rs_status measure(const block *b, spectrum *out) {
    double *const s = calloc(b->n, sizeof *s);
    if (!s) return rs_fail(RS_EMEMORY, "out of memory");
    rs_status status = rs_spectral_radius(b->n, b->weight, &out->radius);
    if (status == RS_OK) status = rs_singular_values(b->n, b->weight, s);
    out->largest = s[0];
    out->smallest = s[b->n - 1];
    free(s);
    return status;
}

static void print_values(const block *b, const spectrum *values, FILE *out) {
    fprintf(out, "  spectral radius rho          %.8g\n", values->radius);
    fprintf(out, "  largest singular value       %.8g\n", values->largest);
    fprintf(out, "  smallest singular value      %.8g\n", values->smallest);
    if (values->radius == 0.0 && b->is_candidate)
        fputs("  All eigenvalues are 0: it cannot be scaled, take --rho native.\n", out);
}

static void print_heading(const block *b, FILE *out) {
    fputs("\n", out);
    rs_print_plain(out, b->array->name, MOST_OF_A_NAME);
    if (b->gate) fprintf(out, ", gate %s", b->gate);
    fprintf(out, "\n  coupling g = |W|_F/sqrt(H)   %.8g\n", rs_coupling(b->n, b->weight));
}

/* Seconds of work are announced; more of it than fits into `*left` is not done. */
static rs_status print_spectrum(const block *b, double *left, double *radius, FILE *out) {
    static double const announced = 1e9;
    double const cost = cost_of(b);
    spectrum values;
    print_heading(b, out);
    if (cost > *left) {
        fputs("  Its eigenvalues take too long here: a sweep with --rho native has its rho.\n",
              out);
        return RS_OK;
    }
    *left -= cost;
    if (cost > announced) {
        fflush(out);
        fprintf(stderr, "rhosweep: inspect: eigenvalues and singular values of %zu x %zu\n", b->n,
                b->n);
    }
    rs_status const status = measure(b, &values);
    if (status == RS_EINPUT) {
        fprintf(out, "  no spectrum: %s\n", rs_message());
        return RS_OK;
    }
    RS_TRY(rs_fail_in(status, "%s", b->array->name));
    print_values(b, &values, out);
    *radius = values.radius;
    return RS_OK;
}

/* Of every gate; *radius becomes that of the layer, its candidate's. */
static rs_status print_spectra(const rs_array *array, double *left, double *radius, FILE *out) {
    rs_cell cell;
    if (!has_spectrum(array) || !cell_of(array, &cell)) return RS_OK;
    size_t const n = array->shape[1];
    for (size_t k = 0; k < rs_cell_of(cell)->gates; ++k) {
        block const b = {array, gate_name(cell, k), array->data + k * n * n, n,
                         k == rs_cell_of(cell)->candidate};
        double its_radius = 0.0;
        RS_TRY(print_spectrum(&b, left, &its_radius, out));
        if (is_layer(array) && b.is_candidate) *radius = its_radius;
    }
    return RS_OK;
}

/* *radius is that of the layer; 0 where it has none, or was not measured. */
static rs_status print_arrays(const rs_arrays *arrays, const char *path, double *radius,
                              FILE *out) {
    double left = 2e10; /* one matrix of 2700 rows, or many small ones: about 15 seconds */
    *radius = 0.0;
    rs_print_plain(out, path, INT_MAX);
    fprintf(out, ": %zu array%s\n", arrays->n, arrays->n == 1 ? "" : "s");
    for (size_t i = 0; i < arrays->n; ++i) print_array(&arrays->array[i], out);
    for (size_t i = 0; i < arrays->n; ++i)
        RS_TRY(print_spectra(&arrays->array[i], &left, radius, out));
    return RS_OK;
}

/* ---- the verdict ----------------------------------------------------------------------------- */

static void print_command(const char *path, const char *rho, const char *what, FILE *out) {
    fputs("  rhosweep sweep --model ", out);
    rs_quote_path(out, path);
    fprintf(out, " --rho %-12s  # %s\n", rho, what);
}

static void print_layer(const rs_model *model, double radius, const char *path, FILE *out) {
    fprintf(out, "\nA recurrent layer, %s of %zu units", rs_model_kind(model), model->hidden);
    if (model->input_size) fprintf(out, " and %zu inputs", model->input_size);
    if (model->steps) fprintf(out, ", with %zu steps of input", model->steps);
    if (model->h0 || model->c0)
        fprintf(out, ", with %s%s%s", model->h0 ? "h0" : "", model->h0 && model->c0 ? " and " : "",
                model->c0 ? "c0" : "");
    fputs(". To sweep it:\n", out);
    print_command(path, "native", "as it is", out);
    bool const can_be_scaled = radius > 0.0 && isfinite(1.5 / radius);
    if (can_be_scaled) print_command(path, "0.5:1.5:0.1", "scaled to these radii", out);
}

/* The same rules as those of a sweep say whether it is a layer. */
static rs_status print_verdict(const char *path, double radius, FILE *out) {
    rs_model model;
    rs_status const status = rs_model_read(path, &model);
    if (status == RS_EINPUT) {
        fprintf(out, "\nNot a layer that can be swept: %s\n", rs_message());
        return RS_OK;
    }
    RS_TRY(status);
    print_layer(&model, radius, path, out);
    rs_model_free(&model);
    return RS_OK;
}

rs_status rs_inspect(const char *path, FILE *out) {
    rs_arrays arrays;
    double radius;
    RS_TRY(rs_arrays_read(path, &arrays));
    rs_status status = print_arrays(&arrays, path, &radius, out);
    rs_arrays_free(&arrays);
    return status == RS_OK ? print_verdict(path, radius, out) : status;
}
