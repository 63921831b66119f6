#include "writer.h"

#include <inttypes.h>

const char *rs_cell_text(const cell *one, bool exact, char buffer[RS_REAL_TEXT]) {
    switch (one->kind) {
    case MISSING: buffer[0] = '\0'; return buffer;
    case TEXT: return one->text;
    case WHOLE: snprintf(buffer, RS_REAL_TEXT, "%" PRId64, one->whole); return buffer;
    case UNSIGNED: snprintf(buffer, RS_REAL_TEXT, "%" PRIu64, (uint64_t)one->whole); return buffer;
    case REAL: break;
    }
    if (exact) return rs_real_text(one->real, buffer);
    snprintf(buffer, RS_REAL_TEXT, "%.4g", one->real);
    return buffer;
}
