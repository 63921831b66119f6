#include "provenance.h"

#include "version.h"

#include <cblas.h>
#include <gnu/libc-version.h>
#include <lapacke.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <zip.h>

static void describe_machine(rs_provenance_text *text) {
    struct utsname name;
    if (uname(&name) != 0) {
        snprintf(text->host, sizeof text->host, "unknown");
        snprintf(text->system, sizeof text->system, "unknown");
        return;
    }
    snprintf(text->host, sizeof text->host, "%.64s", name.nodename);
    snprintf(text->system, sizeof text->system, "%.64s %.64s %.64s", name.sysname, name.release,
             name.machine);
}

/* All that the bits of an eigenvalue depend on is among them (schema.sql, radii): OpenBLAS names
 * the kind of processor whose kernels it has chosen, RS_EIGENVALUES is a digest of our own code. */
static void describe_libraries(rs_provenance_text *text) {
    lapack_int major, minor, patch;
    LAPACKE_ilaver(&major, &minor, &patch);
    snprintf(text->libraries, sizeof text->libraries,
             "SQLite %s, %s, LAPACK %d.%d.%d, libc %s, libzip %s, compiler %s, eigenvalues %s",
             sqlite3_libversion(), openblas_get_config(), (int)major, (int)minor, (int)patch,
             gnu_get_libc_version(), zip_libzip_version(), __VERSION__, RS_EIGENVALUES);
}

rs_status rs_provenance_make(const rs_spec *spec, const rs_engine *engine, const rs_device *device,
                             const rs_resources *resources, uint64_t memory,
                             const char *command_line, rs_provenance_text *text,
                             rs_provenance *out) {
    *text = (rs_provenance_text){0};
    RS_TRY(rs_spec_print(spec, &text->spec));
    describe_machine(text);
    describe_libraries(text);
    *out = (rs_provenance){
        .version = RS_VERSION,
        .commit = RS_COMMIT,
        .libraries = text->libraries,
        .host = text->host,
        .system = text->system,
        .engine = engine->name,
        .device = device->name,
        .driver = device->driver,
        .isa = device->isa,
        .threads = resources->threads,
        .memory = memory,
        .command_line = command_line,
        .spec = text->spec,
    };
    return RS_OK;
}

void rs_provenance_free(rs_provenance_text *text) { free(text->spec); }
