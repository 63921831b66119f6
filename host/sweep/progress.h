/* Progress on stderr: a bar on a terminal, a line every few seconds elsewhere, nothing if quiet. */
#ifndef RS_PROGRESS_H
#define RS_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

/* After the start any thread may call the others. */
typedef struct rs_progress {
    bool quiet, terminal, shown, ended;
    double total, done; /* in units of work */
    double started, last;
    size_t points, points_done;
    void (*line)(void *arg, const char *text); /* what is said goes there; NULL for stderr */
    void *line_arg;
} rs_progress;

void rs_progress_start(rs_progress *progress, bool quiet, size_t points, double total);

/* Work done so far, of `total`; prints at most ten times a second on a terminal. */
void rs_progress_update(rs_progress *progress, double done);
/* Likewise, and so many points more are finished. */
void rs_progress_points(rs_progress *progress, size_t points, double done);
/* Nothing is shown any more, whatever is called. Also for a zeroed one. */
void rs_progress_end(rs_progress *progress);

/* A line for the user that does not tear the bar. No line break at its end. */
void rs_progress_say(rs_progress *progress, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
