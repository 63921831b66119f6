/* The store's statements: their text, their parameters, how they fail. For the files of this folder
 * alone. */
#ifndef RS_SQL_H
#define RS_SQL_H

#include "store.h"

#include <sqlite3.h>
#include <sys/stat.h>

/* As schema.sql sets it. */
enum { RS_SCHEMA_VERSION = 6 };

typedef enum rs_statement {
    RS_SQL_BEGIN_WRITE,
    RS_SQL_COMMIT,
    RS_SQL_BEGIN_RUN,
    RS_SQL_FINISH_RUN,
    RS_SQL_FIND_POINTS,
    RS_SQL_FIND_CURVE,
    RS_SQL_ADD_CASE,
    RS_SQL_CHANGE_CASE,
    RS_SQL_RENEW_BARE_POINT,
    RS_SQL_ADD_POINT,
    RS_SQL_FIND_POINT,
    RS_SQL_ADD_CURVE,
    RS_SQL_ADD_STATE_CURVE,
    RS_SQL_FIND_GRADIENT,
    RS_SQL_ADD_GRADIENT,
    RS_SQL_FIND_LYAPUNOV,
    RS_SQL_ADD_LYAPUNOV,
    RS_SQL_FIND_SINGULAR,
    RS_SQL_ADD_SINGULAR,
    RS_SQL_ADD_CLIP,
    RS_SQL_ADD_CLIP_OF_CASE,
    RS_SQL_ADD_TIMING,
    RS_SQL_CONFIRM_ZERO_START,
    RS_SQL_FIND_RADII,
    RS_SQL_ADD_RADIUS,
    /* Of merge.c, on the database read: */
    RS_SQL_READ_RUNS,
    RS_SQL_READ_CASES,
    RS_SQL_READ_POINTS,
    RS_SQL_READ_CURVES,
    RS_SQL_READ_STATE_CURVES,
    RS_SQL_READ_GRADIENTS,
    RS_SQL_READ_LYAPUNOV,
    RS_SQL_READ_SINGULAR,
    RS_SQL_READ_CLIPS,
    RS_SQL_READ_TIMINGS,
    RS_SQL_READ_RADII,
    /* and on the one written: */
    RS_SQL_ADD_INCOMING,
    RS_SQL_READ_INCOMING,
    RS_SQL_FIND_SAME_RUN,
    RS_SQL_ADD_SAME_RUN,
    RS_SQL_END_SAME_RUN,
    RS_SQL_MAP_RUN,
    RS_SQL_FIND_MAPPED_RUN,
    RS_SQL_ORDER_INPUTS,
    RS_SQL_FIND_CASE,
    RS_SQL_IMPROVE_CASE,
    RS_SQL_FIND_SAME_POINT,
    RS_SQL_KEEP_CURVE,
    RS_SQL_FIND_SAME_CURVE,
    RS_SQL_KEEP_STATE_CURVE,
    RS_SQL_FIND_SAME_STATE_CURVE,
    RS_SQL_FIND_SAME_GRADIENTS,
    RS_SQL_FIND_SAME_LYAPUNOV,
    RS_SQL_FIND_SAME_SINGULAR,
    RS_SQL_KEEP_TIMING,
    RS_SQL_KEEP_RADIUS,
    RS_SQL_N
} rs_statement;

struct rs_store {
    char *path; /* as the user wrote it */
    sqlite3 *db;
    sqlite3_stmt *prepared[RS_SQL_N]; /* made when first used */
    bool unlocked;                    /* is read without locks, and was so then: */
    struct stat opened;
    int live;           /* the file for the locks of runs, < 0 for none: live.h */
    int64_t looks_left; /* until statements take too long: guard.h */
};

/* Columns of runs: what is known when a run begins, and what tells how it ended. */
#define RS_RUN_BEGINNING                                                                           \
    "started, version, git_commit, libraries, host, system, engine, device, driver, threads, "     \
    "memory, command_line, spec, isa, workers"
#define RS_RUN_END "finished, outcome, engine_s, wall_s"

/* Whether all that have the file open are programs of this machine. */
bool rs_store_is_local(const rs_store *store);

/* Runs SQL that yields nothing; the errors of all of these are those of rs_store_fail. */
rs_status rs_sql_execute(rs_store *store, const char *sql, const char *doing);

/* The one whole number that `sql` yields. */
rs_status rs_sql_number(rs_store *store, const char *sql, int64_t *number);

/* The statement, ready for its parameters; the store keeps it. */
rs_status rs_sql_prepare(rs_store *store, rs_statement which, sqlite3_stmt **out);

/* Runs a bound statement that yields nothing. */
rs_status rs_sql_run(rs_store *store, sqlite3_stmt *bound, const char *doing);

/* Runs a bound statement that yields one number, or none: *found tells. */
rs_status rs_sql_run_for_number(rs_store *store, sqlite3_stmt *bound, const char *doing,
                                bool *found, int64_t *number);

/* Runs a statement without parameters that yields nothing. */
rs_status rs_sql_run_plain(rs_store *store, rs_statement which, const char *doing);

/* Ends a statement with the outcome of its last step, and makes it ready for the next time. */
rs_status rs_sql_end(rs_store *store, sqlite3_stmt *bound, int code, const char *doing);

/* Binds one parameter after the other and remembers whether one could not be: so the callers need
 * to ask only once. Text is borrowed until the statement has run. */
typedef struct rs_binder {
    sqlite3_stmt *to;
    int at;
    int code;
} rs_binder;

void rs_bind_text(rs_binder *b, const char *text);
void rs_bind_value(rs_binder *b, sqlite3_stmt *row, int column); /* of a row of any database */
void rs_bind_whole(rs_binder *b, int64_t whole);
void rs_bind_size(rs_binder *b, size_t size);
void rs_bind_real(rs_binder *b, double real);
void rs_bind_step(rs_binder *b, long step, long never);

/* An array of `steps` doubles, NULL as NULL; borrowed until the statement has run. */
void rs_bind_curve(rs_binder *b, const double *curve, size_t steps);

rs_status rs_bound(rs_store *store, const rs_binder *b);

#endif
