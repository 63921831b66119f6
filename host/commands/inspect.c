#include "inspect.h"

#include "../plan/model.h"
#include "../work/spectrum.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static size_t count_nonfinite(const rs_array *array) {
    size_t n = 0;
    for (size_t i = 0; i < array->size; ++i) n += isfinite(array->data[i]) ? 0 : 1;
    return n;
}

/* A name from a file may hold anything, terminal codes included. Returns its length. */
static int print_name(const rs_array *array, FILE *out) {
    int const length = (int)strnlen(array->name, 200);
    for (int i = 0; i < length; ++i)
        fputc(iscntrl((unsigned char)array->name[i]) ? '?' : array->name[i], out);
    return length;
}

static void print_shape(const rs_array *array, FILE *out) {
    char text[RS_NPZ_MAX_DIMS * 24] = "scalar";
    size_t used = 0;
    for (size_t d = 0; d < array->n_dims; ++d)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%zu", d ? " x " : "",
                                 array->shape[d]);
    fprintf(out, "%-20s ", text);
}

static void print_array(const rs_array *array, FILE *out) {
    size_t const nonfinite = count_nonfinite(array);
    fputs("  ", out);
    int const length = print_name(array, out);
    fprintf(out, "%*s", length < 24 ? 24 - length : 1, "");
    print_shape(array, out);
    fprintf(out, "%-4s  ", array->dtype);
    if (nonfinite == 0)
        fputs("all finite\n", out);
    else
        fprintf(out, "%zu of %zu NOT FINITE\n", nonfinite, array->size);
}

static rs_status print_spectrum(const rs_array *array, FILE *out) {
    size_t const n = array->shape[0];
    double radius = 0.0;
    double *const s = malloc(n * sizeof *s);
    if (!s) return rs_fail(RS_EMEMORY, "%s: out of memory", array->name);
    rs_status status = rs_spectral_radius(n, array->data, &radius);
    if (status == RS_OK) status = rs_singular_values(n, array->data, s);
    if (status == RS_OK) {
        fputs("\n", out);
        print_name(array, out);
        fprintf(out, "\n  spectral radius rho          %.8g\n", radius);
        fprintf(out, "  coupling g = |W|_F/sqrt(H)   %.8g\n", rs_coupling(n, array->data));
        fprintf(out, "  largest singular value       %.8g\n", s[0]);
        fprintf(out, "  smallest singular value      %.8g\n", s[n - 1]);
        if (radius == 0.0)
            fputs("  All eigenvalues are 0: it cannot be scaled, take --rho native.\n", out);
    }
    free(s);
    return rs_fail_in(status, "%s", array->name);
}

static bool has_spectrum(const rs_array *array) {
    return strncmp(array->name, "weight_hh", strlen("weight_hh")) == 0 && array->n_dims == 2 &&
           array->shape[0] > 0 && array->shape[0] == array->shape[1] && count_nonfinite(array) == 0;
}

static rs_status print_arrays(const rs_npz *npz, const char *path, FILE *out) {
    fprintf(out, "%s: %zu array%s\n", path, npz->n, npz->n == 1 ? "" : "s");
    for (size_t i = 0; i < npz->n; ++i) print_array(&npz->array[i], out);
    for (size_t i = 0; i < npz->n; ++i)
        if (has_spectrum(&npz->array[i])) RS_TRY(print_spectrum(&npz->array[i], out));
    return RS_OK;
}

static void print_layer(const rs_model *model, const char *path, FILE *out) {
    static const char *const choices[][2] = {{"native", "as it is"},
                                             {"0.5:1.5:0.1", "scaled to these radii"}};
    fprintf(out, "\nA recurrent layer of %zu units", model->hidden);
    if (model->input_size) fprintf(out, " and %zu inputs", model->input_size);
    if (model->steps) fprintf(out, ", with %zu steps of input", model->steps);
    fputs(". To sweep it:\n", out);
    for (size_t i = 0; i < 2; ++i) {
        fprintf(out, "  rhosweep sweep --model %s --rho %-12s  # %s\n", path, choices[i][0],
                choices[i][1]);
    }
}

/* The same rules as those of a sweep say whether it is a layer. */
static rs_status print_verdict(const char *path, FILE *out) {
    rs_model model;
    rs_status const status = rs_model_read(path, &model);
    if (status == RS_EINPUT) {
        fprintf(out, "\nNot a layer that can be swept: %s\n", rs_message());
        return RS_OK;
    }
    RS_TRY(status);
    print_layer(&model, path, out);
    rs_model_free(&model);
    return RS_OK;
}

rs_status rs_inspect(const char *path, FILE *out) {
    rs_npz npz;
    RS_TRY(rs_npz_read(path, &npz));
    rs_status status = print_arrays(&npz, path, out);
    rs_npz_free(&npz);
    return status == RS_OK ? print_verdict(path, out) : status;
}
