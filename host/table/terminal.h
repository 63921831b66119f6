/* terminal: what standard output can show. */
#ifndef RS_TABLE_TERMINAL_H
#define RS_TABLE_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

/* Whether standard output is one. */
bool rs_is_terminal(void);

/* Characters of its lines: COLUMNS where that is set, else the terminal's, else 80. */
size_t rs_terminal_width(void);

/* Whether the locale has UTF-8. */
bool rs_has_utf8(void);

#endif
