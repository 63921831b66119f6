#include "report.h"

#include "../spec/words.h"
#include "../store/store.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What Python runs: the package that came with this program, else one that Python has. Modules in
 * the current folder are not meant. */
static const char start[] =
    "import sys\n"
    "home = sys.argv.pop(1)\n"
    "sys.path[:] = [home + '/reports'] * bool(home) + [folder for folder in sys.path if folder]\n"
    "try:\n"
    "    from rhosweep_reports.start import main\n"
    "except ImportError as error:\n"
    "    sys.exit(f'rhosweep: report: {sys.executable}: {error}: install the wheel of the reports, "
    "or set RHOSWEEP_PYTHON to a Python that has it')\n"
    "sys.exit(main(home))\n";

/* Where reports/ and a Python for it lie, from the program's folder: installed, and built. */
static const struct place {
    const char *home, *python;
} places[] = {{RS_DATA_FROM_PROGRAM, "venv/bin/python"}, {"../..", ".venv/bin/python"}};

static rs_status check_database(const char *path) {
    rs_store *store;
    RS_TRY(rs_store_open_readonly(path, &store));
    rs_store_close(store);
    return RS_OK;
}

/* The tables of the report come from this very program. */
static rs_status name_this_program(char path[PATH_MAX]) {
    ssize_t const length = readlink("/proc/self/exe", path, PATH_MAX - 1);
    if (length < 0) return rs_fail(RS_EIO, "report: /proc/self/exe: %s", strerror(errno));
    path[length] = '\0';
    if (setenv("RHOSWEEP", path, 1) == 0) return RS_OK;
    return rs_fail(RS_EMEMORY, "report: out of memory");
}

/* False if the path is too long to be one of a file. */
static bool join(char path[PATH_MAX], const char *folder, const char *name) {
    int const length = snprintf(path, PATH_MAX, "%s/%s", folder, name);
    return length > 0 && length < PATH_MAX;
}

static bool holds_reports(const char *home) {
    char path[PATH_MAX];
    return join(path, home, "reports/rhosweep_reports/start.py") && access(path, R_OK) == 0;
}

/* The place with the reports that came with the program, and its path; NULL and "" if there are
 * none. */
static const struct place *find_home(const char *folder, char home[PATH_MAX]) {
    for (size_t i = 0; i < sizeof places / sizeof *places; ++i) {
        char path[PATH_MAX];
        if (join(path, folder, places[i].home) && realpath(path, home) && holds_reports(home))
            return &places[i];
    }
    home[0] = '\0';
    return NULL;
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
    char *argv[RS_REPORT_MAX_ARGUMENTS + 5];
    put_arguments(request, first, argv);
    execvp(argv[0], argv);
}

static void become_python(const rs_report_request *request, const char *python, const char *home) {
    become(request, (const char *[]){python, "-c", start, home, NULL});
}

rs_status rs_report(const rs_report_request *request) {
    RS_TRY(check_database(request->database));
    char program[PATH_MAX], home[PATH_MAX], python[PATH_MAX];
    RS_TRY(name_this_program(program));
    *strrchr(program, '/') = '\0';
    const struct place *const place = find_home(program, home);
    const char *const named = getenv("RHOSWEEP_PYTHON");
    if (named) {
        become_python(request, named, home);
        return rs_fail(rs_errno_status(errno), "report: RHOSWEEP_PYTHON: %s: %s", named,
                       strerror(errno));
    }
    if (place && join(python, home, place->python)) become_python(request, python, home);
    become(request, (const char *[]){"rhosweep-report", NULL});
    become_python(request, "python3", home);
    return rs_fail(RS_EIO, "report: python3: %s: install Python, or set RHOSWEEP_PYTHON to one",
                   strerror(errno));
}
