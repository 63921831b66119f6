/* guard: databases from others. What is in them runs no code and cannot keep the reader forever. */
#ifndef RS_GUARD_H
#define RS_GUARD_H

#include "sql.h"

/* For a connection that was just opened: views and triggers of the file stay off, and statements
 * end with SQLITE_INTERRUPT when they take longer than a file of this size can need. */
rs_status rs_guard_connection(rs_store *store);

/* Begins to count anew, for what is read or written next. */
void rs_guard_renew(rs_store *store);

/* RS_EINPUT where the file holds anything but the tables and indexes of schema.sql or of an
 * earlier version, with columns that are stored. */
rs_status rs_guard_schema(rs_store *store);

/* RS_EINPUT where a case has a size that no sweep can have had. */
rs_status rs_guard_sizes(rs_store *store);

#endif
