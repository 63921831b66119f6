#include "reading.h"

#include "writer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PLAIN_DIGITS = 4, MOST_DIGITS = 9 };

/* Decimal exponent of a number rounded to so many significant digits: of 0.00996 to two, -2. */
static int exponent_of(double x, int digits) {
    char text[RS_REAL_TEXT];
    snprintf(text, sizeof text, "%.*e", digits - 1, x);
    return (int)strtol(strchr(text, 'e') + 1, NULL, 10);
}

/* x to so many decimals; tens and hundreds for fewer than none. */
static void print_to(double x, int decimals, char *out, size_t room) {
    double const unit = decimals < 0 ? pow(10.0, -decimals) : 1.0;
    double const rounded = decimals < 0 ? unit * round(x / unit) : x;
    snprintf(out, room, "%.*f", decimals > 0 ? decimals : 0, rounded);
    if (strtod(out, NULL) == 0.0) memmove(out, out + (out[0] == '-'), strlen(out));
}

static void print_plain(double x, char *out, size_t room) {
    snprintf(out, room, "%.*g", PLAIN_DIGITS, x);
}

/* Digits that half the length of an interval with ends leaves: see reading.h. */
static int digits_of(double half_length) {
    double const first = half_length / pow(10.0, floor(log10(half_length)));
    return first >= 3.55 && first < 9.95 ? 1 : 2;
}

/* How a number and its interval are rounded: to `decimals` of both divided by 10^power. */
typedef struct rounding {
    bool known; /* false: four digits */
    int power, decimals;
} rounding;

/* To so many digits of the half width. */
static rounding rounding_of(double x, double half_width, int digits) {
    if (!(half_width > 0.0) || !isfinite(half_width) || !isfinite(x))
        return (rounding){.known = false};
    int const uncertain = exponent_of(half_width, 2);
    int const size = x == 0.0 ? uncertain : (int)fmax(exponent_of(x, 15), uncertain);
    if (size - uncertain + digits > MOST_DIGITS) return (rounding){.known = false};
    int const power = size < -4 || size >= 6 ? size : 0;
    return (rounding){true, power, power + digits - 1 - uncertain};
}

static double scaled(double x, const rounding *how) {
    int const half = how->power / 2; /* 10^-power may be beyond double's range */
    return how->power ? x / pow(10.0, half) / pow(10.0, how->power - half) : x;
}

static void print_rounded(double x, const rounding *how, char *out, size_t room) {
    bool const has_digits = how->known && isfinite(x) && x != 0.0;
    if (has_digits)
        print_to(scaled(x, how), how->decimals, out, room);
    else
        print_plain(x, out, room);
}

static void print_power(const rounding *how, char *out, size_t room) {
    out[0] = '\0';
    if (how->known && how->power) snprintf(out, room, "e%+03d", how->power);
}

/* The digits in parentheses: in units of the last one, or with their point from 1 on. */
static void print_half_width(double half_width, const rounding *how, char *out, size_t room) {
    if (!how->known) {
        snprintf(out, room, isinf(half_width) ? "inf" : "0");
        return;
    }
    double const size = scaled(half_width, how);
    bool const has_point = how->decimals <= 0 || exponent_of(size, 2) >= 0;
    if (has_point)
        print_to(size, how->decimals, out, room);
    else
        print_to(size * pow(10.0, how->decimals), 0, out, room);
}

static void print_with_half_width(double x, double half_width, char *out) {
    char value[RS_REAL_TEXT], digits[RS_REAL_TEXT], power[RS_REAL_TEXT];
    rounding const how = rounding_of(x, half_width, 2);
    if (how.known)
        print_to(scaled(x, &how), how.decimals, value, sizeof value);
    else
        print_plain(x, value, sizeof value);
    print_half_width(half_width, &how, digits, sizeof digits);
    print_power(&how, power, sizeof power);
    snprintf(out, RS_READING_TEXT, "%s(%s)%s", value, digits, power);
}

/* Half the length, or the distance to the one end that is a bound. */
static double length_of(double x, const interval *known) {
    bool const is_low = known->low != 0.0 && isfinite(known->low), is_high = isfinite(known->high);
    if (is_low && is_high) return known->half_width;
    return is_low ? x - known->low : is_high ? known->high - x : NAN;
}

static void print_with_ends(double x, const interval *known, char *out) {
    char value[RS_REAL_TEXT], low[RS_REAL_TEXT], high[RS_REAL_TEXT], power[RS_REAL_TEXT];
    double const length = length_of(x, known);
    rounding const how = rounding_of(x, length, digits_of(length));
    print_rounded(x, &how, value, sizeof value);
    print_rounded(known->low, &how, low, sizeof low);
    print_rounded(known->high, &how, high, sizeof high);
    print_power(&how, power, sizeof power);
    snprintf(out, RS_READING_TEXT, "%s [%s, %s]%s", value, low, high, power);
}

/* Rounded like the value whose interval it is. */
static void print_digits(double x, const interval *known, char *out) {
    char value[RS_REAL_TEXT], power[RS_REAL_TEXT];
    bool const has_ends = known->high > known->low;
    double const width = has_ends ? length_of(x, known) : known->half_width;
    rounding const how = rounding_of(x, width, has_ends ? digits_of(width) : 2);
    print_rounded(x, &how, value, sizeof value);
    print_power(&how, power, sizeof power);
    snprintf(out, RS_READING_TEXT, "%s%s", value, x == 0.0 || !isfinite(x) ? "" : power);
}

const char *rs_reading_text(const table *of, const cell *row, size_t i,
                            char buffer[RS_READING_TEXT]) {
    const cell *const one = &row[i];
    interval const known = one->kind == REAL && of->is->interval ? of->is->interval(of, row, i)
                                                                 : (interval){.kind = NO_INTERVAL};
    switch (known.kind) {
    case HALF_WIDTH:
        if (!isfinite(one->real)) break;
        print_with_half_width(one->real, known.half_width, buffer);
        return buffer;
    case BOTH_ENDS: print_with_ends(one->real, &known, buffer); return buffer;
    case DIGITS_ONLY: print_digits(one->real, &known, buffer); return buffer;
    case NO_INTERVAL: break;
    }
    return rs_cell_text(one, false, buffer);
}
