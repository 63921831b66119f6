#include "array_file.h"

#include "../spec/words.h"
#include "npz.h"
#include "safetensors.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Enough to tell. */
enum { START = RS_SAFETENSORS_START + 1 };

static rs_status read_kind(const char *start, size_t length, const rs_file *file, rs_arrays *out) {
    if (length == 0) return rs_fail(RS_EINPUT, "the file is empty");
    if (length >= 6 && memcmp(start, "\x93NUMPY", 6) == 0)
        return rs_fail(RS_EINPUT, "a single .npy array, not a .npz: write it with "
                                  "numpy.savez(path, weight_hh_l0=...)");
    if (length >= 2 && memcmp(start, "PK", 2) == 0) return rs_npz_read(file, out);
    if (length >= START && start[RS_SAFETENSORS_START] == '{')
        return rs_safetensors_read(file, out);
    return rs_fail(RS_EINPUT, "neither .npz (a zip file) nor .safetensors: write it with "
                              "numpy.savez(path, **state_dict)");
}

static rs_status read_start(const char *path, char start[START], size_t *got) {
    FILE *const file = fopen(path, "rb");
    if (!file) return rs_fail(rs_errno_status(errno), "%s", strerror(errno));
    *got = fread(start, 1, START, file);
    bool const failed = ferror(file);
    fclose(file);
    return failed ? rs_fail(RS_EIO, "cannot be read") : RS_OK;
}

static rs_status read_file(const char *path, rs_arrays *out) {
    struct stat info;
    char start[START];
    size_t got = 0;
    if (stat(path, &info) != 0) return rs_fail(rs_errno_status(errno), "%s", strerror(errno));
    if (S_ISDIR(info.st_mode)) return rs_fail(RS_EINPUT, "is a folder, not a file of weights");
    if (!S_ISREG(info.st_mode)) return rs_fail(RS_EINPUT, "not a regular file");
    RS_TRY(read_start(path, start, &got));
    rs_file const file = {.path = path, .length = (uint64_t)info.st_size};
    return read_kind(start, got, &file, out);
}

static rs_status finish(rs_status status, const char *name, rs_arrays *out) {
    if (status != RS_OK) rs_arrays_free(out);
    return rs_fail_in(status, "%s", name);
}

rs_status rs_arrays_read(const char *path, rs_arrays *out) {
    *out = (rs_arrays){0};
    return finish(read_file(path, out), path, out);
}

rs_status rs_arrays_read_memory(const void *bytes, size_t length, const char *name,
                                rs_arrays *out) {
    rs_file const file = {.bytes = bytes, .length = length};
    *out = (rs_arrays){0};
    return finish(read_kind(bytes, length, &file, out), name, out);
}
