#include "thread.h"

#include <signal.h>
#include <stdio.h>
#include <time.h>

static double const look_after = 0.1; /* seconds after which who waits looks whether it is late */

bool rs_thread_start(rs_thread *thread, void *(*body)(void *), void *arg, bool signals) {
    sigset_t all, before;
    sigfillset(&all);
    if (!signals) pthread_sigmask(SIG_SETMASK, &all, &before);
    thread->runs = pthread_create(&thread->id, NULL, body, arg) == 0;
    if (!signals) pthread_sigmask(SIG_SETMASK, &before, NULL);
    return thread->runs;
}

void *rs_thread_end(rs_thread *thread, rs_status status) {
    thread->status = status;
    snprintf(thread->message, sizeof thread->message, "%s", status == RS_OK ? "" : rs_message());
    return NULL;
}

static bool ends_within(rs_thread *thread, double seconds) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (long)(1e9 * seconds);
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    return pthread_timedjoin_np(thread->id, NULL, &until) == 0;
}

bool rs_thread_wait(rs_thread *thread, bool (*late)(void *arg), void *late_arg) {
    bool over = false;
    while (thread->runs && !over) {
        over = late(late_arg);
        thread->runs = !ends_within(thread, over ? 0.0 : look_after);
    }
    return !thread->runs;
}

rs_status rs_thread_relay(const rs_thread *thread) {
    return thread->status == RS_OK ? RS_OK : rs_fail(thread->status, "%s", thread->message);
}
