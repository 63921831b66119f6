#include "status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_SIZE = 1024 };
static _Thread_local char message[MESSAGE_SIZE];

/* Names from outside may hold what a terminal obeys: line breaks become blanks, other control
 * characters '?'. The second half of those in UTF-8 (C1: C2 80 to C2 9F) too. */
static void make_plain(char *text) {
    for (unsigned char *at = (unsigned char *)text; *at; ++at) {
        if (*at == '\n' || *at == '\r')
            *at = ' ';
        else if (*at < 0x20 || *at == 0x7f)
            *at = '?';
        else if (*at == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0)
            at[0] = at[1] = '?';
    }
}

rs_status(rs_fail)(rs_status status, const char *format, ...) {
    char text[MESSAGE_SIZE]; /* arguments may point into `message` */
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    memcpy(message, text, sizeof text);
    make_plain(message);
    return status;
}

rs_status(rs_fail_in)(rs_status status, const char *format, ...) {
    if (status == RS_OK) return status;
    char context[MESSAGE_SIZE / 2];
    va_list args;
    va_start(args, format);
    vsnprintf(context, sizeof context, format, args);
    va_end(args);
    return rs_fail(status, "%s: %s", context, message);
}

const char *rs_message(void) { return message; }

int rs_exit_code(rs_status status) {
    switch (status) {
    case RS_OK: return 0;
    case RS_EINPUT: return 2;
    case RS_EINTERRUPTED: return 130;
    default: return 1;
    }
}
