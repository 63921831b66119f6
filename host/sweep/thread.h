/* thread: a POSIX thread with an outcome, which is waited for no longer than one likes. */
#ifndef RS_THREAD_H
#define RS_THREAD_H

#include "../../kernels/base/status.h"

#include <pthread.h>
#include <stdbool.h>

typedef struct rs_thread {
    pthread_t id;
    bool runs;
    rs_status status;   /* once it has ended */
    char message[1024]; /* messages belong to threads */
} rs_thread;

/* Whether it could be started; signals it gets none unless `signals`. */
bool rs_thread_start(rs_thread *thread, void *(*body)(void *), void *arg, bool signals);

/* Keeps the outcome of the calling thread's body for the one that waits; what the body returns. */
void *rs_thread_end(rs_thread *thread, rs_status status);

/* Waits for it to end, until `late` says so; whether it has. */
bool rs_thread_wait(rs_thread *thread, bool (*late)(void *arg), void *late_arg);

/* The thread's failure as one of the caller's. */
rs_status rs_thread_relay(const rs_thread *thread);

#endif
