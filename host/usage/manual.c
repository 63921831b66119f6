/* rhosweep_manual FOLDER: writes rhosweep.1, the manual page, and options.md, the page of docs/,
 * from the table of usage.h. Part of the build, not of the program. */
#include "usage.h"
#include "version.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How one kind of page is written. */
typedef struct page {
    const char *file;
    void (*text)(FILE *out, const char *text, size_t length); /* a line, escaped */
    const char *paragraph, *begin_lines, *end_lines;          /* of lines to keep as they are */
    void (*begin)(FILE *out);
    void (*command)(FILE *out, const rs_usage *usage);
    void (*group)(FILE *out, const char *heading); /* NULL where options have none */
    void (*option)(FILE *out, const rs_option *option);
    void (*end)(FILE *out); /* or NULL */
} page;

/* ------------------------------------------------------------------ what pages have in common */

/* Paragraphs, and lines that begin with two blanks. */
static void put_text(const page *page, FILE *out, const char *text) {
    bool kept = false;
    while (*text) {
        size_t const length = strcspn(text, "\n"), blanks = strspn(text, " ");
        bool const keeps = blanks >= 2;
        if (keeps != kept) fputs(keeps ? page->begin_lines : page->end_lines, out);
        kept = keeps;
        if (length == 0) fputs(page->paragraph, out);
        page->text(out, text + (kept ? 2 : 0), length - (kept ? 2 : 0));
        if (length > 0) fputc('\n', out);
        text += length + (text[length] == '\n');
    }
    if (kept) fputs(page->end_lines, out);
}

static void put_arguments(FILE *out, const rs_usage *usage) {
    if (usage->arguments) fprintf(out, " %s", usage->arguments);
}

/* What a command lists, such as the tables. */
static void put_list(const page *page, FILE *out, void (*list)(FILE *out)) {
    char *text = NULL;
    size_t size;
    FILE *const lines = open_memstream(&text, &size);
    if (!lines) return;
    list(lines);
    fclose(lines);
    put_text(page, out, text);
    free(text);
}

static void put_options(const page *page, FILE *out, const rs_option *option, size_t n) {
    for (size_t i = 0; i < n; ++i) {
        const char *const heading = option[i].group ? option[i].group : "";
        bool const heads = i == 0 || (option[i].group && strcmp(heading, option[i - 1].group) != 0);
        if (heads) page->group(out, heading);
        page->option(out, &option[i]);
    }
}

static void put_command(const page *page, FILE *out, const rs_usage *usage) {
    rs_option option[RS_MAX_OPTIONS];
    page->command(out, usage);
    put_text(page, out, usage->about);
    if (usage->list) put_list(page, out, usage->list);
    put_options(page, out, option, rs_usage_options(usage, option));
    if (usage->notes) {
        fputs(page->paragraph, out);
        put_text(page, out, usage->notes);
    }
    fprintf(out, "%sFor example:\n", page->paragraph);
    put_text(page, out, usage->examples);
}

static void put_page(const page *page, FILE *out) {
    page->begin(out);
    for (size_t i = 0; rs_usage_command(i); ++i) put_command(page, out, rs_usage_command(i));
    if (page->end) page->end(out);
}

/* ------------------------------------------------------------------ the manual page */

static const page man;

static void put_roff(FILE *out, const char *text, size_t length) {
    if (length > 0 && strchr(".'", *text)) fputs("\\&", out);
    for (size_t i = 0; i < length && text[i]; ++i)
        if (text[i] == '\\')
            fputs("\\e", out);
        else
            fprintf(out, "%s%c", text[i] == '-' ? "\\" : "", text[i]);
}

static void put_roff_text(FILE *out, const char *text) { put_roff(out, text, strlen(text)); }

static void begin_man(FILE *out) {
    const rs_usage *const program = &rs_usage_program;
    fputs(".\\\" Written by the build.\n.TH RHOSWEEP 1 \"\" \"rhosweep " RS_VERSION
          "\" \"User Commands\"\n"
          ".SH NAME\nrhosweep \\- gradient flow in recurrent networks, over many spectral radii\n"
          ".SH SYNOPSIS\n",
          out);
    for (size_t i = 0; rs_usage_command(i); ++i) {
        const rs_usage *const one = rs_usage_command(i);
        fprintf(out, "%s.B rhosweep %s\n[\\fIOPTION\\fR]...", i ? ".br\n" : "", one->name);
        put_arguments(out, one);
        fputc('\n', out);
    }
    fputs(".SH DESCRIPTION\n", out);
    put_text(&man, out, program->about);
    put_list(&man, out, program->list);
    fputs(".PP\nFor example:\n", out);
    put_text(&man, out, program->examples);
    fputs(".SH EXIT STATUS\n", out);
    put_text(&man, out, program->notes);
    fputs(".SH OPTIONS OF EVERY COMMAND\n", out);
    rs_option option[RS_MAX_OPTIONS];
    size_t const n = rs_common_options(option);
    for (size_t i = 0; i < n; ++i) man.option(out, &option[i]);
    fputs(".SH COMMANDS\n", out);
}

static void command_man(FILE *out, const rs_usage *usage) {
    fprintf(out, ".SS rhosweep %s", usage->name);
    put_arguments(out, usage);
    fputc('\n', out);
}

static void group_man(FILE *out, const char *heading) {
    if (!*heading) return;
    fputs(".PP\n.I ", out);
    put_roff_text(out, heading);
    fputc('\n', out);
}

static void name_man(FILE *out, const char *dashes, const char *name) {
    fputs("\\fB", out);
    put_roff_text(out, dashes);
    put_roff_text(out, name);
    fputs("\\fR", out);
}

static void value_man(FILE *out, const char *sign, const rs_option *option) {
    if (!option->argument) return;
    fprintf(out, "%s\\fI", sign);
    put_roff_text(out, option->argument);
    fputs("\\fR", out);
}

/* What `print` says of an option, escaped. */
static void put_said(const page *page, FILE *out, const rs_option *option,
                     void (*print)(FILE *out, const rs_option *option)) {
    char *text = NULL;
    size_t size;
    FILE *const said = open_memstream(&text, &size);
    if (!said) return;
    print(said, option);
    fclose(said);
    page->text(out, text, strlen(text));
    free(text);
}

static void option_man(FILE *out, const rs_option *option) {
    char const letter[] = {option->letter, '\0'};
    fputs(".TP\n", out);
    if (option->letter) {
        name_man(out, "-", letter);
        value_man(out, " ", option);
        fputs(", ", out);
    }
    name_man(out, "--", option->name);
    value_man(out, "=", option);
    if (option->alias) {
        fputs(", ", out);
        name_man(out, "--", option->alias);
        value_man(out, "=", option);
    }
    fputc('\n', out);
    put_said(&man, out, option, rs_option_print_help);
    if (option->argument && option->initial) {
        fputs("; default ", out);
        put_said(&man, out, option, rs_option_print_default);
    }
    fputc('\n', out);
}

static void end_man(FILE *out) {
    fputs(".SH ENVIRONMENT\n"
          ".TP\n.B RHOSWEEP_PYTHON\nthe Python that runs the reports\n"
          ".TP\n.B NO_COLOR\nnot empty: no colour on a terminal\n"
          ".TP\n.B COLUMNS\nwidth of tables and plots, instead of that of the terminal\n",
          out);
}

static const page man = {
    .file = "rhosweep.1",
    .text = put_roff,
    .paragraph = ".PP\n",
    .begin_lines = ".PP\n.EX\n",
    .end_lines = ".EE\n",
    .begin = begin_man,
    .command = command_man,
    .group = group_man,
    .option = option_man,
    .end = end_man,
};

/* ------------------------------------------------------------------ the page of docs/ */

static const page markdown;

static void put_markdown(FILE *out, const char *text, size_t length) {
    for (size_t i = 0; i < length; ++i) fprintf(out, "%s%c", text[i] == '|' ? "\\" : "", text[i]);
}

static void begin_markdown(FILE *out) {
    fputs("# Options\n\n"
          "<!-- Written by the build, as options.md in its folder: host/usage/manual.c. -->\n\n"
          "What every command takes. `rhosweep COMMAND --help` says the same in the terminal, and\n"
          "`man rhosweep` in the manual.\n",
          out);
}

static void command_markdown(FILE *out, const rs_usage *usage) {
    fprintf(out, "\n## rhosweep %s", usage->name);
    put_arguments(out, usage);
    fputs("\n\n", out);
}

static void group_markdown(FILE *out, const char *heading) {
    fprintf(out, "\n%s%s", heading, *heading ? "\n\n" : "");
    fputs("| option | value | default | meaning |\n|:--|:--|:--|:--|\n", out);
}

static void code_markdown(FILE *out, const char *before, const char *text) {
    fprintf(out, "`%s", before);
    put_markdown(out, text, strlen(text));
    fputc('`', out);
}

static void option_markdown(FILE *out, const rs_option *option) {
    fputs("| ", out);
    code_markdown(out, "--", option->name);
    if (option->alias) fprintf(out, ", `--%s`", option->alias);
    if (option->letter) fprintf(out, ", `-%c`", option->letter);
    fputs(" | ", out);
    if (option->argument) code_markdown(out, "", option->argument);
    fputs(" | ", out);
    put_said(&markdown, out, option, rs_option_print_default);
    fputs(" | ", out);
    put_said(&markdown, out, option, rs_option_print_help);
    fputs(" |\n", out);
}

static const page markdown = {
    .file = "options.md",
    .text = put_markdown,
    .paragraph = "\n",
    .begin_lines = "\n```\n",
    .end_lines = "```\n",
    .begin = begin_markdown,
    .command = command_markdown,
    .group = group_markdown,
    .option = option_markdown,
};

/* ------------------------------------------------------------------ the program */

static bool write_page(const char *folder, const page *page) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, page->file);
    FILE *const out = fopen(path, "w");
    if (out) {
        put_page(page, out);
        if (!ferror(out) && fclose(out) == 0) return true;
    }
    fprintf(stderr, "rhosweep_manual: %s: %s\n", path, strerror(errno));
    return false;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fputs("rhosweep_manual: folder: give one to write to\n", stderr);
        return 2;
    }
    return write_page(argv[1], &man) && write_page(argv[1], &markdown) ? 0 : 1;
}
