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

void rs_host_name(char out[RS_HOST_NAME]) {
    struct utsname name;
    snprintf(out, RS_HOST_NAME, "%.64s", uname(&name) == 0 ? name.nodename : "unknown");
}

static void describe_system(rs_provenance_text *text) {
    struct utsname name;
    if (uname(&name) != 0)
        snprintf(text->system, sizeof text->system, "unknown");
    else
        snprintf(text->system, sizeof text->system, "%.64s %.64s %.64s", name.sysname, name.release,
                 name.machine);
}

/* See schema.sql, radii. OpenBLAS names the kind of processor whose kernels it has chosen,
 * RS_EIGENVALUES is a digest of our own code. */
void rs_describe_libraries(char out[RS_LIBRARIES_TEXT]) {
    lapack_int major, minor, patch;
    LAPACKE_ilaver(&major, &minor, &patch);
    snprintf(out, RS_LIBRARIES_TEXT,
             "SQLite %s, %s, LAPACK %d.%d.%d, libc %s, libzip %s, compiler %s, eigenvalues %s",
             sqlite3_libversion(), openblas_get_config(), (int)major, (int)minor, (int)patch,
             gnu_get_libc_version(), zip_libzip_version(), __VERSION__, RS_EIGENVALUES);
}

rs_status rs_provenance_make(const rs_spec *spec, const rs_engine *engine, const rs_device *device,
                             uint64_t memory, const char *command_line, rs_provenance_text *text,
                             rs_provenance *out) {
    *text = (rs_provenance_text){0};
    RS_TRY(rs_spec_print(spec, &text->spec));
    describe_system(text);
    rs_describe_libraries(text->libraries);
    *out = (rs_provenance){
        .version = RS_VERSION,
        .commit = RS_COMMIT,
        .libraries = text->libraries,
        .system = text->system,
        .engine = engine->name,
        .driver = device->driver,
        .isa = device->isa,
        .memory = memory,
        .command_line = command_line,
        .spec = text->spec,
    };
    return RS_OK;
}

void rs_provenance_free(rs_provenance_text *text) { free(text->spec); }
