/* Kernels with a bug planted that can be left out. */
#ifndef PLANTED_BUGS_H
#define PLANTED_BUGS_H

#include <cstddef>

struct PlantedBug {
    const char *kernel;
    bool (*run)(bool planted); /* whether the results are right */
    /* What is said of it: by the runner alone, by ThreadSanitizer's build, by AddressSanitizer's.
     */
    const char *plain, *tsan, *asan;
};

extern const PlantedBug planted_bugs[];
extern const size_t planted_bug_count;

#endif
