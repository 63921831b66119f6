#include "../spec/words.h"
#include "guard.h"
#include "live.h"
#include "sql.h"
#include "upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Longer than the 4095 characters that ISO C promises; the compilers in use have no limit. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverlength-strings"
#include "schema_sql.h"
#pragma GCC diagnostic pop

enum { APPLICATION_ID = 0x52484F53 }; /* as schema.sql sets it */
enum { BUSY_TIMEOUT_MS = 5000 };

/* --- files ------------------------------------------------------------------------------------ */

typedef enum file_state { FILE_MISSING, FILE_EMPTY, FILE_OURS } file_state;

static rs_status fail_errno(const char *path) {
    bool const of_name = rs_errno_status(errno) == RS_EINPUT;
    return rs_fail(of_name ? RS_EINPUT : RS_ESTORE, "%s: %s", path, strerror(errno));
}

static uint32_t big_endian(const unsigned char *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* https://sqlite.org/fileformat2.html, section 1.3: the database header. */
static rs_status check_header(const char *path, const unsigned char *header, size_t length) {
    enum { HEADER_SIZE = 100, USER_VERSION_AT = 60, APPLICATION_ID_AT = 68 };
    static const char magic[16] = "SQLite format 3";
    if (length < HEADER_SIZE || memcmp(header, magic, sizeof magic) != 0)
        return rs_fail(RS_EINPUT, "%s: not a SQLite database: name another file", path);
    if (big_endian(header + APPLICATION_ID_AT) != APPLICATION_ID)
        return rs_fail(RS_EINPUT, "%s: a database, but not one of rhosweep: name another file",
                       path);
    uint32_t const version = big_endian(header + USER_VERSION_AT);
    if (version >= 1 && version <= RS_SCHEMA_VERSION) return RS_OK;
    return rs_fail(RS_EINPUT, "%s: has schema %" PRIu32 ", this rhosweep knows %d: use %s", path,
                   version, RS_SCHEMA_VERSION, "the rhosweep that wrote it, or another file");
}

/* Reads the header without SQLite, which would leave files beside a database that is not ours.
 * Closing a file drops the locks that this process holds on it: see rs_store_probe. */
static rs_status read_header(const char *path) {
    unsigned char header[100];
    int const file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return fail_errno(path);
    ssize_t const length = read(file, header, sizeof header);
    rs_status const status =
        length < 0 ? fail_errno(path) : check_header(path, header, (size_t)length);
    close(file);
    return status;
}

/* NULL without memory; the caller frees it. */
static char *folder_of(const char *path) {
    const char *const slash = strrchr(path, '/');
    size_t const length = slash ? (size_t)(slash - path) : 0;
    return slash ? strndup(path, length ? length : 1) : strdup(".");
}

/* A file that is missing must at least have a folder to be made in. */
static rs_status check_folder(const char *path) {
    char *const folder = folder_of(path);
    if (!folder) return rs_fail(RS_EMEMORY, "%s: out of memory", path);
    rs_status status = RS_OK;
    if (access(folder, F_OK) != 0 && errno == ENOENT)
        status = rs_fail(RS_EINPUT, "%s: there is no folder %s: make it first", path, folder);
    else if (access(folder, W_OK | X_OK) != 0)
        status = fail_errno(path);
    free(folder);
    return status;
}

static rs_status check_type(const char *path, mode_t mode) {
    if (S_ISDIR(mode)) return rs_fail(RS_EINPUT, "%s: is a folder: name a file in it", path);
    if (!S_ISREG(mode)) return rs_fail(RS_EINPUT, "%s: is not a regular file: name another", path);
    return RS_OK;
}

/* SQLite's files beside the database have longer names. */
static rs_status check_name(const char *path) {
    static const char longest[] = "-journal";
    const char *const slash = strrchr(path, '/');
    size_t const length = strlen(slash ? slash + 1 : path), most = NAME_MAX + 1 - sizeof longest;
    if (length <= most) return RS_OK;
    return rs_fail(RS_EINPUT, "%s: a name of %zu bytes: a database's may have %zu", path, length,
                   most);
}

/* A file that is to be made. */
static rs_status check_new(const char *path) {
    struct stat link;
    if (lstat(path, &link) == 0)
        return rs_fail(RS_EINPUT, "%s: is a symbolic link to a file that is not there", path);
    RS_TRY(check_name(path));
    return check_folder(path);
}

/* What is at `path`; RS_EINPUT where it can be no database of ours. */
static rs_status look_at(const char *path, file_state *state) {
    size_t const length = strlen(path);
    if (length == 0) return rs_fail(RS_EINPUT, "database: the name is empty");
    if (path[length - 1] == '/') return check_type(path, S_IFDIR);
    struct stat info;
    *state = FILE_MISSING;
    if (stat(path, &info) != 0) return errno == ENOENT ? check_new(path) : fail_errno(path);
    RS_TRY(check_type(path, info.st_mode));
    *state = info.st_size == 0 ? FILE_EMPTY : FILE_OURS;
    return *state == FILE_EMPTY ? RS_OK : read_header(path);
}

rs_status rs_store_probe(const char *path) {
    file_state state;
    return look_at(path, &state);
}

/* --- transactions ----------------------------------------------------------------------------- */

/* Commits what `status` says is good, else rolls back; returns how it went. */
static rs_status end_transaction(rs_store *store, rs_status status, const char *doing) {
    if (status == RS_OK) status = rs_sql_run_plain(store, RS_SQL_COMMIT, doing);
    /* A failed statement may have rolled back by itself. What went wrong is recorded already, so
     * the outcome of this is not asked for; the next reader would roll back in any case. */
    if (!sqlite3_get_autocommit(store->db)) sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

rs_status rs_store_begin(rs_store *store) {
    rs_guard_renew(store);
    return rs_sql_run_plain(store, RS_SQL_BEGIN_WRITE, "storing cases");
}

rs_status rs_store_end(rs_store *store, rs_status status) {
    return end_transaction(store, status, "storing cases");
}

/* --- opening and closing ---------------------------------------------------------------------- */

/* File systems of this machine's own kernel alone: the write-ahead log needs memory that all who
 * have the database open share. */
bool rs_store_shares_memory(long file_system) {
    static const uint32_t remote[] = {
        0x6969,     /* NFS */
        0x517B,     /* SMB */
        0xFF534D42, /* CIFS */
        0xFE534D42, /* SMB 2 */
        0x0BD00BD0, /* Lustre */
        0x47504653, /* GPFS */
        0x00C36400, /* Ceph */
        0x19830326, /* BeeGFS */
        0x01021997, /* 9P */
        0x65735546, /* FUSE: sshfs, GlusterFS and others */
        0x5346414F, /* AFS */
        0x6B414653, /* kAFS */
        0x73757245, /* Coda */
        0x013111A8, /* IBRIX */
        0x7461636F, /* OCFS2 */
        0x01161970, /* GFS2 */
        0xAAD7AAEA, /* Panasas */
        0x20030528, /* OrangeFS */
        0x786F4256, /* VirtualBox's shared folders */
    };
    for (size_t i = 0; i < sizeof remote / sizeof *remote; ++i)
        if ((uint32_t)file_system == remote[i]) return false;
    return true;
}

bool rs_store_is_local(const rs_store *store) {
    struct statfs info;
    return statfs(store->path, &info) == 0 && rs_store_shares_memory((long)info.f_type);
}

/* WAL lets readers in while a sweep writes; elsewhere they wait for each other. */
static rs_status set_journal(rs_store *store) {
    return rs_sql_execute(store,
                          rs_store_is_local(store) ? "PRAGMA journal_mode = WAL"
                                                   : "PRAGMA journal_mode = DELETE",
                          "opening");
}

/* Opens what SQLite is to take for a file of this name. */
static rs_status open_named(rs_store *store, const char *name, int flags) {
    /* Nobody asks how much memory SQLite uses, and counting takes a lock for each allocation. Once
     * SQLite has begun it refuses this, and nothing is lost. */
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    int const code = sqlite3_open_v2(name, &store->db, flags, NULL);
    if (!store->db) return rs_fail(RS_EMEMORY, "%s: out of memory", store->path);
    if (code != SQLITE_OK) return rs_store_fail(store, "opening");
    sqlite3_busy_timeout(store->db, BUSY_TIMEOUT_MS);
    RS_TRY(rs_guard_connection(store));
    return rs_upgrade_add_functions(store);
}

/* SQLite gives names such as ":memory:" and "file:x" a meaning of its own; "./" takes it away. */
static rs_status open_file(rs_store *store, int flags) {
    char *const name = sqlite3_mprintf("%s%s", store->path[0] == '/' ? "" : "./", store->path);
    if (!name) return rs_fail(RS_EMEMORY, "%s: out of memory", store->path);
    rs_status const status = open_named(store, name, flags);
    sqlite3_free(name);
    return status;
}

/* Settles what a new, an interrupted and a finished creation look like: under the write lock a file
 * has either all of our schema, of this version or an earlier one, or nothing at all. */
static rs_status create_schema(rs_store *store) {
    int64_t application = 0, tables = 0;
    RS_TRY(rs_sql_number(store, "PRAGMA application_id", &application));
    RS_TRY(rs_sql_number(store, "SELECT count(*) FROM sqlite_schema", &tables));
    if (application == APPLICATION_ID) {
        RS_TRY(rs_guard_schema(store));
        return rs_upgrade(store);
    }
    if (application != 0 || tables != 0)
        return rs_fail(RS_EINPUT, "%s: another program has just made it: name another file",
                       store->path);
    return rs_sql_execute(store, schema_sql, "creating");
}

/* The tables that everything else needs are there, and can be read now. */
static rs_status check_tables(rs_store *store) {
    int64_t rows;
    RS_TRY(rs_sql_number(
        store, "SELECT count(*) FROM (SELECT 1 FROM runs, cases, points, curves, timings LIMIT 1)",
        &rows));
    return rs_sql_number(store,
                         "SELECT EXISTS (SELECT 1 FROM gradients) + EXISTS (SELECT 1 FROM clips)"
                         " + EXISTS (SELECT 1 FROM state_curves)"
                         " + EXISTS (SELECT 1 FROM lyapunov)"
                         " + EXISTS (SELECT 1 FROM singular_values)",
                         &rows);
}

/* In a transaction: makes the file one of the present schema, whose runs say how they ended. */
static rs_status settle(rs_store *store) {
    RS_TRY(create_schema(store));
    RS_TRY(check_tables(store));
    RS_TRY(rs_live_open(store));
    return rs_live_mark_killed(store);
}

static rs_status make_ready_to_write(rs_store *store) {
    if (sqlite3_db_readonly(store->db, "main") == 1)
        return rs_fail(RS_ESTORE, "%s: is read-only: make it writable, or name another file",
                       store->path);
    /* NORMAL: a killed process loses nothing that was committed. Lost power may take the last
     * cases, never the whole, and the same command computes them again. */
    RS_TRY(
        rs_sql_execute(store, "PRAGMA foreign_keys = OFF; PRAGMA synchronous = NORMAL", "opening"));
    /* Of a new database: short curves leave little of a page unused, long ones rarely need more. */
    RS_TRY(rs_sql_execute(store, "PRAGMA page_size = 16384", "opening"));
    RS_TRY(rs_sql_run_plain(store, RS_SQL_BEGIN_WRITE, "opening"));
    RS_TRY(end_transaction(store, settle(store), "creating"));
    /* An upgrade may put another table in the place of one that others refer to. */
    RS_TRY(rs_sql_execute(store, "PRAGMA foreign_keys = ON", "opening"));
    /* After the schema: WAL cannot be set in a transaction, and a database of SQLite's that has no
     * application_id yet would not be known as ours after a kill. */
    return set_journal(store);
}

rs_status rs_store_begin_read(rs_store *store) {
    int64_t version = 0;
    rs_guard_renew(store);
    RS_TRY(rs_sql_execute(store, "BEGIN", "reading"));
    RS_TRY(rs_upgrade_version(store, &version)); /* from here on nothing changes for this reader */
    RS_TRY(rs_guard_schema(store));
    if (version == RS_SCHEMA_VERSION) return RS_OK;
    RS_TRY(rs_sql_execute(store, "PRAGMA query_only = OFF", "reading"));
    rs_status const status = rs_upgrade_view(store, version);
    RS_TRY(rs_sql_execute(store, "PRAGMA query_only = ON", "reading"));
    return status;
}

static bool same_time(struct timespec one, struct timespec other) {
    return one.tv_sec == other.tv_sec && one.tv_nsec == other.tv_nsec;
}

/* Whether the file that is read without locks is unchanged. */
static bool is_as_opened(const rs_store *store) {
    struct stat now;
    return stat(store->path, &now) == 0 && now.st_ino == store->opened.st_ino &&
           now.st_size == store->opened.st_size && same_time(now.st_mtim, store->opened.st_mtim);
}

rs_status rs_store_end_read(rs_store *store, rs_status status) {
    /* Only reads, and temporary views, which go with it: nothing to lose, or to fail. */
    sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    if (!store->unlocked || is_as_opened(store)) return status;
    return rs_fail(RS_ESTORE, "%s: a sweep has written to it meanwhile: run this again",
                   store->path);
}

static rs_status make_ready_to_read(rs_store *store) {
    RS_TRY(rs_sql_execute(store, "PRAGMA query_only = ON", "opening"));
    RS_TRY(rs_store_begin_read(store));
    rs_status status = check_tables(store);
    if (status == RS_OK) status = rs_guard_sizes(store);
    return rs_store_end_read(store, status);
}

static rs_status make_store(const char *path, rs_store **out) {
    rs_store *const store = calloc(1, sizeof *store);
    char *const copy = strdup(path);
    if (!store || !copy) {
        free(store);
        free(copy);
        return rs_fail(RS_EMEMORY, "%s: out of memory", path);
    }
    store->path = copy;
    store->live = -1;
    *out = store;
    return RS_OK;
}

rs_status rs_store_open(const char *path, rs_store **out) {
    file_state state;
    *out = NULL;
    RS_TRY(look_at(path, &state));
    rs_store *store = NULL;
    RS_TRY(make_store(path, &store));
    rs_status status = open_file(store, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    if (status == RS_OK) status = make_ready_to_write(store);
    if (status == RS_OK)
        *out = store;
    else
        rs_store_close(store);
    return status;
}

/* The name of a file as a URI with a parameter: all but letters, digits and "/._-" as %XX. */
static char *uri_of(const char *real, const char *parameter) {
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-";
    size_t const size = 3 * strlen(real) + sizeof "file:?" + strlen(parameter);
    char *const uri = malloc(size);
    if (uri) {
        char *end = uri + sprintf(uri, "file:");
        for (const char *c = real; *c; ++c)
            end += sprintf(end, strchr(plain, *c) ? "%c" : "%%%02X", (unsigned char)*c);
        sprintf(end, "?%s", parameter);
    }
    return uri;
}

/* Whether a database has a write-ahead log: without one no process has it open. */
static bool has_log(const char *real) {
    char *const log = sqlite3_mprintf("%s-wal", real);
    struct stat info;
    bool const missing = log && stat(log, &info) != 0 && errno == ENOENT;
    sqlite3_free(log);
    return !missing;
}

/* Opens the file for a user who may not write to it or beside it. Without a log the file itself is
 * complete, and is read without locks: SQLite would create the files of a log, which would stay and
 * which the database's owner could not write to. */
static rs_status open_bystander(rs_store *store, const char *real) {
    store->unlocked = !has_log(real);
    if (stat(real, &store->opened) != 0) return fail_errno(store->path);
    char *const uri = uri_of(real, store->unlocked ? "immutable=1" : "readonly_shm=1");
    if (!uri) return rs_fail(RS_EMEMORY, "%s: out of memory", store->path);
    rs_status const status = open_named(store, uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
    free(uri);
    return status == RS_OK ? make_ready_to_read(store) : status;
}

/* To the file, and beside it: only then can the files of a log be made and taken away again. */
static bool may_write(const char *real) {
    char *const folder = folder_of(real);
    bool const may = folder && access(real, W_OK) == 0 && access(folder, W_OK | X_OK) == 0;
    free(folder);
    return may;
}

/* Who may write opens the database so, though query_only: only then are the files of a log taken
 * away again, and those of a killed sweep taken over. */
static rs_status open_to_read(rs_store *store, const char *real) {
    if (!may_write(real)) return open_bystander(store, real);
    RS_TRY(open_file(store, SQLITE_OPEN_READWRITE));
    return make_ready_to_read(store);
}

static rs_status check_readable(const char *path) {
    file_state state;
    struct stat info;
    if (*path && stat(path, &info) != 0 && errno == ENOENT)
        return rs_fail(RS_EINPUT, "%s: there is no such file: make one with rhosweep sweep", path);
    RS_TRY(look_at(path, &state));
    if (state == FILE_OURS) return RS_OK;
    return rs_fail(RS_EINPUT, "%s: is empty: no sweep has written to it", path);
}

rs_status rs_store_open_readonly(const char *path, rs_store **out) {
    *out = NULL;
    RS_TRY(check_readable(path));
    char *const real = realpath(path, NULL);
    if (!real) return fail_errno(path);
    rs_store *store = NULL;
    rs_status status = make_store(path, &store);
    if (status == RS_OK) status = open_to_read(store, real);
    free(real);
    if (status == RS_OK)
        *out = store;
    else
        rs_store_close(store);
    return status;
}

void rs_store_close(rs_store *store) {
    if (!store) return;
    for (size_t i = 0; i < RS_SQL_N; ++i) sqlite3_finalize(store->prepared[i]);
    sqlite3_close(store->db);
    rs_live_close(store);
    free(store->path);
    free(store);
}

void rs_store_hurry(rs_store *store) { sqlite3_busy_timeout(store->db, 0); }

sqlite3 *rs_store_handle(rs_store *store) { return store->db; }
