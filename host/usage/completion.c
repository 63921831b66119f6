#include "completion.h"

#include "completion_bash.h"
#include "completion_zsh.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

rs_status rs_completion_parse(const char *word, rs_shell *out) {
    size_t which;
    RS_TRY(rs_parse_listed(word, rs_shell_name, &which));
    *out = (rs_shell)which;
    return RS_OK;
}

/* ---- what stands in a place ------------------------------------------------------------------ */

static bool is_list(const char *argument) { return strcmp(argument, "LIST") == 0; }

static bool is_file(const char *argument) {
    static const char *const files[] = {"FILE",  "FILE[,FILE...]", "DB",    "DIR",
                                        "DB...", "[SPEC.ini]",     "OUT.db"};
    for (size_t i = 0; i < sizeof files / sizeof *files; ++i)
        if (strcmp(argument, files[i]) == 0) return true;
    return false;
}

/* Characters of a word that can be completed: "noise:SIGMA" goes on with a number. */
static int fixed_length(const char *word) {
    const char *const colon = strchr(word, ':');
    bool const goes_on = colon && isupper((unsigned char)colon[1]);
    return goes_on ? (int)(colon + 1 - word) : (int)strlen(word);
}

/* `escape` stands before every colon. */
static void print_words(FILE *out, rs_word_list *word, const char *escape) {
    for (size_t i = 0; word(i); ++i) {
        fputc(' ', out);
        for (const char *c = word(i), *end = c + fixed_length(c); c < end; ++c)
            fprintf(out, "%s%c", *c == ':' ? escape : "", *c);
    }
}

/* Copies the next of the arguments of a usage line, parted by blanks; false behind the last. */
static bool next_argument(const char **rest, char one[RS_COMMAND_TEXT]) {
    size_t const length = strcspn(*rest, " ");
    snprintf(one, RS_COMMAND_TEXT, "%.*s", (int)length, *rest);
    *rest += length + strspn(*rest + length, " ");
    return length > 0 && one[0] != '-'; /* options end them */
}

/* Whether all arguments from this one on are such. */
static bool is_repeated(const char *argument) {
    static const char dots[] = "...";
    size_t const length = strlen(argument), end = sizeof dots - 1;
    return length > end && strcmp(argument + length - end, dots) == 0;
}

/* ---- bash ------------------------------------------------------------------------------------ */

/* "list tanh relu", "file" and the like, as completion.bash reads it. */
static void print_bash_value(FILE *out, const char *argument, rs_word_list *word) {
    if (!word) {
        fputs(is_file(argument) ? "file" : "other", out);
        return;
    }
    fputs(is_list(argument) ? "list" : "word", out);
    print_words(out, word, "");
}

static void print_bash_option(FILE *out, const rs_usage *usage, const rs_option *o) {
    fprintf(out, "    '%s --%s'", usage->name, o->name);
    if (o->alias) fprintf(out, " | '%s --%s'", usage->name, o->alias);
    if (o->letter) fprintf(out, " | '%s -%c'", usage->name, o->letter);
    fputs(") echo '", out);
    print_bash_value(out, o->argument, o->word);
    fputs("' ;;\n", out);
}

static void print_bash_arguments(FILE *out, const rs_usage *usage) {
    char one[RS_COMMAND_TEXT];
    const char *rest = usage->arguments ? usage->arguments : "";
    for (size_t i = 1; next_argument(&rest, one); ++i) {
        if (is_repeated(one))
            fprintf(out, "    '%s '[0-9]*) echo '", usage->name);
        else
            fprintf(out, "    '%s %zu') echo '", usage->name, i);
        print_bash_value(out, one, i == 1 ? usage->word : NULL);
        fputs("' ;;\n", out);
    }
}

static void print_bash_names(FILE *out, const rs_option *option, size_t n) {
    for (size_t i = 0; i < n; ++i) {
        fprintf(out, " --%s", option[i].name);
        if (option[i].alias) fprintf(out, " --%s", option[i].alias);
    }
}

static void print_bash_options(FILE *out) {
    rs_option option[RS_MAX_OPTIONS];
    fputs("# The options of a command, in one line.\n"
          "_rhosweep_options() {\n"
          "    case $1 in\n",
          out);
    for (size_t i = 0; rs_usage_command(i); ++i) {
        size_t const n = rs_usage_options(rs_usage_command(i), option);
        if (n == 0) continue;
        fprintf(out, "    %s) echo -n '", rs_usage_command(i)->name);
        print_bash_names(out, option, n);
        fputs("' ;;\n", out);
    }
    fputs("    esac\n    echo '", out);
    print_bash_names(out, option, rs_common_options(option));
    fputs("'\n}\n\n", out);
}

static void print_bash_values(FILE *out) {
    fputs("# What can follow an option or be the n-th argument: a word, a list of words, a file,\n"
          "# or another value; nothing after a switch.\n"
          "_rhosweep_value() {\n"
          "    case \"$1 $2\" in\n",
          out);
    for (size_t i = 0; rs_usage_command(i); ++i) {
        rs_option option[RS_MAX_OPTIONS];
        size_t const n = rs_usage_options(rs_usage_command(i), option);
        for (size_t k = 0; k < n; ++k)
            if (option[k].argument) print_bash_option(out, rs_usage_command(i), &option[k]);
        print_bash_arguments(out, rs_usage_command(i));
    }
    fputs("    esac\n}\n\n", out);
}

static void print_bash(FILE *out) {
    fputs("# Completes rhosweep in bash; made by: rhosweep completion bash\n\n"
          "_rhosweep_commands=(help",
          out);
    for (size_t i = 0; rs_usage_command(i); ++i) fprintf(out, " %s", rs_usage_command(i)->name);
    fputs(")\n\n", out);
    print_bash_options(out);
    print_bash_values(out);
    fputs(completion_bash, out);
}

/* ---- zsh ------------------------------------------------------------------------------------- */

/* Inside single quotes, brackets escaped. */
static void print_quoted(FILE *out, const char *text) {
    for (; *text; ++text)
        if (*text == '\'')
            fputs("'\\''", out);
        else
            fprintf(out, "%s%c", strchr("[]:\\", *text) ? "\\" : "", *text);
}

/* ":LIST:_rhosweep_list tanh relu" and the like. */
static void print_zsh_value(FILE *out, const char *argument, rs_word_list *word) {
    fputc(':', out);
    print_quoted(out, argument);
    fputc(':', out);
    if (!word) {
        fputs(is_file(argument) ? "_files" : "", out);
        return;
    }
    /* The blank keeps zsh from putting words of its own first. */
    fputs(is_list(argument) ? " _rhosweep_list" : " _rhosweep_word", out);
    print_words(out, word, "\\");
}

/* The names of an option, which exclude each other. */
static void print_zsh_names(FILE *out, const rs_option *o) {
    fprintf(out, "(--%s", o->name);
    if (o->alias) fprintf(out, " --%s", o->alias);
    if (o->letter) fprintf(out, " -%c", o->letter);
    fputc(')', out);
}

/* One of them: "--output=" or "-o+", with the option's sentence and value. */
static rs_status print_zsh_name(FILE *out, const rs_option *o, const char *name, const char *sign) {
    char *help;
    size_t size;
    FILE *const text = open_memstream(&help, &size);
    if (!text) return rs_fail(RS_EMEMORY, "completion: out of memory");
    rs_option_print_help(text, o);
    fclose(text);
    fputs(" \\\n            '", out);
    print_zsh_names(out, o);
    fprintf(out, "%s%s%s[", strlen(name) > 1 ? "--" : "-", name, o->argument ? sign : "");
    print_quoted(out, help);
    fputc(']', out);
    free(help);
    if (o->argument) print_zsh_value(out, o->argument, o->word);
    fputc('\'', out);
    return RS_OK;
}

static rs_status print_zsh_option(FILE *out, const rs_option *o) {
    char const letter[] = {o->letter, '\0'};
    RS_TRY(print_zsh_name(out, o, o->name, "="));
    if (o->alias) RS_TRY(print_zsh_name(out, o, o->alias, "="));
    return o->letter ? print_zsh_name(out, o, letter, "+") : RS_OK;
}

static rs_status print_zsh_options(FILE *out, const rs_option *option, size_t n) {
    for (size_t i = 0; i < n; ++i) RS_TRY(print_zsh_option(out, &option[i]));
    return RS_OK;
}

static void print_zsh_arguments(FILE *out, const rs_usage *usage) {
    char one[RS_COMMAND_TEXT];
    const char *rest = usage->arguments ? usage->arguments : "";
    for (size_t i = 1; next_argument(&rest, one); ++i) {
        if (is_repeated(one))
            fputs(" \\\n            '*", out);
        else
            fprintf(out, " \\\n            '%zu", i);
        print_zsh_value(out, one, i == 1 ? usage->word : NULL);
        fputc('\'', out);
    }
}

static rs_status print_zsh_command(FILE *out, const rs_usage *usage) {
    rs_option option[RS_MAX_OPTIONS];
    fprintf(out, "    %s)\n        _arguments", usage->name);
    RS_TRY(print_zsh_options(out, option, rs_usage_options(usage, option)));
    RS_TRY(print_zsh_options(out, option, rs_common_options(option)));
    print_zsh_arguments(out, usage);
    fputs("\n        ;;\n", out);
    return RS_OK;
}

static rs_status print_zsh(FILE *out) {
    fputs("#compdef rhosweep\n"
          "# Completes rhosweep in zsh; made by: rhosweep completion zsh\n\n"
          "_rhosweep_commands=(\n    'help:show the help of a command'\n",
          out);
    for (size_t i = 0; rs_usage_command(i); ++i) {
        fprintf(out, "    '%s:", rs_usage_command(i)->name);
        print_quoted(out, rs_usage_command(i)->summary);
        fputs("'\n", out);
    }
    fputs(")\n\n# What follows the name of a command.\n_rhosweep_command() {\n    case $words[1] "
          "in\n",
          out);
    for (size_t i = 0; rs_usage_command(i); ++i)
        RS_TRY(print_zsh_command(out, rs_usage_command(i)));
    fputs("    help) _describe command _rhosweep_commands ;;\n    esac\n}\n\n", out);
    fputs(completion_zsh, out);
    return RS_OK;
}

rs_status rs_completion(rs_shell shell, FILE *out) {
    if (shell == RS_ZSH) return print_zsh(out);
    print_bash(out);
    return RS_OK;
}
