/* libFuzzer target of the database reader: no file may crash it, leak, or keep it for ever. */
#include "../host/table/table.h"
#include "remove_database.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Where shared memory is files, nothing goes to a disk. */
static char folder[] = "/dev/shm/rhosweep_fuzz_XXXXXX";
static char database[sizeof folder + sizeof "/x.db-journal"];

static void require(int condition) {
    if (!condition) abort();
}

static void remove_all(void) {
    remove_database(database);
    rmdir(folder);
}

static void make_folder(void) {
    require(mkdtemp(folder) != NULL && atexit(remove_all) == 0);
    snprintf(database, sizeof database, "%s/x.db", folder);
}

static void write_database(const uint8_t *data, size_t length) {
    FILE *const file = fopen(database, "wb");
    require(file && fwrite(data, 1, length, file) == length && fclose(file) == 0);
}

/* What is refused is refused with a reason. */
static void require_reason(rs_status status) {
    require(status == RS_OK || rs_message()[0] != '\0');
}

static void read_all(rs_store *store) {
    static const char *const tables[] = {"decay", "critical",   "seeds", "profile",
                                         "clip",  "throughput", "runs",  "failures"};
    FILE *const out = fopen("/dev/null", "w");
    require(out != NULL);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; ++i) {
        rs_table_request const exact = {.name = tables[i], .format = RS_CSV};
        rs_table_request const rounded = {.name = tables[i], .format = RS_TEXT, .line = 80};
        require_reason(rs_table_write(store, &exact, out));
        require_reason(rs_table_write(store, &rounded, out));
    }
    fclose(out);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    make_folder();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length) {
    rs_store *store;
    write_database(data, length);
    rs_status const status = rs_store_open_readonly(database, &store);
    require_reason(status);
    require((status == RS_OK) == (store != NULL));
    if (store) read_all(store);
    rs_store_close(store);
    return 0;
}
