#include "usage.h"

#include "../commands/plot.h"
#include "../spec/keys.h"
#include "../table/table.h"

#include <string.h>

/* ------------------------------------------------------------------ options */

static const char *initial_of(const rs_spec_key *key) {
    return key->automatic ? key->automatic : key->initial;
}

_Static_assert((int)RS_MAX_KEYS <= (int)RS_MAX_OPTIONS, "room for all keys");

static size_t sweep_options(rs_option *out) {
    size_t n;
    const rs_spec_key *const keys = rs_spec_keys(&n);
    for (size_t i = 0; i < n; ++i)
        out[i] = (rs_option){.name = keys[i].name,
                             .alias = keys[i].alias,
                             .letter = keys[i].short_option,
                             .argument = keys[i].argument,
                             .help = keys[i].help,
                             .initial = initial_of(&keys[i]),
                             .of_model = keys[i].of_model,
                             .group = keys[i].group,
                             .word = keys[i].kind->word};
    return n;
}

/* A list of words as a function. */
#define WORDS(function, ...)                                                                       \
    static const char *function(size_t i) {                                                        \
        static const char *const words[] = {__VA_ARGS__, NULL};                                    \
        return words[i];                                                                           \
    }

WORDS(figure_word, "rate", "profile", "heatmap", "horizon", "growing", "cells", "cell-profiles",
      "gate-bias", "leak", "clipping", "gradients", "spectrum", "lyapunov", "dimension", "singular",
      "phase", "multiples", "scaling", "seeds", "speedup", "time", "time-H", "time-B", "time-R",
      "speedup-H", "speedup-B", "speedup-R", "roofline", "threads", "workers")
WORDS(figure_format_word, "pdf", "png", "svg", "pgf")
WORDS(style_word, "paper", "talk")
WORDS(width_word, "column", "page")
WORDS(font_word, "sans", "serif")
WORDS(title_word, "none", "short", "full")

static size_t take_options(const rs_option *from, size_t n, rs_option *out) {
    memcpy(out, from, n * sizeof *from);
    return n;
}
#define TAKE_OPTIONS(array, out) take_options(array, sizeof(array) / sizeof *(array), out)

static size_t table_options(rs_option *out) {
    static const rs_option options[] = {
        [RS_TABLE_FORMAT] = {.name = "format",
                             .argument = "FORMAT",
                             .help = "%s",
                             .initial = "text on a terminal, else md",
                             .word = rs_table_format_name},
        [RS_TABLE_COLUMNS] = {.name = "columns",
                              .argument = "LIST",
                              .help = "Only these columns, in this order: names of the CSV header, "
                                      "separated by commas"},
        [RS_TABLE_WIDE] = {.name = "wide",
                           .help = "All columns in text, md and latex too, however wide"},
    };
    return TAKE_OPTIONS(options, out);
}

static size_t plot_options(rs_option *out) {
    static const rs_option options[] = {{.name = "x",
                                         .argument = "NAME",
                                         .help = "The x axis: spectral radius rho or coupling g",
                                         .initial = "rho",
                                         .word = rs_plot_axis_name}};
    return TAKE_OPTIONS(options, out);
}

/* Passed on as they are: the Python package knows their values. The first one names the folder. */
static size_t report_options(rs_option *out) {
    static const rs_option options[] = {
        {.name = "output",
         .letter = 'o',
         .argument = "DIR",
         .help = "Folder of the report; made if missing, other files in it stay"},
        {.name = "figure",
         .argument = "NAME",
         .help = "Only this figure, and no page: %s",
         .word = figure_word},
        {.name = "format",
         .argument = "LIST",
         .help = "%s",
         .initial = "pdf,svg",
         .word = figure_format_word},
        {.name = "style", .argument = "NAME", .help = "%s", .initial = "paper", .word = style_word},
        {.name = "width",
         .argument = "NAME",
         .help = "%s",
         .initial = "column",
         .word = width_word},
        {.name = "font", .argument = "NAME", .help = "%s", .initial = "sans", .word = font_word},
        {.name = "title",
         .argument = "NAME",
         .help = "%s; captions are in NAME.tex beside each figure",
         .initial = "none",
         .word = title_word},
        {.name = "x",
         .argument = "NAME",
         .help = "rho or g on the x axis of figures over the radius; by default g in phase, rho in "
                 "the others",
         .word = rs_plot_axis_name},
        {.name = "bench",
         .argument = "FILE[,FILE...]",
         .help =
             "JSON of rhosweep-bench, scripts/bench or scripts/bench-workers, for the figures of "
             "speed"},
    };
    return TAKE_OPTIONS(options, out);
}

size_t rs_common_options(rs_option *out) {
    static const rs_option options[] = {
        {.name = "help", .letter = 'h', .help = "This text"},
        {.name = "usage", .help = "A short list of the options"},
        {.name = "version", .letter = 'V', .help = "Version and commit"},
    };
    return TAKE_OPTIONS(options, out);
}

/* ------------------------------------------------------------------ commands */

static void list_commands(FILE *out) {
    for (size_t i = 0; rs_usage_command(i); ++i) {
        const rs_usage *const one = rs_usage_command(i);
        int const length = fprintf(out, "  %s %s", one->name, one->arguments ? one->arguments : "");
        fprintf(out, "%*s%s\n", 24 - length, "", one->summary);
    }
    fputs("  help [COMMAND]        this text, or the help of a command\n", out);
}

const rs_usage rs_usage_program = {
    .arguments = "COMMAND [ARGUMENT...]",
    .about = "Gradient flow in recurrent networks: unrolls many networks over many spectral radii "
             "at once, and measures how the gradient of the loss shrinks or grows on its way back "
             "through time.",
    .list = list_commands,
    .notes = "Exit codes: 0 done, 1 failure while running, 2 bad usage or bad input, "
             "130 interrupted.",
    .examples = "  rhosweep sweep --rho 0.5:1.5:0.1 --hidden 64 --steps 100 -o first.db\n"
                "  rhosweep table decay first.db",
};

const rs_usage rs_usage_sweep = {
    .name = "sweep",
    .summary = "run or resume a sweep; results go to a database",
    .arguments = "[SPEC.ini]",
    .about = "Runs or resumes a sweep: for every seed and shape, backpropagation through time at "
             "all spectral radii at once. Stored results are skipped.\n"
             "\n"
             "Every option is also a key of the [sweep] section of SPEC.ini; the command line "
             "wins.",
    .notes = "LIST is a,b,c or start:stop:step, both ends included; start:stop steps by 1, for "
             "whole numbers. SIZE is in bytes, or with K, M, G, T for powers of 1024.",
    .examples = "  rhosweep sweep\n"
                "  rhosweep sweep --cell tanh,relu --rho 0.8,1,1.2 --seeds 0:19\n"
                "  rhosweep sweep --cell lstm,gru --gate-bias drawn,1,5 --hidden 10 --steps 50\n"
                "  rhosweep sweep --model weights.npz --rho native --precision f64\n"
                "  rhosweep sweep spec.ini --engine cpu --threads 4 -o results.db",
    .options = sweep_options,
};

const rs_usage rs_usage_table = {
    .name = "table",
    .summary = "print a table of results, such as decay rates",
    .arguments = "NAME DB",
    .about = "Prints a table of the results in a database, also while a sweep is writing to it.",
    .list = rs_table_list,
    .notes = "CSV and JSON have all columns, and numbers exactly as stored. The other formats are "
             "for reading: 0.0459(93) is 0.0459 +- 0.0093, a 95% interval.",
    .examples = "  rhosweep table decay rhosweep.db\n"
                "  rhosweep table decay rhosweep.db --columns rho,g,decay_rate --format latex\n"
                "  rhosweep table profile rhosweep.db --format csv > profile.csv\n"
                "  rhosweep help table decay        # what its columns mean",
    .word = rs_table_name,
    .options = table_options,
};

const rs_usage rs_usage_merge = {
    .name = "merge",
    .summary = "put the databases of shards together",
    .arguments = "OUT.db DB...",
    .about = "Adds the runs and results of databases to OUT.db, which is made if missing and else "
             "keeps what it has: all of them or, where one cannot be read or contradicts another, "
             "none. Their order changes nothing, and what is there already is not added again.",
    .notes = "A sweep may still write to what is read; merge again when it is done.",
    .examples = "  rhosweep sweep spec.ini --shard 0/2 -o part0.db\n"
                "  rhosweep sweep spec.ini --shard 1/2 -o part1.db\n"
                "  rhosweep merge all.db part0.db part1.db",
};

const rs_usage rs_usage_plot = {
    .name = "plot",
    .summary = "draw decay rates over the radius in the terminal",
    .arguments = "DB",
    .about = "Draws the mean decay rate over the spectral radius, a plot for each kind of network, "
             "with a letter for each size where there are several. Above the zero line gradients "
             "vanish, below it they explode; the crossing is marked, and printed with its 95% "
             "interval over seeds. The numbers are those of the tables decay and critical.",
    .notes = "Braille characters where the locale has UTF-8, plain ones elsewhere; colour on a "
             "terminal, unless NO_COLOR is set.",
    .examples = "  rhosweep plot rhosweep.db\n"
                "  rhosweep plot rhosweep.db --x g",
    .options = plot_options,
};

const rs_usage rs_usage_report = {
    .name = "report",
    .summary = "figures, tables and a page, ready for a paper",
    .arguments = "DB -o DIR",
    .about = "Makes figures, tables and index.html of the results in a database, also while a "
             "sweep is writing to it. Runs the Python package rhosweep_reports, which comes with "
             "the program and needs Python 3.11 or later with matplotlib 3.10; where that is "
             "missing, the error says what to install.",
    .notes = "RHOSWEEP_PYTHON names the Python to use; docs/install.md lists where it is "
             "looked for otherwise.",
    .examples = "  rhosweep report rhosweep.db -o report\n"
                "  rhosweep report rhosweep.db -o figures --figure rate --format pdf,pgf\n"
                "  rhosweep report rhosweep.db -o slides --style talk --width page --format png",
    .options = report_options,
};

const rs_usage rs_usage_inspect = {
    .name = "inspect",
    .summary = "show a file of weights: shapes, spectral radius",
    .arguments = "FILE",
    .about = "Shows the arrays of a file of weights, .npz as numpy.savez writes it or "
             ".safetensors: shapes, types, whether all numbers are finite. For the recurrent "
             "weights of every gate it also shows spectral radius, coupling and singular values, "
             "and it says whether the network can be swept.",
    .examples = "  rhosweep inspect weights.npz\n"
                "  rhosweep inspect model.safetensors",
};

const rs_usage rs_usage_devices = {
    .name = "devices",
    .summary = "list the engines of this build and their devices",
    .about = "Lists the engines of this build, what they run on, and why one cannot run.",
    .examples = "  rhosweep devices",
};

const char *rs_shell_name(size_t i) {
    static const char *const names[] = {[RS_BASH] = "bash", [RS_ZSH] = "zsh", [RS_N_SHELL] = NULL};
    return names[i];
}

const rs_usage rs_usage_completion = {
    .name = "completion",
    .summary = "print a completion script for bash or zsh",
    .arguments = "SHELL",
    .about = "Prints a script that completes commands, options and their values in bash or zsh. "
             "Installed packages include it.",
    .examples = "  source <(rhosweep completion bash)\n"
                "  rhosweep completion zsh > ~/.zfunc/_rhosweep",
    .word = rs_shell_name,
};

const rs_usage *rs_usage_command(size_t i) {
    static const rs_usage *const commands[] = {
        &rs_usage_sweep,   &rs_usage_table,      &rs_usage_merge,
        &rs_usage_plot,    &rs_usage_report,     &rs_usage_inspect,
        &rs_usage_devices, &rs_usage_completion, NULL};
    return commands[i];
}

/* ------------------------------------------------------------------ saying it */

size_t rs_usage_options(const rs_usage *usage, rs_option *out) {
    return usage->options ? usage->options(out) : 0;
}

const char *rs_command_text(const rs_usage *usage, char buffer[RS_COMMAND_TEXT]) {
    snprintf(buffer, RS_COMMAND_TEXT, "rhosweep%s%s", usage->name ? " " : "",
             usage->name ? usage->name : "");
    return buffer;
}

void rs_option_print_help(FILE *out, const rs_option *option) {
    const char *const place = option->word ? strstr(option->help, "%s") : NULL;
    if (!place) {
        fputs(option->help, out);
        return;
    }
    fprintf(out, "%.*s", (int)(place - option->help), option->help);
    for (size_t i = 0; option->word(i); ++i) fprintf(out, "%s%s", i ? ", " : "", option->word(i));
    fputs(place + strlen("%s"), out);
}

void rs_option_print_default(FILE *out, const rs_option *option) {
    if (!option->initial) return;
    fputs(option->initial, out);
    if (option->of_model) fputs(", or the model's", out);
}
