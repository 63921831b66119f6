/* rhosweep completion: a script for a shell that completes commands, options and their values. */
#ifndef RS_COMPLETION_H
#define RS_COMPLETION_H

#include "../../kernels/base/status.h"

#include <stddef.h>
#include <stdio.h>

typedef enum rs_shell { RS_BASH, RS_ZSH, RS_N_SHELL } rs_shell;

/* "bash", "zsh"; NULL behind the last. */
const char *rs_shell_name(size_t i);

/* RS_EINPUT for another word. */
rs_status rs_completion_parse(const char *word, rs_shell *out);

/* Writes the script, made of the table of usage.h. */
rs_status rs_completion(rs_shell shell, FILE *out);

#endif
