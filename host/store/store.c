#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <sqlite3.h>
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
#include "upgrade_sql.h"
#include "version1_sql.h"
#pragma GCC diagnostic pop

/* As schema.sql sets them. */
enum { APPLICATION_ID = 0x52484F53, SCHEMA_VERSION = 2 };
enum { BUSY_TIMEOUT_MS = 5000 };

typedef enum statement {
    BEGIN_WRITE,
    COMMIT,
    BEGIN_RUN,
    FINISH_RUN,
    FIND_CASE,
    FIND_POINTS,
    FIND_RATE,
    ADD_CASE,
    CHANGE_CASE,
    DROP_BARE_POINT,
    ADD_POINT,
    ADD_CURVE,
    ADD_TIMING,
    CONFIRM_ZERO_START,
    N_STATEMENT
} statement;

/* In the statements on cases %s stands, in turn, for the columns of their identity, as many
 * parameters, and the columns again. */
static const char *const statement_sql[N_STATEMENT] = {
    [BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [BEGIN_RUN] =
        "INSERT INTO runs (started, outcome, version, git_commit, libraries, host, system, engine,"
        " device, driver, threads, memory, command_line, spec)"
        " VALUES (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), 'running', ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,"
        " ?9, ?10, ?11, ?12)",
    [FINISH_RUN] = "UPDATE runs SET finished = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), outcome = ?2,"
                   " engine_s = ?3, wall_s = ?4 WHERE id = ?1",
    [FIND_CASE] = "SELECT id FROM cases WHERE (%s) = (%s)",
    [FIND_POINTS] = "SELECT rho_asked FROM points WHERE case_id = ?1"
                    " AND (NOT ?2 OR EXISTS (SELECT 1 FROM curves WHERE point_id = points.id))"
                    " ORDER BY ifnull(rho_asked, -1)",
    [FIND_RATE] = "SELECT decay_rate FROM points"
                  " WHERE case_id = ?1 AND ifnull(rho_asked, -1) = ifnull(?2, -1)",
    [ADD_CASE] = "INSERT INTO cases (%s, model, status, reason, run_id) VALUES (%s, ?, ?, ?, ?)"
                 " ON CONFLICT (%s) DO NOTHING",
    [CHANGE_CASE] = "INSERT INTO cases (%s, model, status, reason, run_id) VALUES (%s, ?, ?, ?, ?)"
                    " ON CONFLICT (%s) DO UPDATE SET status = excluded.status,"
                    " reason = excluded.reason, run_id = excluded.run_id RETURNING id",
    [DROP_BARE_POINT] = "DELETE FROM points"
                        " WHERE case_id = ?1 AND ifnull(rho_asked, -1) = ifnull(?2, -1)"
                        " AND NOT EXISTS (SELECT 1 FROM curves WHERE point_id = points.id)",
    [ADD_POINT] = "INSERT INTO points (case_id, run_id, rho_asked, rho, g, decay_rate,"
                  " forward_nonfinite, fp32_underflow, fp32_overflow, fp16_underflow,"
                  " fp16_overflow, bf16_underflow, bf16_overflow, backward_nonfinite)"
                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
                  " ON CONFLICT DO NOTHING",
    [ADD_CURVE] = "INSERT INTO curves (point_id, mean, min, max) VALUES (?1, ?2, ?3, ?4)",
    [ADD_TIMING] = "INSERT INTO timings (case_id, run_id, radii, columns, device, threads,"
                   " forward_s, backward_s, transfer_s)"
                   " SELECT ?1, id, ?3, ?4, device, threads, ?5, ?6, ?7 FROM runs WHERE id = ?2"
                   " ON CONFLICT (case_id, run_id) DO UPDATE SET radii = radii + excluded.radii,"
                   " columns = columns + excluded.columns,"
                   " forward_s = forward_s + excluded.forward_s,"
                   " backward_s = backward_s + excluded.backward_s,"
                   " transfer_s = transfer_s + excluded.transfer_s",
    [CONFIRM_ZERO_START] = "UPDATE cases SET h0 = 'zero'"
                           " WHERE h0 = 'unrecorded' AND model_digest = ?1",
};

struct rs_store {
    char *path; /* as the user wrote it */
    sqlite3 *db;
    sqlite3_stmt *prepared[N_STATEMENT]; /* made when first used */
};

/* --- files ------------------------------------------------------------------------------------ */

typedef enum file_state { FILE_MISSING, FILE_EMPTY, FILE_OURS } file_state;

static rs_status fail_errno(const char *path) {
    bool const bad_name = errno == ENOTDIR || errno == ENAMETOOLONG || errno == ELOOP;
    return rs_fail(bad_name ? RS_EINPUT : RS_ESTORE, "%s: %s", path, strerror(errno));
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
    if (version >= 1 && version <= SCHEMA_VERSION) return RS_OK;
    return rs_fail(RS_EINPUT, "%s: has schema %" PRIu32 ", this rhosweep knows %d: use %s", path,
                   version, SCHEMA_VERSION, "the rhosweep that wrote it, or another file");
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

/* A file that is missing must at least have a folder to be made in. */
static rs_status check_folder(const char *path) {
    const char *const slash = strrchr(path, '/');
    size_t const length = slash ? (size_t)(slash - path) : 0;
    char *const folder = slash ? strndup(path, length ? length : 1) : strdup(".");
    if (!folder) return rs_fail(RS_EMEMORY, "%s: out of memory", path);
    rs_status status = RS_OK;
    if (access(folder, F_OK) != 0 && errno == ENOENT)
        status = rs_fail(RS_ESTORE, "%s: there is no folder %s: make it first", path, folder);
    else if (access(folder, W_OK | X_OK) != 0)
        status = fail_errno(path);
    free(folder);
    return status;
}

static rs_status check_type(const char *path, mode_t mode) {
    if (S_ISDIR(mode)) return rs_fail(RS_EINPUT, "%s: is a folder: name a file in it", path);
    if (S_ISLNK(mode))
        return rs_fail(RS_EINPUT, "%s: is a symbolic link: name the file it stands for", path);
    if (!S_ISREG(mode)) return rs_fail(RS_EINPUT, "%s: is not a regular file: name another", path);
    return RS_OK;
}

/* What is at `path`; RS_EINPUT where it can be no database of ours. Follows links only to read. */
static rs_status look_at(const char *path, bool to_read, file_state *state) {
    size_t const length = strlen(path);
    if (length == 0) return rs_fail(RS_EINPUT, "database: the name is empty");
    if (path[length - 1] == '/') return check_type(path, S_IFDIR);
    struct stat info;
    *state = FILE_MISSING;
    if ((to_read ? stat(path, &info) : lstat(path, &info)) != 0)
        return errno == ENOENT ? check_folder(path) : fail_errno(path);
    RS_TRY(check_type(path, info.st_mode));
    *state = info.st_size == 0 ? FILE_EMPTY : FILE_OURS;
    return *state == FILE_EMPTY ? RS_OK : read_header(path);
}

rs_status rs_store_probe(const char *path) {
    file_state state;
    return look_at(path, false, &state);
}

/* --- SQLite ----------------------------------------------------------------------------------- */

static const char *way_out(int code) {
    switch (code) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return ": another program is writing to it; run this again when it is done";
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_CANTOPEN: return ": make file and folder writable, or name another file";
    case SQLITE_FULL:
    case SQLITE_IOERR: return ": make room on the disk and run this again; what was stored is safe";
    case SQLITE_ERROR:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return ": the database is damaged; move it away or name another file";
    default: return "";
    }
}

static rs_status status_of(int code) {
    switch (code) {
    case SQLITE_ERROR: /* our statements are right, so the tables are not */
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return RS_EINPUT;
    case SQLITE_NOMEM: return RS_EMEMORY;
    default: return RS_ESTORE;
    }
}

rs_status rs_store_fail(rs_store *store, const char *doing) {
    int const code = sqlite3_errcode(store->db) & 0xff;
    int const cause = sqlite3_system_errno(store->db);
    bool const named = cause != 0 && (code == SQLITE_CANTOPEN || code == SQLITE_IOERR);
    return rs_fail(status_of(code), "%s: %s: %s%s%s%s", store->path, doing,
                   sqlite3_errmsg(store->db), named ? ": " : "", named ? strerror(cause) : "",
                   way_out(code));
}

static rs_status execute(rs_store *store, const char *sql, const char *doing) {
    if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK) return RS_OK;
    return rs_store_fail(store, doing);
}

/* The one whole number that `sql` yields. */
static rs_status query_number(rs_store *store, const char *sql, int64_t *number) {
    sqlite3_stmt *query = NULL;
    bool const found = sqlite3_prepare_v2(store->db, sql, -1, &query, NULL) == SQLITE_OK &&
                       sqlite3_step(query) == SQLITE_ROW;
    rs_status const status = found ? RS_OK : rs_store_fail(store, "reading");
    if (found) *number = sqlite3_column_int64(query, 0);
    sqlite3_finalize(query);
    return status;
}

/* The names of the identity's columns, or as many parameters; NULL without memory. */
static char *identity_list(bool names) {
    size_t n;
    const rs_identity_column *const column = rs_identity_columns(&n);
    sqlite3_str *const list = sqlite3_str_new(NULL);
    for (size_t i = 0; i < n; ++i)
        sqlite3_str_appendf(list, "%s%s", i ? ", " : "", names ? column[i].name : "?");
    return sqlite3_str_finish(list);
}

/* A statement on cases, made from the columns of their identity; NULL without memory. */
static char *case_sql(statement which) {
    char *const names = identity_list(true), *const parameters = identity_list(false);
    char *const sql = names && parameters
                          ? sqlite3_mprintf(statement_sql[which], names, parameters, names)
                          : NULL;
    sqlite3_free(names);
    sqlite3_free(parameters);
    return sql;
}

static rs_status prepare_first(rs_store *store, statement which, const char *sql) {
    if (!sql) return rs_fail(RS_EMEMORY, "%s: out of memory", store->path);
    if (sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &store->prepared[which],
                           NULL) == SQLITE_OK)
        return RS_OK;
    return rs_store_fail(store, "reading");
}

static rs_status prepare(rs_store *store, statement which, sqlite3_stmt **out) {
    if (!store->prepared[which]) {
        bool const on_cases = which == FIND_CASE || which == ADD_CASE || which == CHANGE_CASE;
        char *const made = on_cases ? case_sql(which) : NULL;
        rs_status const status =
            prepare_first(store, which, on_cases ? made : statement_sql[which]);
        sqlite3_free(made);
        RS_TRY(status);
    }
    *out = store->prepared[which];
    return RS_OK;
}

/* Ends a statement with the outcome of its last step, and makes it ready for the next time. */
static rs_status end_statement(rs_store *store, sqlite3_stmt *bound, int code, const char *doing) {
    rs_status const status = code == SQLITE_DONE ? RS_OK : rs_store_fail(store, doing);
    sqlite3_reset(bound);
    sqlite3_clear_bindings(bound);
    return status;
}

/* Runs a bound statement that yields nothing. */
static rs_status run(rs_store *store, sqlite3_stmt *bound, const char *doing) {
    return end_statement(store, bound, sqlite3_step(bound), doing);
}

/* Runs a bound statement that yields one number, or none: *found tells. */
static rs_status run_for_number(rs_store *store, sqlite3_stmt *bound, const char *doing,
                                bool *found, int64_t *number) {
    int code = sqlite3_step(bound);
    *found = code == SQLITE_ROW;
    if (*found) {
        *number = sqlite3_column_int64(bound, 0);
        code = sqlite3_step(bound);
    }
    return end_statement(store, bound, code, doing);
}

static rs_status run_plain(rs_store *store, statement which, const char *doing) {
    sqlite3_stmt *plain = NULL;
    RS_TRY(prepare(store, which, &plain));
    return run(store, plain, doing);
}

/* Binds one parameter after the other and remembers whether one could not be: so the callers need
 * to ask only once. Text is borrowed until the statement has run. */
typedef struct binder {
    sqlite3_stmt *to;
    int at;
    int code;
} binder;

static void bind_text(binder *b, const char *text) {
    int const code = sqlite3_bind_text(b->to, ++b->at, text, -1, SQLITE_STATIC);
    if (code != SQLITE_OK) b->code = code;
}

static void bind_whole(binder *b, int64_t whole) {
    int const code = sqlite3_bind_int64(b->to, ++b->at, whole);
    if (code != SQLITE_OK) b->code = code;
}

static void bind_size(binder *b, size_t size) { bind_whole(b, (int64_t)size); }

static void bind_real(binder *b, double real) { /* SQLite takes NaN as NULL */
    int const code = sqlite3_bind_double(b->to, ++b->at, real);
    if (code != SQLITE_OK) b->code = code;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "curves are stored as memory has them");

/* An array of `steps` doubles, NULL as NULL; borrowed until the statement has run. */
static void bind_curve(binder *b, const double *curve, size_t steps) {
    int const code =
        sqlite3_bind_blob64(b->to, ++b->at, curve, steps * sizeof *curve, SQLITE_STATIC);
    if (code != SQLITE_OK) b->code = code;
}

static void bind_step(binder *b, long step, long never) {
    if (step == never)
        ++b->at; /* unbound parameters are NULL */
    else
        bind_whole(b, step);
}

static rs_status bound(rs_store *store, const binder *b) {
    return b->code == SQLITE_OK ? RS_OK : rs_store_fail(store, "writing");
}

/* --- version 1 -------------------------------------------------------------------------------- */

/* A curve that is being gathered, in SQLite's memory of an aggregate. */
typedef struct gathered {
    double *at; /* [n] NaN where no step has come yet */
    int n, capacity;
} gathered;

/* Makes room up to step `n`, the longest curve so far; false where there is none. */
static bool reach_step(gathered *curve, int n) {
    if (n > curve->capacity) {
        int const capacity = n > 2 * curve->capacity ? n : 2 * curve->capacity;
        double *const grown = sqlite3_realloc64(curve->at, (uint64_t)capacity * sizeof *grown);
        if (!grown) return false;
        curve->at = grown;
        curve->capacity = capacity;
    }
    while (curve->n < n) curve->at[curve->n++] = NAN;
    return true;
}

/* rs_curve(step, value): the values of the steps 1 to the last as an array of float64, NULL and
 * what is missing as NaN. */
static void gather_step(sqlite3_context *context, int n_arguments, sqlite3_value **argument) {
    enum { MOST_STEPS = 10000000 };
    (void)n_arguments;
    gathered *const curve = sqlite3_aggregate_context(context, sizeof *curve);
    int64_t const step = sqlite3_value_int64(argument[0]);
    if (step < 1 || step > MOST_STEPS)
        sqlite3_result_error_code(context, SQLITE_CORRUPT);
    else if (!curve || (step > curve->n && !reach_step(curve, (int)step)))
        sqlite3_result_error_nomem(context);
    else if (sqlite3_value_type(argument[1]) != SQLITE_NULL)
        curve->at[step - 1] = sqlite3_value_double(argument[1]);
}

static void finish_curve(sqlite3_context *context) {
    gathered *const curve = sqlite3_aggregate_context(context, 0);
    if (curve && curve->at)
        sqlite3_result_blob64(context, curve->at, (uint64_t)curve->n * sizeof *curve->at,
                              sqlite3_free);
}

static rs_status add_curve_function(rs_store *store) {
    int const flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC;
    if (sqlite3_create_function_v2(store->db, "rs_curve", 2, flags, NULL, NULL, gather_step,
                                   finish_curve, NULL) == SQLITE_OK)
        return RS_OK;
    return rs_store_fail(store, "opening");
}

static rs_status query_version(rs_store *store, int64_t *version) {
    return query_number(store, "PRAGMA user_version", version);
}

/* In a transaction of the caller's. */
static rs_status upgrade(rs_store *store) {
    int64_t version = 0;
    RS_TRY(query_version(store, &version));
    if (version == SCHEMA_VERSION) return RS_OK;
    RS_TRY(execute(store, version1_sql, "upgrading"));
    return execute(store, upgrade_sql, "upgrading");
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

/* WAL lets readers in while a sweep writes; elsewhere they wait for each other. */
static rs_status set_journal(rs_store *store) {
    struct statfs info;
    bool const local = statfs(store->path, &info) == 0 && rs_store_shares_memory((long)info.f_type);
    return execute(store, local ? "PRAGMA journal_mode = WAL" : "PRAGMA journal_mode = DELETE",
                   "opening");
}

/* SQLite gives names such as ":memory:" and "file:x" a meaning of its own; "./" takes it away. */
static rs_status open_file(rs_store *store, int flags) {
    char *const name = sqlite3_mprintf("%s%s", store->path[0] == '/' ? "" : "./", store->path);
    if (!name) return rs_fail(RS_EMEMORY, "%s: out of memory", store->path);
    int const code = sqlite3_open_v2(name, &store->db, flags, NULL);
    sqlite3_free(name);
    if (!store->db) return rs_fail(RS_EMEMORY, "%s: out of memory", store->path);
    if (code != SQLITE_OK) return rs_store_fail(store, "opening");
    sqlite3_busy_timeout(store->db, BUSY_TIMEOUT_MS);
    return add_curve_function(store);
}

/* Settles what a new, an interrupted and a finished creation look like: under the write lock a file
 * has either all of our schema, of this version or of version 1, or nothing at all. */
static rs_status create_schema(rs_store *store) {
    int64_t application = 0, tables = 0;
    RS_TRY(query_number(store, "PRAGMA application_id", &application));
    RS_TRY(query_number(store, "SELECT count(*) FROM sqlite_schema", &tables));
    if (application == APPLICATION_ID) return upgrade(store);
    if (application != 0 || tables != 0)
        return rs_fail(RS_EINPUT, "%s: another program has just made it: name another file",
                       store->path);
    return execute(store, schema_sql, "creating");
}

/* Commits what `status` says is good, else rolls back; returns how it went. */
static rs_status end_transaction(rs_store *store, rs_status status, const char *doing) {
    if (status == RS_OK) status = run_plain(store, COMMIT, doing);
    /* A failed statement may have rolled back by itself. What went wrong is recorded already, so
     * the outcome of this is not asked for; the next reader would roll back in any case. */
    if (!sqlite3_get_autocommit(store->db)) sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

/* The tables that everything else needs are there, and can be read now. */
static rs_status check_tables(rs_store *store) {
    int64_t rows;
    return query_number(
        store, "SELECT count(*) FROM (SELECT 1 FROM runs, cases, points, curves, timings LIMIT 1)",
        &rows);
}

static rs_status make_ready_to_write(rs_store *store) {
    if (sqlite3_db_readonly(store->db, "main") == 1)
        return rs_fail(RS_ESTORE, "%s: is read-only: make it writable, or name another file",
                       store->path);
    /* NORMAL: a killed process loses nothing that was committed. Lost power may take the last
     * cases, never the whole, and the same command computes them again. */
    RS_TRY(execute(store, "PRAGMA foreign_keys = ON; PRAGMA synchronous = NORMAL", "opening"));
    /* Of a new database: short curves leave little of a page unused, long ones rarely need more. */
    RS_TRY(execute(store, "PRAGMA page_size = 16384", "opening"));
    RS_TRY(run_plain(store, BEGIN_WRITE, "opening"));
    RS_TRY(end_transaction(store, create_schema(store), "creating"));
    /* After the schema: WAL cannot be set in a transaction, and a database of SQLite's that has no
     * application_id yet would not be known as ours after a kill. */
    RS_TRY(set_journal(store));
    return check_tables(store);
}

rs_status rs_store_begin_read(rs_store *store) {
    int64_t version = 0;
    RS_TRY(execute(store, "BEGIN", "reading"));
    RS_TRY(query_version(store, &version)); /* from here on nothing changes for this reader */
    if (version == SCHEMA_VERSION) return RS_OK;
    RS_TRY(execute(store, "PRAGMA query_only = OFF", "reading"));
    rs_status const status = execute(store, version1_sql, "reading");
    RS_TRY(execute(store, "PRAGMA query_only = ON", "reading"));
    return status;
}

void rs_store_end_read(rs_store *store) {
    /* Only reads, and temporary views, which go with it: nothing to lose, or to fail. */
    sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
}

static rs_status make_ready_to_read(rs_store *store) {
    RS_TRY(execute(store, "PRAGMA query_only = ON", "opening"));
    RS_TRY(rs_store_begin_read(store));
    RS_TRY(check_tables(store));
    rs_store_end_read(store);
    return RS_OK;
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
    *out = store;
    return RS_OK;
}

rs_status rs_store_open(const char *path, rs_store **out) {
    file_state state;
    *out = NULL;
    RS_TRY(look_at(path, false, &state));
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

/* True where SQLite could not read because it may not make its files beside the database, and
 * nobody else has: then nobody writes, and the file may be read without locks. */
static bool lies_still(rs_store *store) {
    int const code = sqlite3_errcode(store->db) & 0xff;
    if (code != SQLITE_CANTOPEN && code != SQLITE_READONLY) return false;
    char *const wal = sqlite3_mprintf("%s-wal", store->path);
    struct stat info;
    bool const missing = wal && stat(wal, &info) != 0 && errno == ENOENT;
    sqlite3_free(wal);
    return missing;
}

/* The name of a file as a URI: all but letters, digits and "/._-" as %XX. */
static char *immutable_uri(const char *path) {
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-";
    static const char tail[] = "?immutable=1";
    char *const real = realpath(path, NULL);
    if (!real) return NULL;
    size_t const size = 3 * strlen(real) + sizeof "file:" + sizeof tail;
    char *const uri = malloc(size);
    if (uri) {
        char *end = uri + sprintf(uri, "file:");
        for (const char *c = real; *c; ++c)
            end += sprintf(end, strchr(plain, *c) ? "%c" : "%%%02X", (unsigned char)*c);
        memcpy(end, tail, sizeof tail);
    }
    free(real);
    return uri;
}

static rs_status reopen_immutable(rs_store *store) {
    char *const uri = immutable_uri(store->path);
    if (!uri) return rs_fail(RS_ESTORE, "%s: opening: %s", store->path, strerror(errno));
    sqlite3_close(store->db);
    store->db = NULL;
    int const code = sqlite3_open_v2(uri, &store->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);
    free(uri);
    if (!store->db) return rs_fail(RS_EMEMORY, "%s: out of memory", store->path);
    if (code != SQLITE_OK) return rs_store_fail(store, "opening");
    RS_TRY(add_curve_function(store));
    return make_ready_to_read(store);
}

rs_status rs_store_open_readonly(const char *path, rs_store **out) {
    file_state state;
    *out = NULL;
    RS_TRY(look_at(path, true, &state));
    if (state == FILE_MISSING)
        return rs_fail(RS_EINPUT, "%s: there is no such file: make one with rhosweep sweep", path);
    if (state == FILE_EMPTY)
        return rs_fail(RS_EINPUT, "%s: is empty: no sweep has written to it", path);
    rs_store *store = NULL;
    RS_TRY(make_store(path, &store));
    /* Open to write if that is allowed, though query_only: a reader who may not write would leave
     * the WAL's files beside the database, and could not take over those of a killed sweep. */
    rs_status status = open_file(store, SQLITE_OPEN_READWRITE);
    if (status == RS_OK) {
        status = make_ready_to_read(store);
        if (status != RS_OK && lies_still(store)) status = reopen_immutable(store);
    }
    if (status == RS_OK)
        *out = store;
    else
        rs_store_close(store);
    return status;
}

void rs_store_close(rs_store *store) {
    if (!store) return;
    for (size_t i = 0; i < N_STATEMENT; ++i) sqlite3_finalize(store->prepared[i]);
    sqlite3_close(store->db);
    free(store->path);
    free(store);
}

sqlite3 *rs_store_handle(rs_store *store) { return store->db; }

/* --- runs ------------------------------------------------------------------------------------- */

rs_status rs_store_begin_run(rs_store *store, const rs_provenance *provenance, int64_t *run_id) {
    binder b = {0};
    RS_TRY(prepare(store, BEGIN_RUN, &b.to));
    bind_text(&b, provenance->version);
    bind_text(&b, provenance->commit);
    bind_text(&b, provenance->libraries);
    bind_text(&b, provenance->host);
    bind_text(&b, provenance->system);
    bind_text(&b, provenance->engine);
    bind_text(&b, provenance->device);
    bind_text(&b, provenance->driver);
    bind_whole(&b, provenance->threads);
    bind_whole(&b, provenance->memory > INT64_MAX ? INT64_MAX : (int64_t)provenance->memory);
    bind_text(&b, provenance->command_line);
    bind_text(&b, provenance->spec);
    RS_TRY(bound(store, &b));
    RS_TRY(run(store, b.to, "starting a run"));
    *run_id = sqlite3_last_insert_rowid(store->db);
    return RS_OK;
}

rs_status rs_store_finish_run(rs_store *store, int64_t run_id, const char *outcome,
                              double engine_seconds, double wall_seconds) {
    binder b = {0};
    RS_TRY(prepare(store, FINISH_RUN, &b.to));
    bind_whole(&b, run_id);
    bind_text(&b, outcome);
    bind_real(&b, engine_seconds);
    bind_real(&b, wall_seconds);
    RS_TRY(bound(store, &b));
    return run(store, b.to, "finishing the run");
}

/* --- cases ------------------------------------------------------------------------------------ */

/* The values of a case's identity, some of which are made up as text. */
typedef struct identity {
    rs_identity_value value[RS_MAX_IDENTITY];
} identity;

/* Binds the columns of rs_identity_columns(); `room` must outlive the statement's run. */
static void bind_identity(binder *b, const rs_case *one, identity *room) {
    size_t n;
    const rs_identity_column *const column = rs_identity_columns(&n);
    for (size_t i = 0; i < n; ++i) {
        rs_identity_value *const value = &room->value[i];
        column[i].get(one, value);
        if (column[i].kind == RS_IDENTITY_TEXT)
            bind_text(b, value->text);
        else
            bind_whole(b, value->whole);
    }
}

static rs_status find_case(rs_store *store, const rs_case *one, bool *found, int64_t *id) {
    binder b = {0};
    identity room;
    RS_TRY(prepare(store, FIND_CASE, &b.to));
    bind_identity(&b, one, &room);
    RS_TRY(bound(store, &b));
    return run_for_number(store, b.to, "reading the cases", found, id);
}

/* Sets done[i] where rho[i], ascending, is one of the radii that the statement yields. */
static rs_status mark_done(rs_store *store, sqlite3_stmt *stored, const double *rho, size_t n,
                           bool *done) {
    int code;
    size_t i = 0;
    while ((code = sqlite3_step(stored)) == SQLITE_ROW) {
        bool const native = sqlite3_column_type(stored, 0) == SQLITE_NULL;
        double const radius = sqlite3_column_double(stored, 0);
        while (!native && i < n && rho[i] < radius) ++i;
        for (size_t k = i; k < n && (native ? isnan(rho[k]) : rho[k] == radius); ++k)
            done[k] = true;
    }
    return end_statement(store, stored, code, "reading the points");
}

rs_status rs_store_done(rs_store *store, const rs_case *one, const double *rho, size_t n,
                        bool with_curve, bool *done) {
    static double const native = NAN; /* how mark_done knows a radius that was not asked for */
    bool known;
    int64_t case_id = 0;
    memset(done, 0, n * sizeof *done);
    RS_TRY(find_case(store, one, &known, &case_id));
    if (!known) return RS_OK;
    binder b = {0};
    RS_TRY(prepare(store, FIND_POINTS, &b.to));
    bind_whole(&b, case_id);
    bind_whole(&b, with_curve);
    RS_TRY(bound(store, &b));
    return mark_done(store, b.to, one->native ? &native : rho, n, done);
}

static rs_status find_rate(rs_store *store, int64_t case_id, double rho_asked, double *rate) {
    binder b = {0};
    RS_TRY(prepare(store, FIND_RATE, &b.to));
    bind_whole(&b, case_id);
    bind_real(&b, rho_asked);
    RS_TRY(bound(store, &b));
    int code = sqlite3_step(b.to);
    bool const found = code == SQLITE_ROW && sqlite3_column_type(b.to, 0) != SQLITE_NULL;
    *rate = found ? sqlite3_column_double(b.to, 0) : NAN;
    if (code == SQLITE_ROW) code = sqlite3_step(b.to);
    return end_statement(store, b.to, code, "reading the points");
}

rs_status rs_store_rates(rs_store *store, const rs_case *one, const double *rho, size_t n,
                         double *rates) {
    bool known;
    int64_t case_id = 0;
    for (size_t i = 0; i < n; ++i) rates[i] = NAN;
    RS_TRY(find_case(store, one, &known, &case_id));
    for (size_t i = 0; known && i < n; ++i)
        RS_TRY(find_rate(store, case_id, rho ? rho[i] : NAN, &rates[i]));
    return RS_OK;
}

rs_status rs_store_confirm_zero_start(rs_store *store, uint64_t model_digest) {
    char digest[17];
    binder b = {0};
    snprintf(digest, sizeof digest, "%016" PRIx64, model_digest);
    RS_TRY(prepare(store, CONFIRM_ZERO_START, &b.to));
    bind_text(&b, digest);
    RS_TRY(bound(store, &b));
    return run(store, b.to, "confirming a start state");
}

/* Parameters of ADD_CASE and CHANGE_CASE. */
static void bind_case(binder *b, int64_t run_id, const rs_case_result *result, identity *room) {
    bool const failed = result->status != RS_OK;
    bind_identity(b, result->one, room);
    bind_text(b, result->one->model);
    bind_text(b, failed ? "failed" : "done");
    bind_text(b, failed ? result->reason : NULL);
    bind_whole(b, run_id);
}

/* Most cases are new: only where the insertion finds the case there already is it looked up. */
static rs_status add_case(rs_store *store, int64_t run_id, const rs_case_result *result,
                          int64_t *id, bool *is_new) {
    binder b = {0};
    identity room;
    RS_TRY(prepare(store, ADD_CASE, &b.to));
    bind_case(&b, run_id, result, &room);
    RS_TRY(bound(store, &b));
    RS_TRY(run(store, b.to, "storing a case"));
    *is_new = sqlite3_changes(store->db) > 0;
    *id = sqlite3_last_insert_rowid(store->db);
    if (*is_new) return RS_OK;
    bool found;
    b = (binder){0};
    RS_TRY(prepare(store, CHANGE_CASE, &b.to));
    bind_case(&b, run_id, result, &room);
    RS_TRY(bound(store, &b));
    return run_for_number(store, b.to, "storing a case", &found, id);
}

/* Makes room for a point that brings the curve which the stored one lacks. */
static rs_status drop_bare_point(rs_store *store, int64_t case_id, double rho_asked) {
    binder b = {0};
    RS_TRY(prepare(store, DROP_BARE_POINT, &b.to));
    bind_whole(&b, case_id);
    bind_real(&b, rho_asked);
    RS_TRY(bound(store, &b));
    return run(store, b.to, "storing a point");
}

static rs_status add_curve(rs_store *store, int64_t point_id, const rs_log_profile *profile,
                           size_t steps, size_t batch) {
    binder b = {0};
    RS_TRY(prepare(store, ADD_CURVE, &b.to));
    bind_whole(&b, point_id);
    bind_curve(&b, profile->mean, steps);
    bind_curve(&b, batch > 1 ? profile->min : NULL, steps);
    bind_curve(&b, batch > 1 ? profile->max : NULL, steps);
    RS_TRY(bound(store, &b));
    return run(store, b.to, "storing a curve");
}

static rs_status add_point(rs_store *store, int64_t run_id, int64_t case_id,
                           const rs_point *point) {
    binder b = {0};
    RS_TRY(prepare(store, ADD_POINT, &b.to));
    bind_whole(&b, case_id);
    bind_whole(&b, run_id);
    bind_real(&b, point->rho_asked);
    bind_real(&b, point->rho);
    bind_real(&b, point->g);
    bind_real(&b, point->decay_rate);
    bind_step(&b, point->forward_nonfinite, 0);
    bind_step(&b, point->range.fp32_underflow, -1);
    bind_step(&b, point->range.fp32_overflow, -1);
    bind_step(&b, point->range.fp16_underflow, -1);
    bind_step(&b, point->range.fp16_overflow, -1);
    bind_step(&b, point->range.bf16_underflow, -1);
    bind_step(&b, point->range.bf16_overflow, -1);
    bind_step(&b, point->range.backward_nonfinite, -1);
    RS_TRY(bound(store, &b));
    return run(store, b.to, "storing a point");
}

static rs_status add_timing(rs_store *store, int64_t run_id, int64_t case_id,
                            const rs_case_result *result) {
    binder b = {0};
    RS_TRY(prepare(store, ADD_TIMING, &b.to));
    bind_whole(&b, case_id);
    bind_whole(&b, run_id);
    bind_size(&b, result->n);
    bind_size(&b, result->n * result->one->batch);
    bind_real(&b, result->forward_seconds);
    bind_real(&b, result->backward_seconds);
    bind_real(&b, result->transfer_seconds);
    RS_TRY(bound(store, &b));
    return run(store, b.to, "storing a timing");
}

rs_status rs_store_begin(rs_store *store) { return run_plain(store, BEGIN_WRITE, "storing cases"); }

rs_status rs_store_add(rs_store *store, int64_t run_id, const rs_case_result *result) {
    int64_t case_id = 0;
    bool is_new = false;
    RS_TRY(add_case(store, run_id, result, &case_id, &is_new));
    if (result->status != RS_OK) return RS_OK;
    for (size_t i = 0; i < result->n; ++i) {
        const rs_point *const point = &result->point[i];
        bool const curve = point->profile.mean != NULL;
        if (!is_new && curve) RS_TRY(drop_bare_point(store, case_id, point->rho_asked));
        RS_TRY(add_point(store, run_id, case_id, point));
        bool const there_already = sqlite3_changes(store->db) == 0;
        if (there_already || !curve) continue;
        RS_TRY(add_curve(store, sqlite3_last_insert_rowid(store->db), &point->profile,
                         result->one->steps, result->one->batch));
    }
    return add_timing(store, run_id, case_id, result);
}

rs_status rs_store_end(rs_store *store, rs_status status) {
    return end_transaction(store, status, "storing cases");
}

rs_status rs_store_put(rs_store *store, int64_t run_id, const rs_case_result *result) {
    RS_TRY(rs_store_begin(store));
    return rs_store_end(store, rs_store_add(store, run_id, result));
}
