/* Seconds between events of a stream. */
#ifndef RS_CUDA_CLOCK_CUH
#define RS_CUDA_CLOCK_CUH

#include "check.cuh"

/* Of two events that have come. */
static inline rs_status add_time(cudaEvent_t from, cudaEvent_t to, double *seconds) {
    float milliseconds;
    CUDA_TRY(cudaEventElapsedTime(&milliseconds, from, to));
    *seconds += 1e-3 * (double)milliseconds;
    return RS_OK;
}

/* Adds up the times of many short parts of a way: a pair of events for each, over again. */
struct part_clock {
    enum { PAIRS = 16 };
    cudaEvent_t begin[PAIRS], end[PAIRS];
    size_t taken, read; /* pairs so far */

    rs_status read_oldest(double *seconds) {
        size_t const pair = read++ % PAIRS;
        CUDA_TRY(cudaEventSynchronize(end[pair]));
        return add_time(begin[pair], end[pair], seconds);
    }
    /* Waits for a part of long ago where all pairs are in use. */
    rs_status start(cudaStream_t stream, double *seconds) {
        if (taken - read == PAIRS) RS_TRY(read_oldest(seconds));
        CUDA_TRY(cudaEventRecord(begin[taken % PAIRS], stream));
        return RS_OK;
    }
    rs_status stop(cudaStream_t stream) {
        CUDA_TRY(cudaEventRecord(end[taken++ % PAIRS], stream));
        return RS_OK;
    }
    /* Those that are left, once the stream has come to their end. */
    rs_status read_all(double *seconds) {
        while (read < taken) RS_TRY(read_oldest(seconds));
        return RS_OK;
    }
};

#endif
