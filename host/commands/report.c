#include "report.h"

#include "../spec/words.h"
#include "../store/store.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What Python runs: the package, or one line that says why it cannot. */
static const char start[] =
    "import sys\n"
    "try:\n"
    "    from rhosweep_reports.cli import main\n"
    "except ImportError as error:\n"
    "    sys.exit(f'rhosweep: report: {sys.executable}: {error}: run scripts/setup, or set "
    "RHOSWEEP_PYTHON to a Python that has rhosweep_reports')\n"
    "sys.exit(main())\n";

static rs_status check_database(const char *path) {
    rs_store *store;
    RS_TRY(rs_store_open_readonly(path, &store));
    rs_store_close(store);
    return RS_OK;
}

/* The tables of the report come from this very program. */
static rs_status name_this_program(void) {
    char path[PATH_MAX];
    ssize_t const length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length < 0) return rs_fail(RS_EIO, "report: /proc/self/exe: %s", strerror(errno));
    path[length] = '\0';
    if (setenv("RHOSWEEP", path, 1) == 0) return RS_OK;
    return rs_fail(RS_EMEMORY, "report: out of memory");
}

/* A word for execv, which does not write to it though its type would let it. */
static char *word(const char *text) {
    char *same;
    memcpy(&same, &text, sizeof same);
    return same;
}

/* argv of `first` words followed by the request's. */
static void put_arguments(const rs_report_request *request, const char **first, char **argv) {
    while (*first) *argv++ = word(*first++);
    for (size_t i = 0; request->argument[i]; ++i) *argv++ = word(request->argument[i]);
    *argv = NULL;
}

static void become(const rs_report_request *request, const char **first) {
    char *argv[RS_REPORT_MAX_ARGUMENTS + 4];
    put_arguments(request, first, argv);
    execvp(argv[0], argv);
}

rs_status rs_report(const rs_report_request *request) {
    RS_TRY(check_database(request->database));
    RS_TRY(name_this_program());
    const char *const named = getenv("RHOSWEEP_PYTHON");
    const char *const python = named ? named : RS_SOURCE_FOLDER "/.venv/bin/python";
    become(request, (const char *[]){python, "-c", start, NULL});
    if (named)
        return rs_fail(rs_errno_status(errno), "report: RHOSWEEP_PYTHON: %s: %s", named,
                       strerror(errno));
    become(request, (const char *[]){"rhosweep-report", NULL});
    return rs_fail(RS_EIO,
                   "report: no Python for it: run scripts/setup, or set RHOSWEEP_PYTHON to a "
                   "Python that has rhosweep_reports");
}
