/* rhosweep inspect: what is in a file of weights, for people. */
#ifndef RS_INSPECT_H
#define RS_INSPECT_H

#include "../../kernels/base/status.h"

#include <stdio.h>

/* Describes the arrays of a .npz or .safetensors file, the spectra of its recurrent weights, and
 * whether Rhosweep can sweep them. RS_EINPUT for a file that cannot be read; RS_OK with the reason
 * printed for one that holds no recurrent layer. Bounded in time: matrices that would take longer
 * are named, and what takes seconds is announced on stderr. */
rs_status rs_inspect(const char *path, FILE *out);

#endif
