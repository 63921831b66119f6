/* Copies between the host's arrays and the device, through page-locked memory: copies from and to
 * pageable memory would wait for the stream. */
#ifndef RS_CUDA_TRANSFER_CUH
#define RS_CUDA_TRANSFER_CUH

#include "../base/status.h"

#include <cuda_runtime.h>
#include <stddef.h>

/* Bytes of a half of the page-locked memory. */
static const size_t PINNED_HALF = 512 << 10;

/* A stream and the page-locked memory of its copies, in two halves that take turns. */
struct channel {
    cudaStream_t stream;
    unsigned char *memory; /* [2][PINNED_HALF] */
    size_t half, used;     /* what is filled next */
    cudaEvent_t copied[2]; /* nothing is copied from or to the half any more */
};

/* Packs `rows` rows of `width` bytes, `pitch` apart, into device memory at `to`. The host's memory
 * is free when this returns. */
rs_status send_rows(channel *c, const void *from, size_t width, size_t pitch, size_t rows,
                    void *to);

/* Device memory at `from` into rows of the host's. Waits for all that the stream holds; one half is
 * emptied while the other is filled. */
rs_status receive_rows(channel *c, const void *from, void *to, size_t width, size_t pitch,
                       size_t rows);

/* So many numbers in one piece. */
rs_status send_numbers(channel *c, const double *from, size_t count, double *to);

#endif
