#include "terminal.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool rs_is_terminal(void) { return isatty(STDOUT_FILENO) == 1; }

size_t rs_terminal_width(void) {
    enum { LEAST = 20, USUAL = 80, MOST = 100000 };
    const char *const columns = getenv("COLUMNS");
    char *end = NULL;
    long const asked = columns ? strtol(columns, &end, 10) : 0;
    if (asked > 0 && asked <= MOST && *end == '\0') return asked < LEAST ? LEAST : (size_t)asked;
    struct winsize size = {0};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return USUAL;
    return size.ws_col < LEAST ? LEAST : size.ws_col;
}

bool rs_has_utf8(void) {
    locale_t const locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
    if (!locale) return false;
    bool const has = strcmp(nl_langinfo_l(CODESET, locale), "UTF-8") == 0;
    freelocale(locale);
    return has;
}
