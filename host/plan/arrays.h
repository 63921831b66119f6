/* Named arrays out of a file of weights, .npz or .safetensors. */
#ifndef RS_ARRAYS_H
#define RS_ARRAYS_H

#include "../../kernels/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RS_MAX_DIMS = 4, RS_MAX_ARRAYS = 256 };

/* Of all arrays of a file; 4 GiB as doubles. */
#define RS_MAX_ARRAY_VALUES (UINT64_C(1) << 29)

typedef struct rs_array {
    char *name;    /* "weight_hh_l0" */
    char dtype[8]; /* as in the file: "<f4", "<f8"; "F32", "BF16", ... */
    size_t n_dims;
    size_t shape[RS_MAX_DIMS]; /* as in the file */
    size_t size;               /* product of shape */
    double *data;              /* [size] in C order, widened exactly */
} rs_array;

typedef struct rs_arrays {
    rs_array *array; /* [n] in the file's order */
    size_t n;
} rs_arrays;

/* The array of that name, or NULL. */
const rs_array *rs_arrays_find(const rs_arrays *arrays, const char *name);

void rs_arrays_free(rs_arrays *arrays);

/* ---- for the readers of one kind ------------------------------------------------------------- */

/* A file, or what would be in it. */
typedef struct rs_file {
    const char *path;  /* NULL: */
    const void *bytes; /* [length] */
    uint64_t length;
} rs_file;

/* Room for n arrays, none of them there yet. */
rs_status rs_arrays_make(size_t n, rs_arrays *out);

/* Sets size from shape. RS_EINPUT where the product overflows. */
rs_status rs_array_measure(rs_array *array);

/* Zeros for data, within the rest of RS_MAX_ARRAY_VALUES. */
rs_status rs_array_make(rs_array *array, uint64_t *values_left);

/* True without control characters. */
bool rs_array_name_is_plain(const char *name);

/* One little-endian number, exactly. */
double rs_widen_f32(const unsigned char *bytes);
double rs_widen_f64(const unsigned char *bytes);

#endif
