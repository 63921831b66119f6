/* What the host has to give, with the files of the kernel that say so in the test's hands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../kernels/host_device.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Contents, or NULL for a file that is missing. */
static const char *meminfo, *most, *current;

static const char *contents_of(const char *path) {
    if (strcmp(path, "/proc/meminfo") == 0) return meminfo;
    if (strcmp(path, "/sys/fs/cgroup/memory.max") == 0) return most;
    if (strcmp(path, "/sys/fs/cgroup/memory.current") == 0) return current;
    return NULL;
}

FILE *__wrap_fopen(const char *path, const char *mode); /* NOLINT: the linker's name */
FILE *__wrap_fopen(const char *path, const char *mode) {
    const char *text = contents_of(path);
    errno = ENOENT;
    return text ? fmemopen((void *)text, strlen(text), mode) : NULL;
}

static uint64_t free_bytes(const char *max, const char *used) {
    rs_device device;
    most = max;
    current = used;
    rs_host_device(&device);
    return device.free_bytes;
}

static void memory_is_what_is_available(void **state) {
    (void)state;
    meminfo = "MemTotal:  8000 kB\nMemFree:  10 kB\nMemAvailable:     1000 kB\n";
    assert_int_equal(free_bytes(NULL, NULL), 1024000);
    meminfo = NULL;
    assert_true(free_bytes(NULL, NULL) > 0);
}

static void memory_stays_within_the_control_group(void **state) {
    (void)state;
    meminfo = "MemAvailable: 1000 kB\n";
    assert_int_equal(free_bytes("500000\n", "200000\n"), 300000);
    assert_int_equal(free_bytes("500000\n", "500001\n"), 0);
    assert_int_equal(free_bytes("900000000000\n", "200000\n"), 1024000);
    assert_int_equal(free_bytes("max\n", "200000\n"), 1024000);
    assert_int_equal(free_bytes("500000\n", NULL), 1024000);
    assert_int_equal(free_bytes("\n", "200000\n"), 1024000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_what_is_available),
        cmocka_unit_test(memory_stays_within_the_control_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
