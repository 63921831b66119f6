/* rhosweep completion: a script for a shell that completes commands, options and their values. */
#ifndef RS_COMPLETION_H
#define RS_COMPLETION_H

#include "usage.h"

/* RS_EINPUT for another word. */
rs_status rs_completion_parse(const char *word, rs_shell *out);

/* Writes the script, made of the table of usage.h. */
rs_status rs_completion(rs_shell shell, FILE *out);

#endif
