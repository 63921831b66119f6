#include "setting.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

rs_status rs_bench_set(rs_spec *spec, const char *key, const char *format, ...) {
    char *text = NULL;
    va_list values;
    va_start(values, format);
    int const length = vasprintf(&text, format, values);
    va_end(values);
    if (length < 0) return rs_fail(RS_EMEMORY, "%s: out of memory", key);
    rs_status const status = rs_spec_set(spec, key, text, RS_FROM_OPTION);
    free(text);
    return status;
}
