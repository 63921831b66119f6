/* Databases of earlier versions: seen as the present schema, and made into it. */
#ifndef RS_UPGRADE_H
#define RS_UPGRADE_H

#include "sql.h"

/* Adds the functions that version1.sql calls to a connection. */
rs_status rs_upgrade_add_functions(rs_store *store);

/* The version of the schema that the database has. */
rs_status rs_upgrade_version(rs_store *store, int64_t *version);

/* Shows the tables of that earlier version as schema.sql's, for as long as the transaction lasts.
 */
rs_status rs_upgrade_view(rs_store *store, int64_t version);

/* Makes a database of an earlier version one of the present, in a transaction of the caller's and
 * with foreign keys off; leaves others as they are. */
rs_status rs_upgrade(rs_store *store);

#endif
