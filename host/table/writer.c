#include "writer.h"

#include <inttypes.h>
#include <stdlib.h>

/* The fewest digits that read back as the same number; %g drops zeros at the end by itself. */
static void print_exactly(double real, char buffer[RS_NUMBER_SIZE]) {
    for (int digits = 15; digits <= 17; ++digits) {
        snprintf(buffer, RS_NUMBER_SIZE, "%.*g", digits, real);
        if (strtod(buffer, NULL) == real) return;
    }
}

const char *rs_cell_text(const cell *one, bool exact, char buffer[RS_NUMBER_SIZE]) {
    switch (one->kind) {
    case MISSING: buffer[0] = '\0'; return buffer;
    case TEXT: return one->text;
    case WHOLE: snprintf(buffer, RS_NUMBER_SIZE, "%" PRId64, one->whole); return buffer;
    case UNSIGNED:
        snprintf(buffer, RS_NUMBER_SIZE, "%" PRIu64, (uint64_t)one->whole);
        return buffer;
    case REAL: break;
    }
    if (exact)
        print_exactly(one->real, buffer);
    else
        snprintf(buffer, RS_NUMBER_SIZE, "%.4g", one->real);
    return buffer;
}
