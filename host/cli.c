#include "cli.h"

#include "spec/quote.h"
#include "spec/words.h"
#include "table/terminal.h"
#include "version.h"

#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char rs_cli_version[] = "rhosweep " RS_VERSION " (" RS_COMMIT ")";

/* Keys of options that have no letter of their own start above the characters. */
enum { KEY_HELP = 'h', KEY_VERSION = 'V', KEY_USAGE = 256, KEY_FIRST_OWN = 257 };
enum { MAX_OPTIONS = 48, MAX_ARGUMENTS = 2 };

/* What one command's arguments say, before it is known whether they make sense. */
typedef struct parsing {
    const struct command *command;
    const struct argp *argp;
    int next; /* index of the argument after those that were understood */
    bool answered;
    rs_status status;
    const char *argument[MAX_ARGUMENTS];
    size_t arguments;
    bool given[MAX_OPTIONS];
    const char *value[MAX_OPTIONS]; /* of a given option, NULL for a switch */
} parsing;

typedef struct command {
    const char *name;   /* as in its usage line */
    const char *needs;  /* what it says when an argument is missing */
    size_t least, most; /* arguments */
    const char *arguments, *doc;
    char *(*fill_help)(int key, const char *text, void *input); /* argp's help_filter; or NULL */
    void (*options)(struct argp_option *out); /* fills [MAX_OPTIONS], ended by zeros; or NULL */
    rs_status (*finish)(const parsing *p, rs_command *out);
    rs_command_kind kind;
} command;

/* The word that the user types. */
static const char *short_name(const command *command) {
    return command->name + strlen("rhosweep ");
}

/* ------------------------------------------------------------------ options */

static void sweep_options(struct argp_option *out) {
    size_t n;
    const rs_spec_key *const keys = rs_spec_keys(&n);
    int group = 0;
    for (size_t k = 0; k < n; ++k) {
        int const key = keys[k].short_option ? keys[k].short_option : KEY_FIRST_OWN + (int)k;
        if (k == 0 || strcmp(keys[k].group, keys[k - 1].group) != 0)
            *out++ = (struct argp_option){.doc = keys[k].group, .group = ++group};
        *out++ = (struct argp_option){.name = keys[k].name,
                                      .key = key,
                                      .arg = keys[k].argument,
                                      .doc = keys[k].help,
                                      .group = group};
        /* With the same key it counts as the same option: see take_option. */
        if (keys[k].alias)
            *out++ = (struct argp_option){.name = keys[k].alias,
                                          .key = key,
                                          .arg = keys[k].argument,
                                          .flags = OPTION_ALIAS,
                                          .group = group};
    }
}

enum { TABLE_FORMAT, TABLE_COLUMNS, TABLE_WIDE };

static void table_options(struct argp_option *out) {
    static const struct argp_option of_table[] = {
        [TABLE_FORMAT] = {"format", KEY_FIRST_OWN, "FORMAT", 0,
                          "text, md, csv, latex or json; default text on a terminal, else md", 0},
        [TABLE_COLUMNS] = {"columns", KEY_FIRST_OWN + 1, "LIST", 0,
                           "Only these columns, in this order: names of the CSV header with commas "
                           "between them",
                           0},
        [TABLE_WIDE] = {"wide", KEY_FIRST_OWN + 2, NULL, 0,
                        "All columns also in text, md and latex, of any width", 0},
    };
    memcpy(out, of_table, sizeof of_table);
}

/* Puts the tables behind what the help of `table` begins with. */
static char *list_tables(int key, const char *text, void *input) {
    (void)input;
    char *filled = NULL;
    size_t size;
    FILE *const out = key == ARGP_KEY_HELP_PRE_DOC ? open_memstream(&filled, &size) : NULL;
    if (!out) return (char *)text;
    fprintf(out, "%s\n", text);
    rs_table_list(out);
    fclose(out);
    return filled;
}

/* Passed on as they are: the Python package knows their values. The first one names the folder. */
static const struct {
    const char *flag, *argument, *doc;
} report_option[] = {
    {"--output", "DIR", "Folder of the report; made if missing, other files in it stay"},
    {"--figure", "NAME",
     "Only this figure, and no page: rate, profile, heatmap, horizon, growing, cells, "
     "cell-profiles, gate-bias, leak, clipping, gradients, phase, multiples, scaling, "
     "seeds, time-H, time-B, time-R, speedup-H, "
     "speedup-B, speedup-R, roofline, threads"},
    {"--format", "LIST", "pdf, png, svg, pgf; default pdf,svg"},
    {"--style", "NAME", "paper or talk; default paper"},
    {"--width", "NAME", "column or page; default column"},
    {"--font", "NAME", "sans or serif; default sans"},
    {"--title", "NAME", "none, short or full; default none: captions stand in NAME.tex"},
    {"--x", "NAME", "rho or g on the x axis of figures over the radius; default rho"},
    {"--bench", "FILE[,FILE...]",
     "JSON of rhosweep-bench or scripts/bench, for the figures of speed"},
};
enum { N_REPORT_OPTIONS = sizeof report_option / sizeof *report_option };
_Static_assert(2 * N_REPORT_OPTIONS + 3 <= RS_REPORT_MAX_ARGUMENTS, "room for all of them");

static void report_options(struct argp_option *out) {
    for (size_t i = 0; i < N_REPORT_OPTIONS; ++i)
        *out++ = (struct argp_option){.name = report_option[i].flag + 2,
                                      .key = i == 0 ? 'o' : KEY_FIRST_OWN + (int)i,
                                      .arg = report_option[i].argument,
                                      .doc = report_option[i].doc};
}

/* What every command understands. */
static void common_options(struct argp_option *out) {
    while (out->name || out->doc) ++out;
    *out++ = (struct argp_option){.doc = "Help:", .group = -1};
    *out++ = (struct argp_option){"help", KEY_HELP, NULL, 0, "This text", -1};
    *out++ = (struct argp_option){"usage", KEY_USAGE, NULL, 0, "The options in short", -1};
    *out++ = (struct argp_option){"version", KEY_VERSION, NULL, 0, "Version and commit", -1};
}

/* ------------------------------------------------------------------ messages */

/* `word` of `length` is the name that is none. */
static rs_status fail_unknown_option(const parsing *p, const char *text, const char *word,
                                     size_t length) {
    const char *names[MAX_OPTIONS];
    size_t n = 0;
    for (const struct argp_option *o = p->argp->options; o->name || o->doc; ++o)
        if (o->name) names[n++] = o->name;
    char *const typed = strndup(word, length);
    const char *const nearest = typed ? rs_nearest_word(typed, names, n) : NULL;
    free(typed);
    return rs_fail(RS_EINPUT, "%.60s: unknown option; %s%s%ssee %s --help", text,
                   nearest ? "did you mean --" : "", nearest ? nearest : "", nearest ? "? " : "",
                   p->command->name);
}

/* argp and getopt would print their own lines, and more than one; so they are kept silent and the
 * argument that stopped them is looked up again. */
static rs_status fail_option(const parsing *p, const char *text) {
    const char *const name = p->command->name;
    const char *const word = text[1] == '-' ? text + 2 : "";
    size_t const length = strcspn(word, "=");
    size_t matches = 0;
    const struct argp_option *match = NULL;
    for (const struct argp_option *o = p->argp->options; o->name || o->doc; ++o) {
        if (!o->name) continue; /* a heading */
        bool const begins = length > 0 && strncmp(word, o->name, length) == 0;
        bool const whole = o->key == text[1] || (begins && o->name[length] == '\0');
        if (begins || whole) match = o;
        matches = whole ? 1 : matches + begins;
        if (whole) break;
    }
    if (matches > 1)
        return rs_fail(RS_EINPUT, "%.60s: short for more than one option; see %s --help", text,
                       name);
    if (!match) return fail_unknown_option(p, text, word, length);
    return rs_fail(RS_EINPUT, "%.60s: %s; see %s --help", text,
                   match->arg ? "needs a value" : "takes no value", name);
}

static void answer(parsing *p, unsigned flags) {
    char name[64]; /* argp asks for one that it could write to */
    snprintf(name, sizeof name, "%s", p->command->name);
    argp_help(p->argp, stdout, flags, name);
    p->answered = true;
}

/* ------------------------------------------------------------------ one command's arguments */

static void take_argument(parsing *p, const char *text) {
    if (p->arguments == p->command->most)
        p->status = rs_fail(RS_EINPUT, "%.60s: one argument too many; see %s --help", text,
                            p->command->name);
    else
        p->argument[p->arguments++] = text;
}

/* A word that follows an option and looks like the next one is rather that: a value was forgotten.
 * Negative numbers do not. */
static bool is_no_value(const char *word) {
    return word[0] == '-' && word[1] && !strchr("0123456789.", word[1]);
}

/* `follows`: the value is a word of its own. */
static error_t take_option(parsing *p, int key, const char *value, bool follows) {
    const struct argp_option *const options = p->argp->options;
    size_t i = 0;
    while ((options[i].name || options[i].doc) && (!options[i].name || options[i].key != key)) ++i;
    if (!options[i].name) return ARGP_ERR_UNKNOWN;
    if (p->given[i]) p->status = rs_fail(RS_EINPUT, "--%s: given twice", options[i].name);
    if (value && follows && is_no_value(value))
        p->status = rs_fail(RS_EINPUT,
                            "--%s: needs a value, and %.60s looks like an option: write "
                            "--%s=%.60s if it is the value",
                            options[i].name, value, options[i].name, value);
    p->given[i] = true;
    p->value[i] = value;
    return 0;
}

static error_t take(int key, char *value, struct argp_state *state) {
    parsing *const p = state->input;
    error_t result = 0;
    switch (key) {
    case KEY_HELP: answer(p, ARGP_HELP_SHORT_USAGE | ARGP_HELP_LONG | ARGP_HELP_DOC); break;
    case KEY_USAGE: answer(p, ARGP_HELP_USAGE); break;
    case KEY_VERSION:
        puts(rs_cli_version);
        p->answered = true;
        break;
    case ARGP_KEY_ARG: take_argument(p, value); break;
    case ARGP_KEY_ERROR:
        /* Inside a cluster such as -xy, getopt has not moved on yet. */
        if (p->status == RS_OK && !p->answered)
            p->status = fail_option(p, state->argv[state->next - (state->next > p->next)]);
        break;
    default: result = take_option(p, key, value, value && value == state->argv[state->next - 1]);
    }
    if (state->next > p->next) p->next = state->next;
    return p->answered || p->status != RS_OK ? ECANCELED : result;
}

static rs_status parse_command(const command *command, int argc, char **argv, rs_command *out) {
    struct argp_option options[MAX_OPTIONS] = {{0}};
    if (command->options) command->options(options);
    common_options(options);
    const struct argp argp = {
        options, take, command->arguments, command->doc, NULL, command->fill_help, NULL};
    parsing p = {.command = command, .argp = &argp, .next = 1};
    error_t const error = argp_parse(
        &argp, argc, argv, ARGP_NO_ERRS | ARGP_NO_HELP | ARGP_NO_EXIT | ARGP_IN_ORDER, NULL, &p);
    if (p.answered) return RS_OK;
    if (p.status != RS_OK) return p.status;
    if (error == ENOMEM) return rs_fail(RS_EMEMORY, "%s: out of memory", command->name);
    if (p.arguments < command->least)
        return rs_fail(RS_EINPUT, "%s: %s; see %s --help", short_name(command), command->needs,
                       command->name);
    out->kind = command->kind;
    return command->finish(&p, out);
}

/* ------------------------------------------------------------------ the commands */

static rs_status finish_sweep(const parsing *p, rs_command *out) {
    RS_TRY(rs_spec_init(&out->spec));
    if (p->arguments > 0) RS_TRY(rs_spec_load(&out->spec, p->argument[0]));
    for (size_t i = 0; i < MAX_OPTIONS; ++i)
        if (p->given[i])
            RS_TRY(rs_spec_set(&out->spec, p->argp->options[i].name, p->value[i], RS_FROM_OPTION));
    return rs_spec_check(&out->spec);
}

static rs_status finish_table(const parsing *p, rs_command *out) {
    const char *const usual = rs_is_terminal() ? "text" : "md";
    const char *const format = p->given[TABLE_FORMAT] ? p->value[TABLE_FORMAT] : usual;
    if (p->given[TABLE_COLUMNS] && p->given[TABLE_WIDE])
        return rs_fail(RS_EINPUT, "wide: shows all columns, and --columns names some: give one");
    out->path = p->argument[1];
    out->table = (rs_table_request){.name = p->argument[0],
                                    .columns = p->value[TABLE_COLUMNS],
                                    .wide = p->given[TABLE_WIDE],
                                    .line = rs_terminal_width(),
                                    .utf8 = rs_has_utf8()};
    return rs_fail_in(rs_table_parse_format(format, &out->table.format), "format");
}

static rs_status finish_report(const parsing *p, rs_command *out) {
    const char **argument = out->report.argument;
    if (!p->given[0])
        return rs_fail(RS_EINPUT, "report: needs a folder: -o DIR; see %s --help",
                       p->command->name);
    for (size_t i = 0; i < N_REPORT_OPTIONS; ++i) {
        if (!p->given[i]) continue;
        if (!*p->value[i]) return rs_fail(RS_EINPUT, "%s: is empty", report_option[i].flag);
        if (p->value[i][0] == '-')
            return rs_fail(RS_EINPUT, "%s: \"%.60s\" begins like an option; see %s --help",
                           report_option[i].flag, p->value[i], p->command->name);
        *argument++ = report_option[i].flag;
        *argument++ = p->value[i];
    }
    *argument++ = "--";
    *argument = out->report.database = p->argument[0];
    return RS_OK;
}

static rs_status finish_inspect(const parsing *p, rs_command *out) {
    out->path = p->argument[0];
    return RS_OK;
}

static rs_status finish_devices(const parsing *p, rs_command *out) {
    (void)p;
    (void)out;
    return RS_OK;
}

/* No command: there is nothing to do but to answer --help and the like. */
static rs_status finish_none(const parsing *p, rs_command *out) {
    (void)out;
    return rs_fail(RS_EINPUT, "command: none given; see %s --help", p->command->name);
}

static const command without_command = {
    .name = "rhosweep",
    .arguments = "COMMAND [ARGUMENT...]",
    .doc = "Gradient flow in recurrent networks: unrolls many networks over many spectral radii "
           "at once, and measures how the gradient of the loss shrinks or grows on its way back "
           "through time.\n"
           "\n"
           "  sweep [SPEC.ini]    run or resume a sweep; its results go to a database\n"
           "  table NAME DB       print a table of its results, such as the decay rates\n"
           "  report DB -o DIR    figures, tables and a page, ready for a paper\n"
           "  inspect FILE        what is in a file of weights: shapes, spectral radius\n"
           "  devices             the engines of this build and what they run on\n"
           "  help [COMMAND]      this text, or that of a command, as with --help\v"
           "For example:\n"
           "  rhosweep sweep --rho 0.5:1.5:0.1 --hidden 64 --steps 100 -o first.db\n"
           "  rhosweep table decay first.db\n"
           "\n"
           "Exit codes: 0 done, 1 failure while running, 2 bad usage or bad input, "
           "130 interrupted.",
    .finish = finish_none,
};

static const command commands[] = {
    {.name = "rhosweep sweep",
     .least = 0,
     .most = 1,
     .arguments = "[SPEC.ini]",
     .doc = "Runs a sweep, or the part of it that the database lacks: for every seed and shape, "
            "backpropagation through time at all spectral radii at once.\n"
            "\n"
            "Every option is also a key of the [sweep] section of SPEC.ini; the command line "
            "wins.\v"
            "LIST is a,b,c or start:stop:step, both ends included; start:stop steps by 1, for "
            "whole numbers. SIZE is in bytes, or with K, M, G, T for powers of 1024.\n"
            "\n"
            "For example:\n"
            "  rhosweep sweep\n"
            "  rhosweep sweep --cell tanh,relu --rho 0.8,1,1.2 --seeds 0:19\n"
            "  rhosweep sweep --cell lstm,gru --gate-bias drawn,1,5 --hidden 10 --steps 50\n"
            "  rhosweep sweep --model weights.npz --rho native --precision f64\n"
            "  rhosweep sweep spec.ini --engine cpu --threads 4 -o results.db",
     .options = sweep_options,
     .finish = finish_sweep,
     .kind = RS_SWEEP},
    {.name = "rhosweep table",
     .needs = "needs the name of a table and a database",
     .least = 2,
     .most = 2,
     .arguments = "NAME DB",
     .doc = "Prints a table of the results in a database, also while a sweep is writing to it.\n"
            "\v"
            "CSV and JSON have all columns, and numbers exactly as stored. The other formats are "
            "for reading: 0.0459(93) is 0.0459 +- 0.0093, a 95% interval.\n"
            "\n"
            "For example:\n"
            "  rhosweep table decay rhosweep.db\n"
            "  rhosweep table decay rhosweep.db --columns rho,g,decay_rate --format latex\n"
            "  rhosweep table profile rhosweep.db --format csv > profile.csv\n"
            "  rhosweep help table decay        what its columns mean",
     .fill_help = list_tables,
     .options = table_options,
     .finish = finish_table,
     .kind = RS_TABLE},
    {.name = "rhosweep report",
     .needs = "needs a database",
     .least = 1,
     .most = 1,
     .arguments = "DB -o DIR",
     .doc = "Makes figures, tables and index.html of the results in a database, also while a sweep "
            "is writing to it. Runs the Python package rhosweep_reports, which scripts/setup "
            "installs.\v"
            "For example:\n"
            "  rhosweep report rhosweep.db -o report\n"
            "  rhosweep report rhosweep.db -o figures --figure rate --format pdf,pgf\n"
            "  rhosweep report rhosweep.db -o slides --style talk --width page --format png\n"
            "\n"
            "RHOSWEEP_PYTHON names the Python to use, if not that of .venv.",
     .options = report_options,
     .finish = finish_report,
     .kind = RS_REPORT},
    {.name = "rhosweep inspect",
     .needs = "needs a file of weights",
     .least = 1,
     .most = 1,
     .arguments = "FILE",
     .doc = "Shows the arrays of a file of weights, .npz as numpy.savez writes it or .safetensors: "
            "shapes, types, whether all numbers are finite; of recurrent weights also spectral "
            "radius, coupling and singular values, of every gate, and whether they can be swept.",
     .finish = finish_inspect,
     .kind = RS_INSPECT},
    {.name = "rhosweep devices",
     .least = 0,
     .most = 0,
     .doc = "Lists the engines of this build, what they run on, and why one cannot run.",
     .finish = finish_devices,
     .kind = RS_DEVICES},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static const char help_word[] = "help";

static const command *find_command(const char *word) {
    for (size_t i = 0; i < N_COMMANDS; ++i)
        if (strcmp(short_name(&commands[i]), word) == 0) return &commands[i];
    return NULL;
}

/* ------------------------------------------------------------------ provenance */

static rs_status keep_line(int argc, char **argv, char **line) {
    size_t size;
    FILE *const out = open_memstream(line, &size);
    if (!out) return rs_fail(RS_EMEMORY, "command line: out of memory");
    for (int i = 0; i < argc; ++i) {
        if (i > 0) fputc(' ', out);
        rs_quote(out, argv[i]);
    }
    bool const failed = ferror(out) != 0;
    if (fclose(out) == 0 && !failed) return RS_OK;
    return rs_fail(RS_EMEMORY, "command line: out of memory");
}

static rs_status fail_unknown_command(const char *word) {
    const char *names[N_COMMANDS + 1] = {[N_COMMANDS] = help_word};
    for (size_t i = 0; i < N_COMMANDS; ++i) names[i] = short_name(&commands[i]);
    return rs_fail_in(rs_fail_word(word, names, N_COMMANDS + 1), "command");
}

/* rhosweep help table NAME, as Markdown where the output goes elsewhere than to a terminal. */
static rs_status explain_table(const char *name) {
    return rs_is_terminal() ? rs_table_explain(name, rs_terminal_width(), stdout)
                            : rs_table_describe(name, stdout);
}

/* rhosweep help COMMAND is rhosweep COMMAND --help. */
static rs_status answer_help(int argc, char **argv, rs_command *out) {
    static char option[] = "--help";
    bool const of_all = argc < 3 || strcmp(argv[2], help_word) == 0;
    const command *const command = of_all ? &without_command : find_command(argv[2]);
    bool const of_table = argc == 4 && strcmp(argv[2], "table") == 0;
    if (argc > 3 && !of_table)
        return rs_fail(RS_EINPUT, "%.60s: one argument too many; see rhosweep help",
                       argv[argc - 1]);
    if (!command) return fail_unknown_command(argv[2]);
    if (of_table) return explain_table(argv[3]);
    char *words[] = {argv[0], option, NULL};
    return parse_command(command, 2, words, out);
}

rs_status rs_cli_parse(int argc, char **argv, rs_command *out) {
    *out = (rs_command){.kind = RS_ANSWERED};
    if (argc < 2 || argv[1][0] == '-') return parse_command(&without_command, argc, argv, out);
    if (strcmp(argv[1], help_word) == 0) return answer_help(argc, argv, out);
    const command *const command = find_command(argv[1]);
    if (!command) return fail_unknown_command(argv[1]);
    RS_TRY(keep_line(argc, argv, &out->line));
    return parse_command(command, argc - 1, argv + 1, out);
}

void rs_command_free(rs_command *command) {
    rs_spec_free(&command->spec);
    free(command->line);
    *command = (rs_command){.kind = RS_ANSWERED};
}
