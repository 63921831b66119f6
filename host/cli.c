#include "cli.h"

#include "spec/quote.h"
#include "spec/words.h"
#include "table/terminal.h"
#include "usage/completion.h"
#include "version.h"

#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char rs_cli_version[] = "rhosweep " RS_VERSION " (" RS_COMMIT ")";

/* Keys of options that have no letter of their own start above the characters. */
enum { KEY_HELP = 'h', KEY_VERSION = 'V', KEY_USAGE = 256, KEY_FIRST_OWN = 257 };
enum { MAX_ENTRIES = 3 * RS_MAX_OPTIONS };

/* What one command's arguments say, before it is known whether they make sense. */
typedef struct parsing {
    const struct command *command;
    const struct argp *argp;
    int next; /* index of the argument after those that were understood */
    bool answered;
    rs_status status;
    const char **argument; /* [arguments], with room for all words of the command line */
    size_t arguments;
    rs_option option[RS_MAX_OPTIONS]; /* [options] of the command */
    size_t options;
    bool given[RS_MAX_OPTIONS];
    const char *value[RS_MAX_OPTIONS]; /* of a given option, NULL for a switch */
} parsing;

typedef struct command {
    const rs_usage *usage;
    const char *needs;  /* what it says when an argument is missing */
    size_t least, most; /* arguments */
    rs_status (*finish)(const parsing *p, rs_command *out);
    rs_command_kind kind;
} command;

/* ------------------------------------------------------------------ options */

static int key_of(const rs_option *option, size_t i) {
    return option->letter ? option->letter : KEY_FIRST_OWN + (int)i;
}

/* Index of the command's option with that key, or p->options. */
static size_t find_key(const parsing *p, int key) {
    size_t i = 0;
    while (i < p->options && key_of(&p->option[i], i) != key) ++i;
    return i;
}

static void put_own(const parsing *p, struct argp_option *out) {
    int group = 0;
    for (size_t i = 0; i < p->options; ++i) {
        const rs_option *const o = &p->option[i];
        int const key = key_of(o, i);
        bool const heads =
            o->group && (i == 0 || !o[-1].group || strcmp(o->group, o[-1].group) != 0);
        if (heads) *out++ = (struct argp_option){.doc = o->group, .group = ++group};
        *out++ = (struct argp_option){o->name, key, o->argument, 0, o->help, group};
        /* With the same key it counts as the same option: see take_option. */
        if (o->alias)
            *out++ = (struct argp_option){o->alias, key, o->argument, OPTION_ALIAS, NULL, group};
    }
}

/* What every command understands. */
static void put_common(struct argp_option *out) {
    rs_option common[RS_MAX_OPTIONS];
    size_t const n = rs_common_options(common);
    while (out->name || out->doc) ++out;
    *out++ = (struct argp_option){.doc = "Help:", .group = -1};
    for (size_t i = 0; i < n; ++i) {
        int const key = common[i].letter ? common[i].letter : KEY_USAGE;
        *out++ = (struct argp_option){common[i].name, key, NULL, 0, common[i].help, -1};
    }
}

/* ------------------------------------------------------------------ messages */

/* `word` of `length` is the name that is none. */
static rs_status fail_unknown_option(const parsing *p, const char *text, const char *word,
                                     size_t length) {
    const char *names[MAX_ENTRIES];
    size_t n = 0;
    for (const struct argp_option *o = p->argp->options; o->name || o->doc; ++o)
        if (o->name) names[n++] = o->name;
    char *const typed = strndup(word, length);
    const char *const nearest = typed ? rs_nearest_word(typed, names, n) : NULL;
    free(typed);
    char name[RS_COMMAND_TEXT];
    return rs_fail(RS_EINPUT, "%.60s: unknown option; %s%s%ssee %s --help", text,
                   nearest ? "did you mean --" : "", nearest ? nearest : "", nearest ? "? " : "",
                   rs_command_text(p->command->usage, name));
}

/* argp and getopt would print their own lines, and more than one; so they are kept silent and the
 * argument that stopped them is looked up again. */
static rs_status fail_option(const parsing *p, const char *text) {
    char buffer[RS_COMMAND_TEXT];
    const char *const name = rs_command_text(p->command->usage, buffer);
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

/* ------------------------------------------------------------------ help */

static void print_option(FILE *out, const rs_option *option) {
    rs_option_print_help(out, option);
    if (!option->argument || !option->initial) return;
    fputs("; default ", out);
    rs_option_print_default(out, option);
}

/* What stands before the options and, behind a vertical tab, after them. */
static void print_doc(FILE *out, const rs_usage *usage) {
    fputs(usage->about, out);
    if (usage->list) {
        fputs("\n\n", out);
        usage->list(out);
    }
    fputc('\v', out);
    if (usage->notes) fprintf(out, "%s\n\n", usage->notes);
    fprintf(out, "For example:\n%s", usage->examples);
}

/* What `print_option` or `print_doc` writes, for the caller to free; NULL where memory is out. */
static char *text_of(const rs_usage *usage, const rs_option *option) {
    char *text = NULL;
    size_t size;
    FILE *const out = open_memstream(&text, &size);
    if (!out) return NULL;
    if (option)
        print_option(out, option);
    else
        print_doc(out, usage);
    fclose(out);
    return text;
}

static void print_help(const parsing *p, unsigned flags) {
    struct argp_option entry[MAX_ENTRIES];
    char *text[RS_MAX_OPTIONS], *const doc = text_of(p->command->usage, NULL);
    char name[RS_COMMAND_TEXT]; /* argp asks for one that it could write to */
    struct argp argp = *p->argp;
    memcpy(entry, argp.options, sizeof entry);
    argp.options = entry;
    argp.doc = doc;
    for (size_t i = 0; i < p->options; ++i) text[i] = text_of(NULL, &p->option[i]);
    for (struct argp_option *o = entry; o->name || o->doc; ++o) {
        size_t const i = find_key(p, o->key);
        if (o->name && o->doc && i < p->options) o->doc = text[i];
    }
    rs_command_text(p->command->usage, name);
    argp_help(&argp, stdout, flags, name);
    for (size_t i = 0; i < p->options; ++i) free(text[i]);
    free(doc);
}

static void answer(parsing *p, unsigned flags) {
    print_help(p, flags);
    p->answered = true;
}

/* ------------------------------------------------------------------ one command's arguments */

static void take_argument(parsing *p, const char *text) {
    char name[RS_COMMAND_TEXT];
    if (p->arguments == p->command->most)
        p->status = rs_fail(RS_EINPUT, "%.60s: one argument too many; see %s --help", text,
                            rs_command_text(p->command->usage, name));
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
    size_t const i = find_key(p, key);
    if (i == p->options) return ARGP_ERR_UNKNOWN;
    const char *const name = p->option[i].name;
    if (p->given[i]) p->status = rs_fail(RS_EINPUT, "--%s: given twice", name);
    if (value && follows && is_no_value(value))
        p->status = rs_fail(RS_EINPUT,
                            "--%s: needs a value, and %.60s looks like an option: write "
                            "--%s=%.60s if it is the value",
                            name, value, name, value);
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
    struct argp_option entry[MAX_ENTRIES] = {{0}};
    const struct argp argp = {entry, take, command->usage->arguments, "", NULL, NULL, NULL};
    char name[RS_COMMAND_TEXT];
    rs_command_text(command->usage, name);
    out->argument = calloc((size_t)argc, sizeof *out->argument);
    if (!out->argument) return rs_fail(RS_EMEMORY, "%s: out of memory", name);
    parsing p = {.command = command, .argp = &argp, .next = 1, .argument = out->argument};
    p.options = rs_usage_options(command->usage, p.option);
    put_own(&p, entry);
    put_common(entry);
    error_t const error = argp_parse(
        &argp, argc, argv, ARGP_NO_ERRS | ARGP_NO_HELP | ARGP_NO_EXIT | ARGP_IN_ORDER, NULL, &p);
    if (p.answered) return RS_OK;
    if (p.status != RS_OK) return p.status;
    if (error == ENOMEM) return rs_fail(RS_EMEMORY, "%s: out of memory", name);
    if (p.arguments < command->least)
        return rs_fail(RS_EINPUT, "%s: %s; see %s --help", command->usage->name, command->needs,
                       name);
    out->kind = command->kind;
    return command->finish(&p, out);
}

/* ------------------------------------------------------------------ the commands */

static rs_status finish_sweep(const parsing *p, rs_command *out) {
    RS_TRY(rs_spec_init(&out->spec));
    if (p->arguments > 0) RS_TRY(rs_spec_load(&out->spec, p->argument[0]));
    for (size_t i = 0; i < p->options; ++i)
        if (p->given[i])
            RS_TRY(rs_spec_set(&out->spec, p->option[i].name, p->value[i], RS_FROM_OPTION));
    return rs_spec_check(&out->spec);
}

static rs_status finish_table(const parsing *p, rs_command *out) {
    const char *const usual = rs_is_terminal() ? "text" : "md";
    const char *const format = p->given[RS_TABLE_FORMAT] ? p->value[RS_TABLE_FORMAT] : usual;
    if (p->given[RS_TABLE_COLUMNS] && p->given[RS_TABLE_WIDE])
        return rs_fail(RS_EINPUT, "wide: shows all columns, and --columns names some: give one");
    out->path = p->argument[1];
    out->table = (rs_table_request){.name = p->argument[0],
                                    .columns = p->value[RS_TABLE_COLUMNS],
                                    .wide = p->given[RS_TABLE_WIDE],
                                    .line = rs_terminal_width(),
                                    .utf8 = rs_has_utf8()};
    return rs_fail_in(rs_table_parse_format(format, &out->table.format), "format");
}

static rs_status finish_plot(const parsing *p, rs_command *out) {
    out->path = p->argument[0];
    return p->given[0] ? rs_fail_in(rs_plot_parse_axis(p->value[0], &out->x), "x") : RS_OK;
}

/* The flag and the value of an option, as words for the Python package. */
static rs_status pass_on(const parsing *p, size_t i, rs_command *out, size_t at) {
    char *const flag = out->flag[i];
    snprintf(flag, sizeof out->flag[i], "--%s", p->option[i].name);
    if (!*p->value[i]) return rs_fail(RS_EINPUT, "%s: is empty", flag);
    if (p->value[i][0] == '-')
        return rs_fail(RS_EINPUT, "%s: \"%.60s\" begins like an option; see rhosweep report --help",
                       flag, p->value[i]);
    out->report.argument[at] = flag;
    out->report.argument[at + 1] = p->value[i];
    return RS_OK;
}

_Static_assert(2 * RS_MAX_OPTIONS + 3 <= RS_REPORT_MAX_ARGUMENTS, "room for all of them");

static rs_status finish_report(const parsing *p, rs_command *out) {
    size_t n = 0;
    if (!p->given[0])
        return rs_fail(RS_EINPUT, "report: needs a folder: -o DIR; see rhosweep report --help");
    for (size_t i = 0; i < p->options; ++i) {
        if (!p->given[i]) continue;
        RS_TRY(pass_on(p, i, out, n));
        n += 2;
    }
    out->report.argument[n++] = "--";
    out->report.argument[n] = out->report.database = p->argument[0];
    return RS_OK;
}

static rs_status finish_inspect(const parsing *p, rs_command *out) {
    out->path = p->argument[0];
    return RS_OK;
}

static rs_status finish_merge(const parsing *p, rs_command *out) {
    out->arguments = p->arguments;
    return RS_OK;
}

static rs_status finish_devices(const parsing *p, rs_command *out) {
    (void)p;
    (void)out;
    return RS_OK;
}

static rs_status finish_completion(const parsing *p, rs_command *out) {
    return rs_fail_in(rs_completion_parse(p->argument[0], &out->shell), "shell");
}

/* No command: the help in short, and that one is missing. */
static rs_status finish_none(const parsing *p, rs_command *out) {
    (void)out;
    print_help(p, ARGP_HELP_SHORT_USAGE | ARGP_HELP_DOC);
    fflush(stdout); /* so that the error is the last line */
    return rs_fail(RS_EINPUT, "command: none given; see rhosweep --help");
}

static const command without_command = {.usage = &rs_usage_program, .finish = finish_none};

static const command commands[] = {
    {.usage = &rs_usage_sweep, .most = 1, .finish = finish_sweep, .kind = RS_SWEEP},
    {.usage = &rs_usage_table,
     .needs = "needs the name of a table and a database",
     .least = 2,
     .most = 2,
     .finish = finish_table,
     .kind = RS_TABLE},
    {.usage = &rs_usage_merge,
     .needs = "needs a database to make and those to put together",
     .least = 2,
     .most = SIZE_MAX,
     .finish = finish_merge,
     .kind = RS_MERGE},
    {.usage = &rs_usage_plot,
     .needs = "needs a database",
     .least = 1,
     .most = 1,
     .finish = finish_plot,
     .kind = RS_PLOT},
    {.usage = &rs_usage_report,
     .needs = "needs a database",
     .least = 1,
     .most = 1,
     .finish = finish_report,
     .kind = RS_REPORT},
    {.usage = &rs_usage_inspect,
     .needs = "needs a file of weights",
     .least = 1,
     .most = 1,
     .finish = finish_inspect,
     .kind = RS_INSPECT},
    {.usage = &rs_usage_devices, .finish = finish_devices, .kind = RS_DEVICES},
    {.usage = &rs_usage_completion,
     .needs = "needs the name of a shell: bash or zsh",
     .least = 1,
     .most = 1,
     .finish = finish_completion,
     .kind = RS_COMPLETION},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static const char help_word[] = "help";

static const command *find_command(const char *word) {
    for (size_t i = 0; i < N_COMMANDS; ++i)
        if (strcmp(commands[i].usage->name, word) == 0) return &commands[i];
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
    for (size_t i = 0; i < N_COMMANDS; ++i) names[i] = commands[i].usage->name;
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
    free(command->argument);
    *command = (rs_command){.kind = RS_ANSWERED};
}
