/* The flow from a command line to an exit code. The only place that exits, and the only one that
 * prints errors. */
#include "cli.h"
#include "commands/devices.h"
#include "commands/inspect.h"
#include "commands/merge.h"
#include "environment.h"
#include "spec/quote.h"
#include "sweep/pipeline.h"
#include "table/terminal.h"
#include "usage/completion.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_outcome(const rs_sweep_outcome *outcome) {
    printf("%zu of %zu cases done in %.1f s", outcome->done, outcome->cases, outcome->seconds);
    if (outcome->done > 0)
        printf(", engine busy %.0f%%",
               100.0 * outcome->engine_seconds / outcome->seconds / (double)outcome->workers);
    if (outcome->transfer_seconds > 0.0)
        printf(", %.1f s between host and device", outcome->transfer_seconds);
    if (outcome->skipped) printf("; %zu were in the database already", outcome->skipped);
    puts("");
    if (outcome->finding) fputs(outcome->finding, stdout);
}

static void print_next(const char *database) {
    static const struct {
        const char *command, *options;
    } next[] = {{"plot", ""}, {"table decay", ""}, {"report", " -o report"}};
    puts("Next:");
    for (size_t i = 0; i < sizeof next / sizeof *next; ++i) {
        printf("  rhosweep %s ", next[i].command);
        rs_quote_path(stdout, database);
        puts(next[i].options);
    }
}

/* The plot is for a person who waits at a terminal. */
static rs_status print_summary(const rs_sweep_outcome *outcome, const char *database) {
    print_outcome(outcome);
    if (rs_is_terminal()) {
        puts("");
        RS_TRY(rs_plot_few(database, stdout));
        puts("");
    }
    print_next(database);
    return RS_OK;
}

static rs_status run_sweep(const rs_command *command, rs_ranks *ranks) {
    rs_sweep_outcome outcome = {0};
    rs_status status = rs_sweep_among(ranks, NULL, &command->spec, command->line, &outcome);
    if (status == RS_OK && !command->spec.quiet && rs_ranks_is_first(ranks))
        status = print_summary(&outcome, command->spec.output);
    free(outcome.finding);
    return status;
}

static rs_status run_table(const rs_command *command) {
    rs_store *store;
    RS_TRY(rs_store_open_readonly(command->path, &store));
    rs_status const status = rs_table_write(store, &command->table, stdout);
    rs_store_close(store);
    return status;
}

static rs_status run(const rs_command *command, rs_ranks *ranks) {
    switch (command->kind) {
    case RS_SWEEP: return run_sweep(command, ranks);
    case RS_TABLE: return run_table(command);
    case RS_MERGE: return rs_merge(command->argument, command->arguments, stdout);
    case RS_PLOT: return rs_plot(command->path, command->x, stdout);
    case RS_REPORT: return rs_report(&command->report);
    case RS_INSPECT: return rs_inspect(command->path, stdout);
    case RS_DEVICES: return rs_devices_among(ranks, stdout);
    case RS_COMPLETION: return rs_completion(command->shell, stdout);
    case RS_ANSWERED: return RS_OK;
    }
    return RS_OK;
}

/* Output that did not arrive, on a full disk, is a failure too. */
static rs_status finish_output(void) {
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout)) return RS_OK;
    return rs_fail(RS_EIO, "standard output: %s", errno ? strerror(errno) : "write error");
}

/* Processes that a launcher started together sweep together. Of all else they would do the same
 * several times; and what is wrong is said once. `status` is how reading the command went. */
static rs_status join_ranks(const rs_command *command, rs_ranks *ranks, rs_status status) {
    const char *variable;
    bool const answered = status == RS_OK && command->kind == RS_ANSWERED;
    if (rs_ranks_launched(&variable) < 2 || answered) return status;
    if (status == RS_OK && command->kind != RS_SWEEP && command->kind != RS_DEVICES)
        status = rs_fail(RS_EINPUT,
                         "MPI: several processes were started (%s), but only sweep and devices "
                         "run in more than one: start one",
                         variable);
    char message[1024];
    snprintf(message, sizeof message, "%s", rs_message());
    RS_TRY(rs_ranks_begin(ranks));
    if (status != RS_OK) rs_fail(status, "%s", message);
    return rs_ranks_agree(ranks, status, command->kind);
}

int main(int argc, char **argv) {
    signal(SIGXFSZ, SIG_IGN); /* a file too large is an error of write(), like a full disk */
    rs_command command;
    rs_ranks ranks = {0};
    rs_status status = rs_cli_parse(argc, argv, &command);
    if (status == RS_OK && command.kind != RS_ANSWERED) status = rs_environment_check(environ);
    status = join_ranks(&command, &ranks, status);
    if (status == RS_OK) status = run(&command, &ranks);
    if (status == RS_OK) status = finish_output();
    if (status != RS_OK && rs_ranks_is_first(&ranks))
        fprintf(stderr, "rhosweep: %s\n", rs_message());
    rs_ranks_end(&ranks, status);
    /* Threads of an interrupted sweep may still compute, with what exit() would take from them. */
    if (status == RS_EINTERRUPTED) _exit(rs_exit_code(status));
    rs_command_free(&command);
    return rs_exit_code(status);
}
