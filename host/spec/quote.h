/* Text from outside on its way to a terminal, or into a line that a user may give to a shell. */
#ifndef RS_QUOTE_H
#define RS_QUOTE_H

#include <stdio.h>

/* One argument, in quotes where a shell needs them; with $'...' where it has control characters, so
 * that none of them reaches the terminal. */
void rs_quote(FILE *out, const char *argument);

/* The same for the name of a file, which no program takes for an option. */
void rs_quote_path(FILE *out, const char *path);

/* The text with '?' for control characters. Returns the number of bytes, at most `most`. */
int rs_print_plain(FILE *out, const char *text, int most);

#endif
