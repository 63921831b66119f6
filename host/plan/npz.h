/* The .npz files that numpy.savez writes: a zip of .npy arrays (numpy format 1.0 - 3.0). */
#ifndef RS_NPZ_H
#define RS_NPZ_H

#include "arrays.h"

/* Reads every member that is a .npy array of little-endian float32 or float64, in C or Fortran
 * order; its name loses ".npy". RS_EINPUT, with the member's name, for anything else: a truncated
 * or damaged file, another dtype, pickled objects, too many dimensions, sizes that overflow or do
 * not match. On failure *out has what was read. */
rs_status rs_npz_read(const rs_file *file, rs_arrays *out);

#endif
