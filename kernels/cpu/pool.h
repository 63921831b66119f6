/* Threads that share out numbered items of work. They belong to one caller, sleep while there is
 * nothing to do, and wait awake for a few microseconds at most, so that another program on the same
 * cores takes its share and no more. */
#ifndef RS_POOL_H
#define RS_POOL_H

#include "../base/status.h"

#include <stddef.h>

typedef struct rs_pool rs_pool;

/* Does one item. `thread` is below the `threads` of the run and differs between items that are done
 * at the same time; it is 0 on the caller's thread and only there. */
typedef void (*rs_pool_work)(void *arg, size_t item, int thread);

/* A pool of `threads` >= 1 threads, the caller's included. The others block all signals, which
 * therefore reach the threads that were there before. RS_EDEVICE where the system has no more
 * threads to give; then none is left behind. */
rs_status rs_pool_open(int threads, rs_pool **out);

/* Does the items 0 .. items - 1, each once, on at most `threads` threads of the pool, and returns
 * when all are done. They are taken up in ascending order. The calling thread works too; a thread
 * that wakes up too late is not waited for. One run at a time. */
void rs_pool_run(rs_pool *pool, int threads, size_t items, rs_pool_work work, void *arg);

/* Ends the threads and frees the pool; NULL is allowed. */
void rs_pool_close(rs_pool *pool);

#endif
