/* Writes .npz files for the tests, right ones and wrong ones. */
#ifndef RS_TEST_NPZ_WRITER_H
#define RS_TEST_NPZ_WRITER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

typedef struct npz_member {
    const char *name;   /* in the zip, "weight_hh_l0.npy" */
    const char *header; /* the dict of the .npy; NULL: `data` is the whole member */
    const void *data;   /* [length] bytes */
    size_t length;
    int version; /* of the .npy format; 0 stands for 1 */
} npz_member;

static void npz_writer_require(int condition, const char *what) {
    if (condition) return;
    fprintf(stderr, "npz_writer: %s failed\n", what);
    abort();
}

/* The bytes of a member, malloc'd. */
static char *npz_member_bytes(const npz_member *m, size_t *length) {
    size_t const text = m->header ? strlen(m->header) + 1 : 0;
    size_t const count = m->version > 1 ? 4 : 2;
    size_t const before = m->header ? 8 + count + text : 0;
    char *bytes = malloc(before + m->length + 1);
    npz_writer_require(bytes != NULL, "malloc");
    if (m->header) {
        memcpy(bytes, "\x93NUMPY", 6);
        bytes[6] = (char)(m->version ? m->version : 1);
        bytes[7] = 0;
        for (size_t i = 0; i < count; ++i) bytes[8 + i] = (char)(text >> 8 * i);
        memcpy(bytes + 8 + count, m->header, text - 1);
        bytes[before - 1] = '\n';
    }
    if (m->length) memcpy(bytes + before, m->data, m->length);
    *length = before + m->length;
    return bytes;
}

static void npz_add_member(zip_t *archive, const npz_member *m, zip_int32_t method) {
    size_t length;
    char *bytes = npz_member_bytes(m, &length);
    zip_source_t *source = zip_source_buffer(archive, bytes, length, 1); /* frees the bytes */
    npz_writer_require(source != NULL, "zip_source_buffer");
    zip_int64_t const index = zip_file_add(archive, m->name, source, 0);
    npz_writer_require(index >= 0, "zip_file_add");
    npz_writer_require(zip_set_file_compression(archive, (zip_uint64_t)index, method, 0) == 0,
                       "zip_set_file_compression");
}

/* A whole .npz in memory, malloc'd. */
static char *npz_bytes(const npz_member *member, size_t n, zip_int32_t method, size_t *length) {
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t *target = zip_source_buffer_create(NULL, 0, 0, &error);
    npz_writer_require(target != NULL, "zip_source_buffer_create");
    zip_source_keep(target);
    zip_t *archive = zip_open_from_source(target, ZIP_TRUNCATE, &error);
    npz_writer_require(archive != NULL, "zip_open_from_source");
    for (size_t i = 0; i < n; ++i) npz_add_member(archive, &member[i], method);
    npz_writer_require(zip_close(archive) == 0, "zip_close");
    zip_stat_t info;
    npz_writer_require(zip_source_stat(target, &info) == 0, "zip_source_stat");
    char *bytes = malloc(info.size + 1);
    npz_writer_require(bytes && zip_source_open(target) == 0, "zip_source_open");
    npz_writer_require(zip_source_read(target, bytes, info.size) == (zip_int64_t)info.size,
                       "zip_source_read");
    zip_source_close(target);
    zip_source_free(target);
    zip_error_fini(&error);
    *length = (size_t)info.size;
    return bytes;
}

#endif
