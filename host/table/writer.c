#include "writer.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Significant digits of 10^log10: every digit before the point of log10 is one fewer behind it. */
static int known_digits(double log10) {
    double const size = fabs(log10);
    return size < 10.0 ? 15 : size < 100.0 ? 14 : 13;
}

/* 10^log10, also where no double is so large or small. */
static const char *power_text(double log10, bool exact, char buffer[RS_REAL_TEXT]) {
    int const digits = exact ? known_digits(log10) : 4;
    double const value = pow(10.0, log10);
    bool const in_range = value >= DBL_MIN && value <= DBL_MAX;
    if (in_range || !isfinite(log10)) {
        snprintf(buffer, RS_REAL_TEXT, "%.*g", digits, isnan(value) ? NAN : value);
        return buffer;
    }
    double exponent = floor(log10);
    snprintf(buffer, RS_REAL_TEXT, "%.*g", digits, pow(10.0, log10 - exponent));
    if (strcmp(buffer, "10") == 0) { /* rounded up */
        strcpy(buffer, "1");
        exponent += 1.0;
    }
    size_t const length = strlen(buffer);
    snprintf(buffer + length, RS_REAL_TEXT - length, "e%+.0f", exponent);
    return buffer;
}

const char *rs_cell_text(const cell *one, bool exact, char buffer[RS_REAL_TEXT]) {
    switch (one->kind) {
    case MISSING: buffer[0] = '\0'; return buffer;
    case TEXT: return one->text;
    case WHOLE: snprintf(buffer, RS_REAL_TEXT, "%" PRId64, one->whole); return buffer;
    case UNSIGNED: snprintf(buffer, RS_REAL_TEXT, "%" PRIu64, (uint64_t)one->whole); return buffer;
    case POWER: return power_text(one->real, exact, buffer);
    case REAL: break;
    }
    if (exact) return rs_real_text(one->real, buffer);
    snprintf(buffer, RS_REAL_TEXT, "%.4g", one->real);
    return buffer;
}

size_t rs_characters(const char *text) {
    size_t n = 0;
    for (; *text; ++text) n += ((unsigned char)*text & 0xC0) != 0x80;
    return n;
}

size_t rs_md_width(const char *text) {
    size_t width = rs_characters(text);
    for (; (text = strchr(text, '|')); ++text) ++width;
    return width;
}

size_t rs_before_point(const char *number) {
    size_t const sign = number[0] == '-', digits = strspn(number + sign, "0123456789");
    return digits > 0 ? sign + digits : rs_characters(number);
}

size_t rs_cells_width(const look *of) {
    size_t const width = of->before + of->behind;
    return of->limit && of->limit < width ? of->limit : width;
}

void rs_put_times(FILE *out, char c, size_t n) {
    for (size_t i = 0; i < n; ++i) fputc(c, out);
}

static bool shows(const sink *to, interval_kind kind) {
    for (size_t k = 0; k < to->shown.n; ++k)
        if (to->look[to->shown.at[k]].interval == kind) return true;
    return false;
}

const char *rs_interval_note(const sink *to) {
    if (shows(to, HALF_WIDTH))
        return "In parentheses: half width of the 95% interval, in units of the last digits.";
    return shows(to, BOTH_ENDS) ? "In brackets: the 95% interval." : "";
}
