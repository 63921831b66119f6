/* live: tells runs that still work from runs that ended without recording it, killed or on a full
 * disk.
 *
 * A run holds a lock on a byte of its own in the database file for as long as its process has it
 * open. Such a lock ends with the process, whatever ends it. Machines that share the file
 * see it, as they see SQLite's own locks. Process numbers would mean something else in another
 * container. */
#ifndef RS_LIVE_H
#define RS_LIVE_H

#include "sql.h"

/* Opens the file for the locks of runs; within a transaction, so that it is there. */
rs_status rs_live_open(rs_store *store);

/* After SQLite has closed the file: closing it ends all locks that this process holds on it. */
void rs_live_close(rs_store *store);

/* Locks the byte of a run, in the transaction that adds it. */
void rs_live_claim(rs_store *store, int64_t run_id);

/* Gives runs that are recorded as 'running', but whose process is gone, the outcome 'killed';
 * within a transaction. */
rs_status rs_live_mark_killed(rs_store *store);

#endif
