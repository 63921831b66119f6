/* A file of weights, of whichever kind it is. */
#ifndef RS_ARRAY_FILE_H
#define RS_ARRAY_FILE_H

#include "arrays.h"

/* Reads a file of the kind that its first bytes say, whatever its name is: npz.h, safetensors.h.
 * RS_EINPUT, with the names of file and array, for anything that they do not read. Non-finite
 * values are read as they are. On failure *out is empty. */
rs_status rs_arrays_read(const char *path, rs_arrays *out);

/* The same from memory; `bytes` must outlive the call only. */
rs_status rs_arrays_read_memory(const void *bytes, size_t length, const char *name, rs_arrays *out);

#endif
