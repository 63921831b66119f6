/* store: the SQLite database of results (host/store/schema.sql is WALL 2). */
#ifndef RS_STORE_H
#define RS_STORE_H

#include "../fit/fit.h"
#include "../plan/case.h"
#include "../work/radii.h"

typedef struct rs_store rs_store;
typedef struct sqlite3 sqlite3;

/* Which device of which machine computed. Strings borrowed. */
typedef struct rs_origin {
    const char *host;    /* name of the machine */
    int rank;            /* of the process in an MPI job; 0 without one */
    const char *device;  /* name */
    size_t device_index; /* of the engine's devices there */
    int threads;         /* of the processor that it may use */
} rs_origin;

/* Everything that tells a run's results from another's, written once per run. Strings borrowed. */
typedef struct rs_provenance {
    const char *version, *commit; /* of rhosweep */
    const char *libraries;        /* "SQLite 3.40.1, OpenBLAS 0.3.21, ..." */
    const char *system;           /* kernel and architecture */
    const char *engine, *driver, *isa;
    rs_origin first; /* of the workers, on the machine that stores */
    int workers;     /* devices that compute at once */
    uint64_t memory; /* budget in bytes */
    const char *command_line, *spec;
} rs_provenance;

typedef struct rs_case_result {
    const rs_case *one;
    rs_status status;      /* RS_OK, or why it failed */
    const char *reason;    /* the message of a failure */
    const rs_point *point; /* [n] none for a failed case */
    size_t n;
    const rs_origin *origin; /* of the points; not read for a failed case */
    double clip; /* the norm that gradients are clipped to; NaN or 0 where none was asked for */
    double forward_seconds, backward_seconds, transfer_seconds; /* of these points */
} rs_case_result;

/* Opens a database to write, creating it when the file is missing or empty, and upgrading it in one
 * transaction when it is of an earlier version. RS_EINPUT, file untouched, where it is not ours or
 * of a newer schema; RS_ESTORE, saying why, where it cannot be opened, is read-only or stays locked
 * for 5 seconds. */
rs_status rs_store_open(const char *path, rs_store **out);

/* Opens an existing database read-only, one of an earlier version as it is; a missing file is
 * RS_EINPUT. Else as above. Works while a sweep is writing. Leaves no file behind that it did not
 * find: who may not write to the database reads it without locks where no process has it open, and
 * may be asked at the end to read again. */
rs_status rs_store_open_readonly(const char *path, rs_store **out);
void rs_store_close(rs_store *store); /* NULL is allowed */

/* From now on it fails at once, without waiting, where another program writes. */
void rs_store_hurry(rs_store *store);

/* Checks beforehand what rs_store_open would refuse, as far as name, header and folder tell, and
 * writes nothing. Neither this nor the opening functions may be called while this process has the
 * same file open: closing a file drops all POSIX locks that a process holds on it. */
rs_status rs_store_probe(const char *path);

/* Adds a row for this invocation; *run_id names it. Outcome is "running" until finish.
 * `engine_seconds` are the sum over the workers. */
rs_status rs_store_begin_run(rs_store *store, const rs_provenance *provenance, int64_t *run_id);
rs_status rs_store_finish_run(rs_store *store, int64_t run_id, const char *outcome,
                              double engine_seconds, double wall_seconds);

/* A point that is in the database already. */
typedef struct rs_stored_point {
    uint64_t seed;
    double rho_asked;  /* NaN for native */
    double decay_rate; /* NaN where there is none */
} rs_stored_point;

/* Whatever is not RS_OK ends the visits, and is returned. */
typedef rs_status (*rs_store_visit)(void *arg, const rs_stored_point *point);

/* What a point must have to be visited. */
enum {
    RS_WITH_CURVE = 1, /* taken to be the same for all points of a case that the same run stored */
    RS_WITH_GRADIENTS = 2,
    RS_WITH_TANGENTS = 4 /* exponents and singular values as the case asks for */
};

/* Visits the points of all cases that differ from `like` in nothing but their seed, from seeds[0]
 * to seeds[1]; those of a case follow each other. `wanted`: any of RS_WITH_... or 0. */
rs_status rs_store_points(rs_store *store, const rs_case *like, const uint64_t seeds[2],
                          unsigned wanted, rs_store_visit visit, void *arg);

/* Marks cases of a model as started at zero where version 1 left it open. Only for a model without
 * a start state of its own: then there is no other it could have been. */
rs_status rs_store_confirm_zero_start(rs_store *store, uint64_t model_digest);

/* Adds to `radii` the spectral radii of matrices of `hidden` rows that this run may use: found with
 * the same libraries as its own. */
rs_status rs_store_read_radii(rs_store *store, int64_t run_id, size_t hidden, rs_radii *radii);

/* Stores radii that this run has found, within a transaction as of cases. */
rs_status rs_store_add_radii(rs_store *store, int64_t run_id, const rs_kept_radius *kept, size_t n);

/* Cases are stored in transactions: begin, any number of adds, and end, which commits where
 * `status`, that of the adds, is RS_OK, else undoes them all; it returns how that went. Points
 * already there stay as they are, but for those that lack the curve, gradients or exponents which
 * the new one brings. A failed case keeps a row with its reason, which a later success replaces. */
rs_status rs_store_begin(rs_store *store);
rs_status rs_store_add(rs_store *store, int64_t run_id, const rs_case_result *result);
rs_status rs_store_end(rs_store *store, rs_status status);

/* Adds, within a transaction as of cases, a norm to clip to to a case that is stored. */
rs_status rs_store_add_clip(rs_store *store, int64_t run_id, const rs_case *one, double max_norm);

/* Stores one case in a transaction of its own. */
rs_status rs_store_put(rs_store *store, int64_t run_id, const rs_case_result *result);

/* What is read between these two is one moment of the database, and looks like the present schema
 * also where it is of an earlier version (versionN.sql). A reading that was begun
 * must be ended, with the status of what was read; the end returns how it went: RS_ESTORE where the
 * file was read without locks (see rs_store_open_readonly) and somebody has written to it
 * meanwhile. */
rs_status rs_store_begin_read(rs_store *store);
rs_status rs_store_end_read(rs_store *store, rs_status status);

/* Whether programs that have a file of this file system open (statfs's f_type) can share memory, as
 * SQLite's write-ahead log needs. Where not, a database has a rollback journal, and those who read
 * and write wait for each other. */
bool rs_store_shares_memory(long file_system);

/* For the tables: borrowed, do not close. */
sqlite3 *rs_store_handle(rs_store *store);

/* "path: what SQLite says" as RS_ESTORE, or RS_EINPUT where the file is not ours or damaged. */
rs_status rs_store_fail(rs_store *store, const char *doing);

#endif
