#include "progress.h"

#include "../../kernels/base/clock.h"

#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { BAR_WIDTH = 24 };
static double const first_after = 1.0; /* seconds: nothing is shown for what ends at once */
static double const bar_every = 0.1, line_every = 5.0;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* for every progress: stderr is one */

void rs_progress_start(rs_progress *progress, bool quiet, size_t points, double total) {
    *progress = (rs_progress){
        .quiet = quiet,
        .terminal = isatty(STDERR_FILENO) != 0,
        .total = total,
        .started = rs_seconds(),
        .points = points,
    };
}

/* "1:02:03" or "2:03" */
static const char *clock_text(double seconds, char text[32]) {
    if (!isfinite(seconds) || seconds > 3.6e8) return "?";
    long const s = lround(seconds);
    if (s >= 3600)
        snprintf(text, 32, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, 32, "%ld:%02ld", s / 60, s % 60);
    return text;
}

static void draw(rs_progress *progress, double now) {
    double const part = progress->total > 0.0 ? fmin(progress->done / progress->total, 1.0) : 1.0;
    double const elapsed = now - progress->started;
    double const left = part > 0.0 ? elapsed * (1.0 - part) / part : INFINITY;
    char bar[BAR_WIDTH + 1], time_left[32];
    for (int i = 0; i < BAR_WIDTH; ++i) bar[i] = i < (int)(part * BAR_WIDTH) ? '#' : '.';
    bar[BAR_WIDTH] = '\0';
    fprintf(stderr, progress->terminal ? "\r\033[K[%s] %3.0f%%  " : "rhosweep: %.0s%3.0f%%  ", bar,
            100.0 * part);
    fprintf(stderr, "%zu of %zu points, %.3g/s, %s left%s", progress->points_done, progress->points,
            elapsed > 0.0 ? (double)progress->points_done / elapsed : 0.0,
            clock_text(left, time_left), progress->terminal ? "" : "\n");
    progress->shown = true;
    progress->last = now;
}

static void update(rs_progress *progress, size_t points, double done) {
    progress->points_done += points;
    progress->done = done;
    if (progress->quiet || progress->ended) return;
    double const now = rs_seconds();
    double const every = progress->terminal ? bar_every : line_every;
    if (progress->shown ? now - progress->last >= every : now - progress->started >= first_after)
        draw(progress, now);
}

void rs_progress_points(rs_progress *progress, size_t points, double done) {
    pthread_mutex_lock(&lock);
    update(progress, points, done);
    pthread_mutex_unlock(&lock);
}

void rs_progress_update(rs_progress *progress, double done) {
    rs_progress_points(progress, 0, done);
}

static void wipe(const rs_progress *progress) {
    if (progress->terminal && progress->shown) fputs("\r\033[K", stderr);
}

void rs_progress_end(rs_progress *progress) {
    pthread_mutex_lock(&lock);
    wipe(progress);
    progress->shown = false;
    progress->ended = true;
    pthread_mutex_unlock(&lock);
}

static void say(rs_progress *progress, const char *format, va_list args) {
    if (progress->ended) return;
    if (progress->line) {
        char text[1024];
        vsnprintf(text, sizeof text, format, args);
        progress->line(progress->line_arg, text);
        return;
    }
    wipe(progress);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    if (progress->terminal && progress->shown) draw(progress, rs_seconds());
}

void rs_progress_say(rs_progress *progress, const char *format, ...) {
    va_list args;
    va_start(args, format);
    pthread_mutex_lock(&lock);
    say(progress, format, args);
    pthread_mutex_unlock(&lock);
    va_end(args);
}
