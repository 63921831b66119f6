/* rhosweep merge: puts databases together, with progress and a summary for people. */
#ifndef RS_COMMAND_MERGE_H
#define RS_COMMAND_MERGE_H

#include "../../kernels/base/status.h"

#include <stdio.h>

/* Merges databases [n] into the first of them, as rs_store_merge does. */
rs_status rs_merge(const char *const *databases, size_t n, FILE *out);

#endif
