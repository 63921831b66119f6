#include "blas.h"

#include <cblas.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>

/* OpenBLAS has a buffer of 128 MiB, mostly untouched, for every thread that is in a call at once,
 * and keeps it. */
static size_t const buffer_bytes = (size_t)129 << 20;
enum { MOST_BUFFERS = 33 }; /* the helpers of a sweep, and the thread of the engine reference */

static pthread_once_t prepared = PTHREAD_ONCE_INIT;
static bool ample;                                                /* room for all of them */
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER; /* where it is not */
static bool has_buffer;

/* Address space alone counts: memory is not taken before it is written to. */
static bool has_room_for(size_t buffers) {
    size_t const bytes = buffers * buffer_bytes;
    void *const room = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return room != MAP_FAILED && munmap(room, bytes) == 0;
}

static void prepare(void) {
    openblas_set_num_threads(1);
    ample = has_room_for(MOST_BUFFERS);
}

void rs_blas_on_one_thread(void) { (void)pthread_once(&prepared, prepare); }

/* The smallest call that takes a buffer; small products take none. */
static void take_buffer(void) {
    double const one = 1.0;
    double square = 0.0;
    cblas_dsyrk(CblasColMajor, CblasUpper, CblasNoTrans, 1, 1, 1.0, &one, 1, 0.0, &square, 1);
}

rs_status rs_blas_begin(void) {
    rs_blas_on_one_thread();
    if (ample) return RS_OK;
    pthread_mutex_lock(&one_at_a_time);
    if (!has_buffer && has_room_for(1)) {
        take_buffer();
        has_buffer = true;
    }
    if (has_buffer) return RS_OK;
    pthread_mutex_unlock(&one_at_a_time);
    return rs_fail(RS_EMEMORY,
                   "no memory for LAPACK: it needs %zu MiB of address space: "
                   "raise the limit (ulimit -v)",
                   buffer_bytes >> 20);
}

void rs_blas_end(void) {
    if (!ample) pthread_mutex_unlock(&one_at_a_time);
}
