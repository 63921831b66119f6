#include "live.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Far behind all bytes that SQLite locks, and behind the end of any database. */
static int64_t const first_byte = INT64_C(1) << 62;

/* A lock of an open file, not of the process: SQLite, which opens the same file, does not end it.
 */
static struct flock lock_of(int64_t run_id) {
    return (struct flock){
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = first_byte + run_id, .l_len = 1};
}

/* Where the locks of other machines may not be seen, only runs of this one can be told apart. */
static bool is_within_sight(const rs_store *store, const char *host) {
    struct utsname name;
    return rs_store_is_local(store) || (host && uname(&name) == 0 && !strcmp(host, name.nodename));
}

static bool goes_on(const rs_store *store, int64_t run_id) {
    struct flock lock = lock_of(run_id);
    return fcntl(store->live, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

/* rs_may_go_on(run, host): 0 where the run has certainly ended. */
static void tell_life(sqlite3_context *context, int n_arguments, sqlite3_value **argument) {
    (void)n_arguments;
    const rs_store *const store = sqlite3_user_data(context);
    int64_t const run_id = sqlite3_value_int64(argument[0]);
    const char *const host = (const char *)sqlite3_value_text(argument[1]);
    sqlite3_result_int(context, !is_within_sight(store, host) || goes_on(store, run_id));
}

rs_status rs_live_open(rs_store *store) {
    store->live = open(store->path, O_RDWR | O_CLOEXEC);
    if (store->live < 0) return rs_fail(RS_ESTORE, "%s: opening: %s", store->path, strerror(errno));
    int const flags = SQLITE_UTF8 | SQLITE_DIRECTONLY;
    if (sqlite3_create_function_v2(store->db, "rs_may_go_on", 2, flags, store, tell_life, NULL,
                                   NULL, NULL) == SQLITE_OK)
        return RS_OK;
    return rs_store_fail(store, "opening");
}

void rs_live_close(rs_store *store) {
    if (store->live >= 0) close(store->live);
}

void rs_live_claim(rs_store *store, int64_t run_id) {
    struct flock lock = lock_of(run_id);
    /* Without locks SQLite would not have come this far. If just this one is denied, the run may be
     * taken for killed until it says itself how it ended. */
    (void)fcntl(store->live, F_OFD_SETLK, &lock);
}

rs_status rs_live_mark_killed(rs_store *store) {
    return rs_sql_execute(store,
                          "UPDATE runs SET outcome = 'killed'"
                          " WHERE outcome = 'running' AND NOT rs_may_go_on(id, host)",
                          "opening");
}
