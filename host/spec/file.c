#include "spec.h"
#include "words.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILE = 1 << 24 }; /* bytes */

/* inih cuts long lines, skips sections without keys and what stands behind a section's bracket,
 * and takes an indented line for more of the value above. So every line passes through next_line
 * first: it counts, cuts comments and indentation, and refuses what inih would pass over.
 *
 * A value in quotes is any text: a backslash makes the next character a plain one, or, as the last
 * of a line, lets the value go on with the first non-blank character of the next line. */
typedef struct reader {
    rs_spec *spec;
    const char *name; /* of the file */
    const char *next, *end;
    int line;                    /* number of the line that inih has */
    bool comma;                  /* the last line with text ended in one: the list goes on */
    bool continued;              /* this line goes on with the value above */
    int first_line[RS_MAX_KEYS]; /* of every key, 0 where it has not come up */
    size_t key;                  /* whose value is being gathered, or RS_MAX_KEYS */
    char *value;
    size_t length, capacity; /* of the value, and what there is room for */
    rs_status status;
} reader;

static rs_status fail_line(reader *r, int line, rs_status status) {
    r->status = rs_fail_in(status, "%s:%d", r->name, line);
    return r->status;
}

/* Narrows [*start, *stop) to what is no comment and no blank at either end. */
static void strip_line(const char **start, const char **stop) {
    while (*start < *stop && isspace((unsigned char)**start)) ++*start;
    if (*start < *stop && **start == '#') *stop = *start;
    for (const char *c = *start; c < *stop; ++c)
        if (*c == ';' && (c == *start || isspace((unsigned char)c[-1]))) *stop = c;
    while (*stop > *start && isspace((unsigned char)(*stop)[-1])) --*stop;
}

static rs_status check_line(const char *start, const char *stop, size_t room) {
    static const char section[] = "[sweep]";
    size_t const length = (size_t)(stop - start);
    for (const char *c = start; c < stop; ++c)
        if (iscntrl((unsigned char)*c) && *c != '\t')
            return rs_fail(RS_EINPUT, "a control character; not a text file");
    if (length > room)
        return rs_fail(RS_EINPUT,
                       "more than %zu characters; a list continues on the next line after a comma, "
                       "a value in quotes after a backslash",
                       room);
    if (length > 0 && *start == '[' &&
        (length != sizeof section - 1 || memcmp(start, section, length) != 0))
        return rs_fail(RS_EINPUT, "\"%.*s\" is not a section; the only one is %s",
                       length < 60 ? (int)length : 60, start, section);
    return RS_OK;
}

/* A value in quotes is being gathered, and its last line ended in a backslash that is not itself
 * a plain character. */
static bool in_quotes(const reader *r) {
    if (r->key == RS_MAX_KEYS || r->value[0] != '"') return false;
    size_t backslashes = 0;
    while (r->value[r->length - 1 - backslashes] == '\\') ++backslashes;
    return backslashes % 2 == 1;
}

/* The reader of inih, in the manner of fgets. */
static char *next_line(char *buffer, int size, void *stream) {
    reader *const r = stream;
    if (r->status != RS_OK || r->next == r->end) return NULL;
    const char *start = r->next;
    const char *stop = memchr(start, '\n', (size_t)(r->end - start));
    r->next = stop ? stop + 1 : r->end;
    if (!stop) stop = r->end;
    ++r->line;
    strip_line(&start, &stop);
    rs_status const status = check_line(start, stop, (size_t)size - 3);
    if (status != RS_OK) {
        fail_line(r, r->line, status);
        return NULL;
    }
    r->continued = start < stop && (r->comma || in_quotes(r));
    if (start < stop) r->comma = stop[-1] == ',';
    snprintf(buffer, (size_t)size, "%s%.*s\n", r->continued ? " " : "", (int)(stop - start), start);
    return buffer;
}

/* Takes the quotes off a value, in place. */
static rs_status unquote(char *value) {
    char *out = value;
    const char *c = value;
    if (*c != '"') return RS_OK;
    for (++c; *c && *c != '"'; ++c) {
        if (*c == '\\' && c[1]) ++c;
        *out++ = *c;
    }
    if (c[0] != '"' || c[1])
        return rs_fail(RS_EINPUT, "a value in quotes must end in one; in quotes write \\\" for \", "
                                  "\\\\ for \\, \\; for ;");
    *out = '\0';
    return RS_OK;
}

/* Sets the key whose value is complete now, if there is one. */
static rs_status finish_key(reader *r) {
    if (r->key == RS_MAX_KEYS) return RS_OK;
    size_t n, k = r->key;
    const rs_spec_key *const keys = rs_spec_keys(&n);
    r->key = RS_MAX_KEYS;
    rs_status status = unquote(r->value);
    rs_fail_in(status, "%s", keys[k].name);
    if (status == RS_OK) status = rs_spec_set(r->spec, keys[k].name, r->value, RS_FROM_FILE);
    return status == RS_OK ? RS_OK : fail_line(r, r->first_line[k], status);
}

static rs_status start_key(reader *r, const char *section, const char *name) {
    size_t const k = rs_key_find(name);
    if (*section == '\0') return rs_fail(RS_EINPUT, "\"%.60s\" is before the line [sweep]", name);
    if (k == RS_MAX_KEYS) return rs_key_unknown(name);
    if (r->first_line[k])
        return rs_fail(RS_EINPUT, "%s: given twice, first in line %d", name, r->first_line[k]);
    r->first_line[k] = r->line;
    r->key = k;
    return RS_OK;
}

/* Twice the room each time, so that a list of many lines is not copied for each of them. */
static rs_status reserve(reader *r, size_t size) {
    if (size <= r->capacity) return RS_OK;
    char *const grown = realloc(r->value, 2 * size);
    if (!grown) return rs_fail(RS_EMEMORY, "out of memory");
    r->value = grown;
    r->capacity = 2 * size;
    return RS_OK;
}

/* Makes `value` the value, or with `more` the rest of it. */
static rs_status gather(reader *r, const char *value, bool more) {
    size_t const before = more ? r->length - in_quotes(r) : 0; /* without the backslash */
    size_t const length = strlen(value);
    RS_TRY(reserve(r, before + length + 1));
    memcpy(r->value + before, value, length + 1);
    r->length = before + length;
    return RS_OK;
}

/* The handler of inih: 1 to go on, 0 for an error. */
static int take_value(void *user, const char *section, const char *name, const char *value) {
    reader *const r = user;
    bool const more = r->continued && r->key != RS_MAX_KEYS;
    if (!more && finish_key(r) != RS_OK) return 0;
    rs_status status = more ? RS_OK : start_key(r, section, name);
    if (status == RS_OK) status = gather(r, value, more);
    if (status != RS_OK) fail_line(r, r->line, status);
    return status == RS_OK;
}

rs_status rs_spec_parse(rs_spec *spec, const char *text, size_t length, const char *name) {
    static const char byte_order_mark[] = "\xEF\xBB\xBF";
    if (length > MAX_FILE)
        return rs_fail(RS_EINPUT, "%s: too large for a spec file (more than %d bytes)", name,
                       MAX_FILE);
    reader r = {.spec = spec, .name = name, .next = text, .end = text + length, .key = RS_MAX_KEYS};
    if (length >= 3 && memcmp(text, byte_order_mark, 3) == 0) r.next += 3;
    int const stray = ini_parse_stream(next_line, &r, take_value, &r);
    if (r.status == RS_OK) finish_key(&r);
    free(r.value);
    if (r.status == RS_OK && stray < 0) return rs_fail(RS_EMEMORY, "%s: out of memory", name);
    if (r.status == RS_OK && stray > 0)
        return rs_fail(RS_EINPUT, "%s:%d: neither key = value nor a comment", name, stray);
    return r.status;
}

/* Reads up to size bytes of a file. */
static rs_status read_file(const char *path, char *text, size_t size, size_t *length) {
    FILE *const file = fopen(path, "rb");
    if (!file) return rs_fail(rs_errno_status(errno), "%s: %s", path, strerror(errno));
    errno = 0;
    *length = fread(text, 1, size, file);
    rs_status const status =
        ferror(file) ? rs_fail(rs_errno_status(errno), "%s: %s", path, strerror(errno)) : RS_OK;
    fclose(file);
    return status;
}

rs_status rs_spec_load(rs_spec *spec, const char *path) {
    size_t length = 0;
    char *const text = malloc(MAX_FILE + 1); /* one more, for rs_spec_parse to refuse */
    if (!text) return rs_fail(RS_EMEMORY, "%s: out of memory", path);
    rs_status status = read_file(path, text, MAX_FILE + 1, &length);
    if (status == RS_OK) status = rs_spec_parse(spec, text, length, path);
    free(text);
    return status;
}

/* Keys without a value of their own: no model, and what a model brings where nothing else is given.
 * Written out, such a default would be asked for when the spec is read again. */
static bool has_value(const rs_spec *spec, const rs_spec_key *key, rs_source source) {
    if (key->of_model && spec->model) return source != RS_FROM_DEFAULT;
    return rs_key_has_value(key, spec);
}

rs_status rs_spec_print(const rs_spec *spec, char **text) {
    size_t size, n;
    const rs_spec_key *const keys = rs_spec_keys(&n);
    *text = NULL;
    FILE *const out = open_memstream(text, &size);
    if (!out) return rs_fail(RS_EMEMORY, "spec: out of memory");
    fputs("[sweep]\n", out);
    for (size_t k = 0; k < n; ++k) {
        if (!has_value(spec, &keys[k], spec->source[k])) continue;
        fprintf(out, "%s = ", keys[k].name);
        rs_key_print(&keys[k], out, spec);
        fputc('\n', out);
    }
    bool const failed = ferror(out) != 0;
    if (fclose(out) == 0 && !failed) return RS_OK;
    free(*text);
    *text = NULL;
    return rs_fail(RS_EMEMORY, "spec: out of memory");
}
