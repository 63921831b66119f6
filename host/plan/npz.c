#include "npz.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

enum {
    MAX_HEADER = 65535,  /* bytes of a .npy header; numpy's own limit is 10000 */
    CHUNK = 1 << 16,     /* bytes read at a time; a multiple of every item size */
    DEFLATE_RATIO = 1032 /* deflate cannot pack a byte into less: 258 bytes take 2 bits */
};

static const char only_floats[] = "only little-endian float32 and float64 arrays are read; save it "
                                  "with .astype('<f8') or leave it out";

/* What may still be read, so that a small file cannot ask for much memory. */
typedef struct budget {
    uint64_t packed; /* bytes of the file that no member has claimed */
    uint64_t values;
} budget;

typedef struct member {
    zip_file_t *file;
    uint64_t left; /* bytes, by the zip directory */
} member;

typedef struct npy {
    bool fortran;
    size_t item; /* bytes of a value */
    double (*widen)(const unsigned char *bytes);
    rs_array array;
} npy;

typedef struct cursor {
    const char *at, *end;
} cursor;

/* The header: a Python dict literal as numpy's format.py prints it. */

static rs_status bad_header(void) {
    return rs_fail(RS_EINPUT, "not a .npy header that numpy writes");
}

static bool take(cursor *c, char wanted) {
    while (c->at < c->end && *c->at == ' ') c->at++;
    if (c->at == c->end || *c->at != wanted) return false;
    c->at++;
    return true;
}

static bool take_word(cursor *c, const char *word) {
    size_t const length = strlen(word);
    while (c->at < c->end && *c->at == ' ') c->at++;
    if ((size_t)(c->end - c->at) < length || memcmp(c->at, word, length) != 0) return false;
    c->at += length;
    return true;
}

/* A 'quoted' string of plain characters, no escapes. */
static bool take_string(cursor *c, char *out, size_t capacity) {
    if (!take(c, '\'')) return false;
    size_t n = 0;
    for (; c->at < c->end && *c->at != '\''; ++c->at) {
        if (n + 1 == capacity || *c->at == '\\' || *c->at == '\0') return false;
        out[n++] = *c->at;
    }
    out[n] = '\0';
    return take(c, '\'') && rs_array_name_is_plain(out);
}

static rs_status parse_dtype(cursor *c, npy *out) {
    char dtype[32];
    if (take(c, '[')) return rs_fail(RS_EINPUT, "dtype is structured: %s", only_floats);
    if (!take_string(c, dtype, sizeof dtype)) return bad_header();
    if (strchr(dtype, 'O'))
        return rs_fail(RS_EINPUT, "dtype '%s', pickled Python objects: %s", dtype, only_floats);
    bool const single = strcmp(dtype, "<f4") == 0;
    if (!single && strcmp(dtype, "<f8") != 0)
        return rs_fail(RS_EINPUT, "dtype '%s': %s", dtype, only_floats);
    out->item = single ? sizeof(float) : sizeof(double);
    out->widen = single ? rs_widen_f32 : rs_widen_f64;
    memcpy(out->array.dtype, dtype, sizeof "<f8");
    return RS_OK;
}

static rs_status parse_order(cursor *c, npy *out) {
    out->fortran = take_word(c, "True");
    return out->fortran || take_word(c, "False") ? RS_OK : bad_header();
}

static rs_status parse_length(cursor *c, size_t *length) {
    while (c->at < c->end && *c->at == ' ') c->at++;
    const char *first = c->at;
    for (*length = 0; c->at < c->end && *c->at >= '0' && *c->at <= '9'; ++c->at)
        if (__builtin_mul_overflow(*length, (size_t)10, length) ||
            __builtin_add_overflow(*length, (size_t)(*c->at - '0'), length))
            return rs_fail(RS_EINPUT, "shape: too large");
    return c->at > first ? RS_OK : bad_header();
}

/* A tuple: (), (2,), (2, 3). */
static rs_status parse_shape(cursor *c, npy *out) {
    rs_array *a = &out->array;
    if (!take(c, '(')) return bad_header();
    for (a->n_dims = 0; !take(c, ')'); ++a->n_dims) {
        if (a->n_dims == RS_MAX_DIMS)
            return rs_fail(RS_EINPUT, "shape: more than %d dimensions", RS_MAX_DIMS);
        RS_TRY(parse_length(c, &a->shape[a->n_dims]));
        if (take(c, ',')) continue;
        a->n_dims++;
        if (a->n_dims == 1 || !take(c, ')')) return bad_header();
        break;
    }
    return rs_array_measure(a);
}

static rs_status parse_header(const char *text, size_t length, npy *out) {
    static const struct {
        const char *key;
        rs_status (*parse)(cursor *, npy *);
    } entry[] = {{"descr", parse_dtype}, {"fortran_order", parse_order}, {"shape", parse_shape}};
    enum { N_ENTRIES = sizeof entry / sizeof entry[0] };
    cursor c = {text, text + length};
    unsigned seen = 0;
    if (!take(&c, '{')) return bad_header();
    while (!take(&c, '}')) {
        char key[16];
        size_t i = 0;
        if (!take_string(&c, key, sizeof key) || !take(&c, ':')) return bad_header();
        while (i < N_ENTRIES && strcmp(key, entry[i].key) != 0) ++i;
        if (i == N_ENTRIES || (seen & 1u << i)) return bad_header();
        seen |= 1u << i;
        RS_TRY(entry[i].parse(&c, out));
        if (take(&c, ',')) continue;
        if (!take(&c, '}')) return bad_header();
        break;
    }
    if (seen != (1u << N_ENTRIES) - 1 || !take(&c, '\n') || c.at != c.end) return bad_header();
    return RS_OK;
}

/* Bytes of a member. */

static rs_status zip_failed(zip_error_t *error, const char *doing) {
    int const code = zip_error_code_zip(error);
    rs_status const status = code == ZIP_ER_MEMORY                        ? RS_EMEMORY
                             : code == ZIP_ER_READ || code == ZIP_ER_SEEK ? RS_EIO
                                                                          : RS_EINPUT;
    return rs_fail(status, "%s: %s", doing, zip_error_strerror(error));
}

static rs_status read_bytes(member *m, void *to, size_t length) {
    char *at = to;
    if (length > m->left) return rs_fail(RS_EINPUT, "ends too early");
    m->left -= length;
    while (length) {
        zip_int64_t const got = zip_fread(m->file, at, length);
        if (got < 0) return zip_failed(zip_file_get_error(m->file), "damaged");
        if (got == 0) return rs_fail(RS_EINPUT, "damaged: ends too early");
        at += got;
        length -= (size_t)got;
    }
    return RS_OK;
}

/* The checksum is only compared when the end is read. */
static rs_status read_end(member *m) {
    char more;
    zip_int64_t const got = zip_fread(m->file, &more, 1);
    if (got < 0) return zip_failed(zip_file_get_error(m->file), "damaged");
    return got == 0 ? RS_OK : rs_fail(RS_EINPUT, "damaged: longer than its directory entry");
}

static rs_status read_header(member *m, npy *out) {
    unsigned char prefix[8], size[4] = {0};
    RS_TRY(read_bytes(m, prefix, sizeof prefix));
    if (memcmp(prefix, "\x93NUMPY", 6) != 0) return rs_fail(RS_EINPUT, "not a .npy array");
    if (prefix[6] < 1 || prefix[6] > 3 || prefix[7] != 0)
        return rs_fail(RS_EINPUT, ".npy format %d.%d is not known", prefix[6], prefix[7]);
    RS_TRY(read_bytes(m, size, prefix[6] == 1 ? 2 : 4));
    size_t const length =
        size[0] | (size_t)size[1] << 8 | (size_t)size[2] << 16 | (size_t)size[3] << 24;
    if (length > MAX_HEADER || length > m->left)
        return rs_fail(RS_EINPUT, ".npy header too long: %zu bytes", length);
    char *text = malloc(length + 1);
    if (!text) return rs_fail(RS_EMEMORY, "no memory for a header of %zu bytes", length);
    rs_status status = read_bytes(m, text, length);
    if (status == RS_OK) status = parse_header(text, length, out);
    free(text);
    return status;
}

/* Walks the places of C order in the order of the file. */
typedef struct walk {
    size_t at;
    size_t index[RS_MAX_DIMS], stride[RS_MAX_DIMS];
} walk;

static walk walk_start(const rs_array *a) {
    walk w = {0};
    size_t stride = 1;
    for (size_t d = a->n_dims; d-- > 0;) {
        w.stride[d] = stride;
        stride *= a->shape[d];
    }
    return w;
}

static void walk_next(walk *w, const npy *n) {
    if (!n->fortran) {
        w->at++;
        return;
    }
    const rs_array *a = &n->array;
    for (size_t d = 0; d < a->n_dims; ++d) { /* the first index turns fastest */
        w->at += w->stride[d];
        if (++w->index[d] < a->shape[d]) return;
        w->at -= w->stride[d] * a->shape[d];
        w->index[d] = 0;
    }
}

static rs_status read_values(member *m, npy *n) {
    unsigned char chunk[CHUNK];
    walk w = walk_start(&n->array);
    for (size_t left = n->array.size; left > 0;) {
        size_t const values = left < CHUNK / n->item ? left : CHUNK / n->item;
        RS_TRY(read_bytes(m, chunk, values * n->item));
        for (size_t i = 0; i < values; ++i, walk_next(&w, n))
            n->array.data[w.at] = n->widen(chunk + i * n->item);
        left -= values;
    }
    return read_end(m);
}

static rs_status read_array(member *m, budget *budget, npy *n) {
    size_t bytes;
    RS_TRY(read_header(m, n));
    if (__builtin_mul_overflow(n->array.size, n->item, &bytes))
        return rs_fail(RS_EINPUT, "shape: too large");
    if (bytes != m->left)
        return rs_fail(RS_EINPUT, "shape needs %zu bytes, the member has %" PRIu64, bytes, m->left);
    RS_TRY(rs_array_make(&n->array, &budget->values));
    return read_values(m, n);
}

/* Members. */

/* Checks a member's entry in the zip directory before a byte of it is unpacked. */
static rs_status check_entry(const zip_stat_t *entry, budget *budget) {
    zip_uint64_t const needed =
        ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
    if ((entry->valid & needed) != needed) return rs_fail(RS_EINPUT, "incomplete directory entry");
    if (entry->encryption_method != ZIP_EM_NONE)
        return rs_fail(RS_EINPUT, "encrypted: numpy.savez writes no such files");
    bool const deflated = entry->comp_method == ZIP_CM_DEFLATE;
    if (!deflated && entry->comp_method != ZIP_CM_STORE)
        return rs_fail(RS_EINPUT, "zip method %d: use numpy.savez or numpy.savez_compressed",
                       entry->comp_method);
    if (entry->comp_size > budget->packed)
        return rs_fail(RS_EINPUT, "damaged: members larger than the file");
    budget->packed -= entry->comp_size;
    if (deflated ? entry->size / DEFLATE_RATIO > entry->comp_size : entry->size != entry->comp_size)
        return rs_fail(RS_EINPUT, "damaged: cannot unpack to %" PRIu64 " bytes", entry->size);
    return RS_OK;
}

/* "weight.npy" becomes "weight". */
static rs_status keep_name(const char *file_name, char **out) {
    size_t const length = strlen(file_name);
    if (length <= 4 || strcmp(file_name + length - 4, ".npy") != 0)
        return rs_fail(RS_EINPUT, "not a .npy member; a torch.save file must be rewritten with "
                                  "numpy.savez(path, **state_dict)");
    *out = strndup(file_name, length - 4);
    return *out ? RS_OK : rs_fail(RS_EMEMORY, "no memory for a name");
}

static rs_status read_member(zip_t *archive, const zip_stat_t *entry, budget *budget,
                             rs_array *out) {
    npy n = {0};
    RS_TRY(keep_name(entry->name, &n.array.name));
    rs_status status = check_entry(entry, budget);
    if (status == RS_OK) {
        member m = {zip_fopen_index(archive, entry->index, 0), entry->size};
        status = m.file ? read_array(&m, budget, &n)
                        : zip_failed(zip_get_error(archive), "cannot be opened");
        if (m.file) zip_fclose(m.file);
    }
    *out = n.array; /* freed with the rest in case of failure */
    return status;
}

static rs_status read_members(zip_t *archive, uint64_t length, rs_arrays *out) {
    zip_int64_t const n = zip_get_num_entries(archive, 0);
    RS_TRY(rs_arrays_make(n < 0 ? 0 : (size_t)n, out));
    budget budget = {length, RS_MAX_ARRAY_VALUES};
    for (zip_int64_t i = 0; i < n; ++i) {
        zip_stat_t entry;
        if (zip_stat_index(archive, (zip_uint64_t)i, 0, &entry) != 0)
            return zip_failed(zip_get_error(archive), "damaged");
        if (!(entry.valid & ZIP_STAT_NAME) || !rs_array_name_is_plain(entry.name))
            return rs_fail(RS_EINPUT, "a member's name is missing or has control characters");
        rs_status const status = read_member(archive, &entry, &budget, &out->array[out->n]);
        out->n++;
        if (status != RS_OK) return rs_fail_in(status, "%s", entry.name);
    }
    return RS_OK;
}

/* Files. */

/* Takes over `source`, which may be NULL after a failure described in `error`. */
static rs_status read_archive(zip_source_t *source, zip_error_t *error, uint64_t length,
                              rs_arrays *out) {
    zip_t *archive = NULL;
    if (source) archive = zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, error);
    if (!archive) {
        if (source) zip_source_free(source);
        if (zip_error_code_zip(error) == ZIP_ER_EXISTS)
            return rs_fail(RS_EINPUT, "two members have the same name");
        return zip_failed(error, "not a whole .npz (zip) file");
    }
    rs_status const status = read_members(archive, length, out);
    zip_discard(archive);
    return status;
}

rs_status rs_npz_read(const rs_file *file, rs_arrays *out) {
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t *const source =
        file->path ? zip_source_file_create(file->path, 0, -1, &error)
                   : zip_source_buffer_create(file->bytes, file->length, 0, &error);
    rs_status const status = read_archive(source, &error, file->length, out);
    zip_error_fini(&error);
    return status;
}
