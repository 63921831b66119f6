#include "quote.h"

#include <stdbool.h>
#include <string.h>

/* Those of C1, too, which UTF-8 writes as two bytes. */
static bool is_control(const char *c) {
    unsigned char const byte = (unsigned char)c[0], next = (unsigned char)(byte ? c[1] : 0);
    return (byte > 0 && byte < 0x20) || byte == 0x7f ||
           (byte == 0xc2 && next >= 0x80 && next < 0xa0);
}

static bool has_control(const char *text) {
    for (; *text; ++text)
        if (is_control(text)) return true;
    return false;
}

static void quote_control(FILE *out, const char *text) {
    fputs("$'", out);
    for (const char *c = text; *c; ++c) {
        bool const second = c > text && is_control(c - 1) && (unsigned char)c[-1] == 0xc2;
        if (is_control(c) || second)
            fprintf(out, "\\%03o", (unsigned char)*c); /* never more than three digits */
        else
            fprintf(out, *c == '\'' || *c == '\\' ? "\\%c" : "%c", *c);
    }
    fputc('\'', out);
}

static void quote_plain(FILE *out, const char *text) {
    fputc('\'', out);
    for (const char *c = text; *c; ++c) fputs(*c == '\'' ? "'\\''" : (char[]){*c, '\0'}, out);
    fputc('\'', out);
}

void rs_quote(FILE *out, const char *argument) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-_./,:=+@%";
    if (*argument && argument[strspn(argument, plain)] == '\0')
        fputs(argument, out);
    else if (has_control(argument))
        quote_control(out, argument);
    else
        quote_plain(out, argument);
}

void rs_quote_path(FILE *out, const char *path) {
    if (*path == '-') fputs("./", out);
    rs_quote(out, path);
}

int rs_print_plain(FILE *out, const char *text, int most) {
    int length = 0;
    for (; length < most && text[length]; ++length) {
        bool const hidden =
            is_control(text + length) || (length > 0 && is_control(text + length - 1) &&
                                          (unsigned char)text[length - 1] == 0xc2);
        fputc(hidden ? '?' : text[length], out);
    }
    return length;
}
