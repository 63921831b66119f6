/* Reads the .npz files that numpy.savez writes: a zip of .npy arrays (numpy format 1.0 - 3.0). */
#ifndef RS_NPZ_H
#define RS_NPZ_H

#include "../../kernels/base/status.h"

#include <stddef.h>

enum { RS_NPZ_MAX_DIMS = 4, RS_NPZ_MAX_ARRAYS = 256 };

typedef struct rs_array {
    char *name;    /* member name without ".npy" */
    char dtype[8]; /* "<f4", "<f8", ... as in the file */
    size_t n_dims;
    size_t shape[RS_NPZ_MAX_DIMS]; /* as in the file */
    size_t size;                   /* product of shape */
    double *data;                  /* [size] in C order, widened exactly */
} rs_array;

typedef struct rs_npz {
    rs_array *array; /* [n] in the file's order */
    size_t n;
} rs_npz;

/* Reads every member that is a .npy array of little-endian float32 or float64, in C or Fortran
 * order. RS_EINPUT, with the file's and the member's name, for anything else: a missing,
 * truncated or damaged file, another dtype, pickled objects, too many dimensions, sizes that
 * overflow or do not match. Non-finite values are read as they are. On failure *out is empty. */
rs_status rs_npz_read(const char *path, rs_npz *out);

/* The same from memory; `bytes` must outlive the call only. */
rs_status rs_npz_read_memory(const void *bytes, size_t length, const char *name, rs_npz *out);

/* The array of that name, or NULL. */
const rs_array *rs_npz_find(const rs_npz *npz, const char *name);

void rs_npz_free(rs_npz *npz);

#endif
