#include "setting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "a, b or c" */
static void list(const char *const *names, char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    for (const char *const *name = names; *name && used < size; ++name) {
        const char *separator = name == names ? "" : name[1] ? ", " : " or ";
        used += (size_t)snprintf(text + used, size - used, "%s%s", separator, *name);
    }
}

rs_status rs_setting(const char *variable, const char *const *names, const char **out) {
    const char *value = getenv(variable);
    *out = NULL;
    if (!value || !*value) return RS_OK;
    for (const char *const *name = names; *name; ++name)
        if (strcmp(value, *name) == 0) *out = *name;
    if (*out) return RS_OK;
    char all[128];
    list(names, all, sizeof all);
    return rs_fail(RS_EINPUT, "%s: %s: must be %s", variable, value, all);
}
