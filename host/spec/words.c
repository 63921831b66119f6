#include "words.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ words and numbers */

char *rs_trim(char *text) {
    while (isspace((unsigned char)*text)) ++text;
    size_t length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1])) --length;
    text[length] = '\0';
    return text;
}

rs_status rs_duplicate(const char *text, char **out) {
    *out = strdup(text);
    return *out ? RS_OK : rs_fail(RS_EMEMORY, "out of memory");
}

const char *rs_words_text(const char *const *names, size_t n, char buffer[RS_WORDS_TEXT]) {
    size_t used = 0;
    buffer[0] = '\0';
    for (size_t i = 0; i < n && used < RS_WORDS_TEXT; ++i)
        used +=
            (size_t)snprintf(buffer + used, RS_WORDS_TEXT - used, "%s%s", i ? ", " : "", names[i]);
    return buffer;
}

enum { LONGEST_WORD = 63 };

static size_t least(size_t one, size_t other) { return one < other ? one : other; }

/* Letters to add, drop, replace or swap with the next one, to make one word of the other (optimal
 * string alignment); both of at most LONGEST_WORD. */
static size_t distance(const char *from, const char *to) {
    size_t const n = strlen(from), m = strlen(to);
    size_t row[3][LONGEST_WORD + 1]; /* two earlier rows, and the one that is made */
    for (size_t j = 0; j <= m; ++j) row[0][j] = j;
    for (size_t i = 1; i <= n; ++i) {
        const size_t *before = row[(i + 1) % 3], *above = row[(i - 1) % 3];
        size_t *now = row[i % 3];
        now[0] = i;
        for (size_t j = 1; j <= m; ++j) {
            size_t const replace = above[j - 1] + (from[i - 1] != to[j - 1]);
            now[j] = least(replace, least(above[j], now[j - 1]) + 1);
            bool const swapped =
                i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1];
            if (swapped) now[j] = least(now[j], before[j - 2] + 1);
        }
    }
    return row[n % 3][m];
}

const char *rs_nearest_word(const char *word, const char *const *names, size_t n) {
    size_t const length = strlen(word);
    size_t nearest = length < 4 ? 2 : length < 8 ? 3 : 4; /* more changes make any word of it */
    const char *found = NULL;
    for (size_t i = 0; i < n && length <= LONGEST_WORD; ++i) {
        size_t const changes = strlen(names[i]) > LONGEST_WORD ? nearest : distance(word, names[i]);
        if (changes >= nearest) continue;
        nearest = changes;
        found = names[i];
    }
    return found;
}

rs_status rs_errno_status(int error) {
    bool const of_name = error == ENOENT || error == ENOTDIR || error == ENAMETOOLONG ||
                         error == ELOOP || error == EISDIR;
    return of_name ? RS_EINPUT : RS_EIO;
}

rs_status rs_fail_word(const char *word, const char *const *names, size_t n) {
    char known[RS_WORDS_TEXT];
    const char *const nearest = rs_nearest_word(word, names, n);
    return rs_fail(RS_EINPUT, "\"%.60s\" is not one of %s%s%s%s", word,
                   rs_words_text(names, n, known), nearest ? "; did you mean " : "",
                   nearest ? nearest : "", nearest ? "?" : "");
}

rs_status rs_parse_word(const char *word, const char *const *names, size_t n, size_t *out) {
    for (size_t i = 0; i < n; ++i)
        if (strcmp(word, names[i]) == 0) {
            *out = i;
            return RS_OK;
        }
    return rs_fail_word(word, names, n);
}

size_t rs_list_words(rs_word_list *list, const char *names[RS_MOST_WORDS]) {
    size_t n = 0;
    for (; list(n); ++n) names[n] = list(n);
    return n;
}

rs_status rs_fail_listed(const char *word, rs_word_list *list) {
    const char *names[RS_MOST_WORDS];
    size_t const n = rs_list_words(list, names);
    return rs_fail_word(word, names, n);
}

rs_status rs_parse_listed(const char *word, rs_word_list *list, size_t *out) {
    const char *names[RS_MOST_WORDS];
    size_t const n = rs_list_words(list, names);
    return rs_parse_word(word, names, n, out);
}

rs_status rs_parse_whole(const char *text, uint64_t least, uint64_t most, uint64_t *out) {
    if (*text == '\0' || text[strspn(text, "0123456789")] != '\0')
        return rs_fail(RS_EINPUT, "\"%.60s\" is not a whole number of at least %" PRIu64, text,
                       least);
    errno = 0;
    unsigned long long const value = strtoull(text, NULL, 10);
    if (errno != 0 || value < least || value > most)
        return rs_fail(RS_EINPUT, "%.60s is out of range; take %" PRIu64 " to %" PRIu64, text,
                       least, most);
    *out = value;
    return RS_OK;
}

/* A finite decimal number; "nan", "inf" and hexadecimal are not. */
static rs_status parse_real(const char *text, double *out) {
    char *end = NULL;
    double const value = strtod(text, &end);
    if (*text == '\0' || text[strspn(text, "0123456789.eE+-")] != '\0' || *end != '\0')
        return rs_fail(RS_EINPUT, "\"%.60s\" is not a number", text);
    if (!isfinite(value)) return rs_fail(RS_EINPUT, "%.60s is too large", text);
    *out = value;
    return RS_OK;
}

rs_status rs_parse_positive(const char *text, double *out) {
    double value = 0.0;
    RS_TRY(parse_real(text, &value));
    if (!(value > 0.0)) return rs_fail(RS_EINPUT, "%.60s is not above 0", text);
    *out = value;
    return RS_OK;
}

const char *rs_bytes_text(uint64_t bytes, char buffer[RS_BYTES_TEXT]) {
    static const char units[] = "MGTPE";
    const char *unit = units;
    double size = ldexp((double)bytes, -20);
    int const used =
        snprintf(buffer, RS_BYTES_TEXT, "%" PRIu64 " byte%s", bytes, bytes == 1 ? "" : "s");
    if (size < 1.0) return buffer;
    while (size >= 1023.95) { /* which would print as 1024.0 */
        size /= 1024.0;
        ++unit;
    }
    snprintf(buffer + used, RS_BYTES_TEXT - (size_t)used, " (%.1f %ciB)", size, *unit);
    return buffer;
}

const char *rs_real_text(double value, char buffer[RS_REAL_TEXT]) {
    for (int digits = 15; digits <= 17; ++digits) {
        snprintf(buffer, RS_REAL_TEXT, "%.*g", digits, value);
        if (strtod(buffer, NULL) == value) break;
    }
    return buffer;
}

rs_status rs_parse_path(const char *value, char **path) {
    if (*value == '\0') return rs_fail(RS_EINPUT, "the path is empty");
    for (const char *c = value; *c; ++c)
        if (iscntrl((unsigned char)*c))
            return rs_fail(RS_EINPUT, "the path has a control character");
    char *copy;
    RS_TRY(rs_duplicate(value, &copy));
    free(*path);
    *path = copy;
    return RS_OK;
}

/* 1.5 and "GiB" make 1.5 x 2^30; K, M, G and T are powers of 1024 with "iB" or without. */
static rs_status parse_scaled_size(const char *value, size_t digits, uint64_t most, uint64_t *out) {
    static const char units[] = "KMGT";
    const char *const unit = strchr(units, toupper((unsigned char)value[digits]));
    const char *const rest = value + digits + 1;
    char text[RS_REAL_TEXT];
    double size = 0.0;
    if (digits == 0 || digits >= sizeof text || !unit || (*rest && strcmp(rest, "iB") != 0))
        return rs_fail(RS_EINPUT, "\"%.60s\" is not a size such as 512M, 2G or 1.5GiB", value);
    snprintf(text, sizeof text, "%.*s", (int)digits, value);
    RS_TRY(rs_parse_positive(text, &size));
    size = floor(ldexp(size, 10 * (int)(unit - units + 1)));
    if (size < 1.0) return rs_fail(RS_EINPUT, "\"%.60s\" is less than a byte", value);
    if (!(size <= (double)most))
        return rs_fail(RS_EINPUT, "\"%.60s\" is more than any machine has", value);
    *out = (uint64_t)size;
    return RS_OK;
}

rs_status rs_parse_size(const char *value, uint64_t most, uint64_t *out) {
    size_t const digits = strspn(value, "0123456789.");
    if (digits > 0 && value[digits] == '\0') return rs_parse_whole(value, 1, most, out);
    return parse_scaled_size(value, digits, most, out);
}

rs_status rs_parse_switch(const char *value, bool *on) {
    static const char *const words[] = {"yes", "no", "true", "false"};
    size_t which = 0;
    if (value) RS_TRY(rs_parse_word(value, words, 4, &which));
    *on = which % 2 == 0;
    return RS_OK;
}

/* ------------------------------------------------------------------ lists */

typedef union number {
    double real;
    uint64_t whole;
} number;
static_assert(sizeof(number) == sizeof(double) && sizeof(number) == sizeof(uint64_t),
              "an array of numbers is one of doubles or one of integers");

typedef struct list {
    number *at;
    size_t n, capacity;
} list;

/* How the entries of a list are read; the ends of a range are within the limits as well. */
typedef struct list_kind {
    rs_status (*expand)(const struct list_kind *kind, char *const part[], size_t parts, list *out);
    int (*compare)(const void *a, const void *b);
    uint64_t least, most;                                 /* of whole numbers */
    rs_status (*parse)(const char *text, double *number); /* of reals: which of them */
} list_kind;

static rs_status append(list *out, number value) {
    if (out->n == RS_MAX_VALUES) return rs_fail(RS_EINPUT, "more than %d values", RS_MAX_VALUES);
    if (out->n == out->capacity) {
        size_t const capacity = out->capacity ? 2 * out->capacity : 16;
        number *const at = realloc(out->at, capacity * sizeof *at);
        if (!at) return rs_fail(RS_EMEMORY, "out of memory");
        out->at = at;
        out->capacity = capacity;
    }
    out->at[out->n++] = value;
    return RS_OK;
}

static rs_status fail_direction(const char *start, const char *stop, bool has_step) {
    return rs_fail(RS_EINPUT, "the range from %.40s never reaches %.40s; %s", start, stop,
                   has_step ? "change the sign of its step"
                            : "write start:stop:step, step below 0");
}

/* start + i step, with binary rounding error removed: the third of 0.1:0.5:0.1 is 0.3 and
 * not 0.30000000000000004, and of -0.2:0.2:0.1 0. A step too fine for 12 digits leaves the value
 * as computed. */
static double range_value(double start, double stop, double step, size_t i) {
    if (i == 0) return start;
    double const computed = start + (double)i * step;
    char text[RS_REAL_TEXT];
    snprintf(text, sizeof text, "%.12g", computed);
    double const rounded = strtod(text, NULL);
    bool const is_near = fabs(rounded - computed) < 1e-3 * fabs(step);
    double const value = fabs(computed) < 1e-12 * fabs(step) ? 0.0 : is_near ? rounded : computed;
    return step > 0.0 ? fmin(value, stop) : fmax(value, stop);
}

/* How far the number of steps may be off, because decimals such as 0.1 are rounded to doubles.
 */
static double range_dust(double start, double stop, double step) {
    return fmin(0.5, 4.0 * DBL_EPSILON * fmax(fabs(start), fabs(stop)) / fabs(step));
}

static rs_status expand_real(const list_kind *kind, char *const part[], size_t parts, list *out) {
    double start = 0.0, stop = 0.0, step = 1.0;
    RS_TRY(kind->parse(part[0], &start));
    if (parts == 1) return append(out, (number){.real = start});
    RS_TRY(kind->parse(part[1], &stop));
    if (parts == 3) RS_TRY(parse_real(part[2], &step));
    if (parts == 2 && (floor(start) != start || floor(stop) != stop))
        return rs_fail(RS_EINPUT, "a range of fractions needs a step; write %.40s:%.40s:STEP",
                       part[0], part[1]);
    if (step == 0.0) return rs_fail(RS_EINPUT, "the step of a range is 0");
    double const last = (stop - start) / step;
    if (last < 0.0) return fail_direction(part[0], part[1], parts == 3);
    if (!(last < RS_MAX_VALUES)) return rs_fail(RS_EINPUT, "more than %d values", RS_MAX_VALUES);
    size_t const n = (size_t)(last + range_dust(start, stop, step)) + 1;
    for (size_t i = 0; i < n; ++i)
        RS_TRY(append(out, (number){.real = range_value(start, stop, step, i)}));
    return RS_OK;
}

static rs_status expand_whole(const list_kind *kind, char *const part[], size_t parts, list *out) {
    uint64_t start = 0, stop = 0, step = 1;
    RS_TRY(rs_parse_whole(part[0], kind->least, kind->most, &start));
    if (parts == 1) return append(out, (number){.whole = start});
    RS_TRY(rs_parse_whole(part[1], kind->least, kind->most, &stop));
    bool const down = parts == 3 && part[2][0] == '-';
    if (parts == 3) RS_TRY(rs_parse_whole(part[2] + down, 0, INT64_MAX, &step));
    if (step == 0) return rs_fail(RS_EINPUT, "the step of a range is 0");
    if (down ? stop > start : stop < start) return fail_direction(part[0], part[1], parts == 3);
    uint64_t const last = (down ? start - stop : stop - start) / step;
    if (last >= RS_MAX_VALUES) return rs_fail(RS_EINPUT, "more than %d values", RS_MAX_VALUES);
    for (uint64_t i = 0; i <= last; ++i)
        RS_TRY(append(out, (number){.whole = down ? start - i * step : start + i * step}));
    return RS_OK;
}

static int compare_real(const void *a, const void *b) {
    double const x = ((const number *)a)->real, y = ((const number *)b)->real;
    return (x > y) - (x < y);
}

static int compare_whole(const void *a, const void *b) {
    uint64_t const x = ((const number *)a)->whole, y = ((const number *)b)->whole;
    return (x > y) - (x < y);
}

/* One entry: a number, start:stop or start:stop:step. */
static rs_status parse_entry(const list_kind *kind, char *entry, list *out) {
    char *part[3];
    size_t parts = 0;
    for (char *rest = entry; rest;) {
        if (parts == 3) return rs_fail(RS_EINPUT, "a range has at most start:stop:step");
        part[parts++] = rs_trim(strsep(&rest, ":"));
    }
    return kind->expand(kind, part, parts, out);
}

static rs_status sort_list(const list_kind *kind, list *values) {
    if (values->n < 2) return RS_OK;
    qsort(values->at, values->n, sizeof *values->at, kind->compare);
    for (size_t i = 1; i < values->n; ++i)
        if (kind->compare(&values->at[i - 1], &values->at[i]) == 0)
            return rs_fail(RS_EINPUT, "a value is given twice");
    return RS_OK;
}

static rs_status parse_entries(const list_kind *kind, char *text, list *out) {
    for (char *rest = text; rest;) {
        char *const entry = rs_trim(strsep(&rest, ","));
        if (*entry == '\0')
            return rs_fail(RS_EINPUT, "an entry is empty; write a,b,c or start:stop:step");
        RS_TRY(parse_entry(kind, entry, out));
    }
    return sort_list(kind, out);
}

/* Reads a LIST, ascending; the caller frees out->at in any case. */
static rs_status parse_list(const list_kind *kind, const char *value, list *out) {
    *out = (list){0};
    char *text;
    RS_TRY(rs_duplicate(value, &text));
    rs_status const status = parse_entries(kind, text, out);
    free(text);
    return rs_fail_in(status, "\"%.60s\"", value);
}

/* Reads a LIST into an array of its own, whose entries are all real or all whole. */
static rs_status parse_array(const list_kind *kind, const char *value, void **at, size_t *n) {
    list values;
    rs_status status = parse_list(kind, value, &values);
    void *const copy = status == RS_OK ? malloc(values.n * sizeof *values.at) : NULL;
    if (status == RS_OK && !copy) status = rs_fail(RS_EMEMORY, "out of memory");
    if (copy) memcpy(copy, values.at, values.n * sizeof *values.at);
    *at = copy;
    *n = values.n;
    free(values.at);
    return status;
}

rs_status rs_parse_wholes(const char *value, uint64_t least, uint64_t most, uint64_t **at,
                          size_t *n) {
    list_kind const kind = {expand_whole, compare_whole, least, most, NULL};
    void *copy;
    size_t count;
    RS_TRY(parse_array(&kind, value, &copy, &count));
    free(*at);
    *at = copy;
    *n = count;
    return RS_OK;
}

static rs_status parse_reals(const list_kind *kind, const char *value, double **at, size_t *n) {
    void *copy;
    size_t count;
    RS_TRY(parse_array(kind, value, &copy, &count));
    free(*at);
    *at = copy;
    *n = count;
    return RS_OK;
}

rs_status rs_parse_reals(const char *value, double **at, size_t *n) {
    static const list_kind kind = {expand_real, compare_real, 0, 0, rs_parse_positive};
    return parse_reals(&kind, value, at, n);
}

rs_status rs_parse_signed_reals(const char *value, double **at, size_t *n) {
    static const list_kind kind = {expand_real, compare_real, 0, 0, parse_real};
    return parse_reals(&kind, value, at, n);
}

static rs_status mark_word(const char *word, const char *const *names, size_t n, bool *chosen) {
    size_t which = 0;
    RS_TRY(rs_parse_word(word, names, n, &which));
    if (chosen[which]) return rs_fail(RS_EINPUT, "%s is given twice", word);
    chosen[which] = true;
    return RS_OK;
}

rs_status rs_parse_words(const char *value, const char *const *names, size_t n, bool *chosen) {
    char *text;
    RS_TRY(rs_duplicate(value, &text));
    rs_status status = RS_OK;
    for (char *rest = text; rest && status == RS_OK;)
        status = mark_word(rs_trim(strsep(&rest, ",")), names, n, chosen);
    free(text);
    return status;
}

/* ------------------------------------------------------------------ printing */

/* The longest entry is "noise:" and 23 characters; a line of a spec file takes 197. */
enum { LINE_ENTRIES = 6, LINE_TEXT = 80 };

void rs_print_separator(FILE *out, size_t i) {
    if (i > 0) fputs(i % LINE_ENTRIES == 0 ? ",\n  " : ",", out);
}

/* Read from a file, it would come back as it is. */
static bool is_plain(const char *text) {
    size_t const length = strlen(text);
    return length <= LINE_TEXT && !strchr("\"#; ", text[0]) && !strchr(" ,", text[length - 1]) &&
           !strstr(text, " ;");
}

/* A new line begins at `c`; not within a character of UTF-8, which has up to 4 bytes. */
static bool breaks_line(size_t in_line, char c) {
    bool const within = ((unsigned char)c & 0xC0) == 0x80;
    return in_line >= LINE_TEXT + (within ? 3 : 0);
}

void rs_print_text(FILE *out, const char *text) {
    if (is_plain(text)) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    size_t in_line = 0;
    for (const char *c = text; *c; ++c, ++in_line) {
        if (breaks_line(in_line, *c)) {
            fputs("\\\n  ", out);
            in_line = 0;
        }
        bool const leads = in_line == 0 && (*c == ' ' || *c == '[');
        if (leads || strchr("\"\\;#", *c)) fputc('\\', out);
        fputc(*c, out);
    }
    fputc('"', out);
}

void rs_print_wholes(FILE *out, const uint64_t *at, size_t n) {
    uint64_t const step = n > 1 ? at[1] - at[0] : 0;
    size_t even = 1;
    while (even < n && at[even] - at[even - 1] == step) ++even;
    if (n > 2 && even == n)
        fprintf(out, "%" PRIu64 ":%" PRIu64 ":%" PRIu64, at[0], at[n - 1], step);
    else
        for (size_t i = 0; i < n; ++i) {
            rs_print_separator(out, i);
            fprintf(out, "%" PRIu64, at[i]);
        }
}
