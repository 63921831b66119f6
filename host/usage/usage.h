/* usage: what every command takes, and how to say it: the one table behind the command line, its
 * help, the completion of shells and the manual. */
#ifndef RS_USAGE_H
#define RS_USAGE_H

#include "../spec/words.h"

typedef struct rs_option {
    const char *name, *alias; /* without dashes; alias or NULL */
    char letter;              /* 0 for none */
    const char *argument;     /* "LIST", "FILE", ...; NULL for a switch */
    const char *help;         /* one sentence; "%s" in it is the list of words */
    const char *initial;      /* the default; NULL for none */
    bool of_model;            /* an imported model settles it where it is not given */
    const char *group;        /* heading, or NULL; options of one group stand together */
    rs_word_list *word;       /* that a value may be, or NULL */
} rs_option;

enum { RS_MAX_OPTIONS = 40 };

/* Texts are paragraphs, and lines that begin with two blanks are kept as they are. */
typedef struct rs_usage {
    const char *name;                  /* "sweep"; NULL of the program itself */
    const char *summary;               /* half a line for the list of commands */
    const char *arguments;             /* "NAME DB"; NULL for none */
    const char *about;                 /* what it does */
    void (*list)(FILE *out);           /* what `about` announces, in lines; or NULL */
    const char *notes;                 /* on options; or NULL */
    const char *examples;              /* command lines */
    rs_word_list *word;                /* that the first argument may be; NULL for a file */
    size_t (*options)(rs_option *out); /* fills at most RS_MAX_OPTIONS; NULL for none */
} rs_usage;

/* Places of the table's options in their list. */
enum { RS_TABLE_FORMAT, RS_TABLE_COLUMNS, RS_TABLE_WIDE };

extern const rs_usage rs_usage_program, rs_usage_sweep, rs_usage_table, rs_usage_merge,
    rs_usage_plot, rs_usage_report, rs_usage_inspect, rs_usage_devices, rs_usage_completion;

typedef enum rs_shell { RS_BASH, RS_ZSH, RS_N_SHELL } rs_shell;

/* "bash", "zsh"; NULL behind the last. */
const char *rs_shell_name(size_t i);

/* The commands, in the order of help; NULL behind the last. */
const rs_usage *rs_usage_command(size_t i);

/* Options that every command has beside its own. */
size_t rs_common_options(rs_option *out);

/* What the command has of its own; returns their number. */
size_t rs_usage_options(const rs_usage *usage, rs_option *out);

/* "rhosweep sweep", or "rhosweep". */
enum { RS_COMMAND_TEXT = 32 };
const char *rs_command_text(const rs_usage *usage, char buffer[RS_COMMAND_TEXT]);

/* Writes the option's sentence, words put in, without its default. */
void rs_option_print_help(FILE *out, const rs_option *option);

/* Writes the option's default, or nothing. */
void rs_option_print_default(FILE *out, const rs_option *option);

#endif
