/* What OpenBLAS needs before it is called: no threads of its own, and room for its buffers. */
#ifndef RS_BLAS_H
#define RS_BLAS_H

#include "status.h"

/* Keeps BLAS and LAPACK to one thread from here on, so that no bit depends on threads. */
void rs_blas_on_one_thread(void);

/* Between these two a thread may call BLAS and LAPACK, on one thread. RS_EMEMORY where there is no
 * address space for OpenBLAS's buffer, for which it would retry forever; where there is little,
 * threads wait for each other and share one. After RS_OK alone there must be an end. */
rs_status rs_blas_begin(void);
void rs_blas_end(void);

#endif
