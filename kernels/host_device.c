#include "host_device.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The text behind "key ...: " in a file of such lines, or false. */
static bool find_line(const char *path, const char *key, char *value, size_t size) {
    FILE *file = fopen(path, "r");
    if (!file) return false;
    char line[512];
    bool found = false;
    while (!found && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, key, strlen(key)) != 0 || !colon) continue;
        colon += strspn(colon, ": \t");
        colon[strcspn(colon, "\n")] = '\0';
        snprintf(value, size, "%s", colon);
        found = true;
    }
    fclose(file);
    return found;
}

/* A file that holds one number; UINT64_MAX where it is missing or says "max". */
static uint64_t read_number(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) return UINT64_MAX;
    char text[32] = "";
    bool const read = fgets(text, sizeof text, file) != NULL;
    fclose(file);
    char *end = text;
    unsigned long long const number = strtoull(text, &end, 10); /* ULLONG_MAX if out of range */
    return read && end != text ? number : UINT64_MAX;
}

static uint64_t available_bytes(void) {
    char text[64];
    uint64_t available =
        find_line("/proc/meminfo", "MemAvailable", text, sizeof text)
            ? strtoull(text, NULL, 10) * 1024
            : (uint64_t)sysconf(_SC_AVPHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t const limit = read_number("/sys/fs/cgroup/memory.max");
    uint64_t const used = read_number("/sys/fs/cgroup/memory.current");
    if (limit != UINT64_MAX && used != UINT64_MAX) {
        uint64_t const left = limit > used ? limit - used : 0;
        if (left < available) available = left;
    }
    return available;
}

static int usable_threads(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
    long const online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

void rs_host_device(rs_device *out) {
    *out =
        (rs_device){.threads = usable_threads(), .free_bytes = available_bytes(), .on_host = true};
    out->columns_wanted = 1;
    if (!find_line("/proc/cpuinfo", "model name", out->name, sizeof out->name))
        snprintf(out->name, sizeof out->name, "unnamed processor");
}
