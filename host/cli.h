/* The command line: from argv to what is asked for. Reads the spec file, writes help. */
#ifndef RS_CLI_H
#define RS_CLI_H

#include "commands/plot.h"
#include "commands/report.h"
#include "spec/spec.h"
#include "table/table.h"
#include "usage/usage.h"

typedef enum rs_command_kind {
    RS_ANSWERED, /* --help, --usage or --version: printed on stdout, nothing is left to do */
    RS_SWEEP,
    RS_TABLE,
    RS_MERGE,
    RS_PLOT,
    RS_REPORT,
    RS_INSPECT,
    RS_DEVICES,
    RS_COMPLETION
} rs_command_kind;

typedef struct rs_command {
    rs_command_kind kind;
    const char **argument;    /* the words that are no options, borrowed from argv */
    size_t arguments;         /* merge: all of them, the databases */
    rs_spec spec;             /* sweep: file and options, checked */
    char *line;               /* sweep: the command line as a shell would take it */
    rs_table_request table;   /* borrowed from argv */
    const char *path;         /* table, plot: the database; inspect: the file; borrowed from argv */
    rs_plot_axis x;           /* plot */
    rs_shell shell;           /* completion */
    rs_report_request report; /* points to argv and to `flag` */
    char flag[RS_MAX_OPTIONS][16]; /* "--format" */
} rs_command;

/* Understands argv. RS_EINPUT, naming the argument and the help to read, for anything that is not
 * understood. The caller frees *out with rs_command_free in any case. */
rs_status rs_cli_parse(int argc, char **argv, rs_command *out);
void rs_command_free(rs_command *command);

/* "rhosweep 0.1.0 (commit)": what --version says. */
extern const char rs_cli_version[];

#endif
