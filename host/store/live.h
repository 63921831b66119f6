/* live: tells runs that go on from runs that ended without a word, as when they are killed, or the
 * disk is full.
 *
 * A run holds a lock on a byte of its own in the database file for as long as its process has it
 * open. Such a lock ends with the process, whatever ends it, is seen by other machines that share
 * the file as SQLite's own locks are, and needs no process numbers, which mean something else in
 * another container. */
#ifndef RS_LIVE_H
#define RS_LIVE_H

#include "sql.h"

/* Opens the file for the locks of runs; within a transaction, so that it is there. */
rs_status rs_live_open(rs_store *store);

/* After SQLite has closed the file: closing it ends all locks that this process holds on it. */
void rs_live_close(rs_store *store);

/* Locks the byte of a run, in the transaction that adds it. */
void rs_live_claim(rs_store *store, int64_t run_id);

/* Gives the runs that say 'running', and that nobody runs, the outcome 'killed'; within a
 * transaction. */
rs_status rs_live_mark_killed(rs_store *store);

#endif
