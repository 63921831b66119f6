/* OpenBLAS starts a thread for every CPU of the process when it is loaded, which is before main,
 * and each takes 128 MiB of address space; where there is no such room it retries forever, and the
 * process cannot end. None of them is ever used (work/powers.h). OPENBLAS_NUM_THREADS would have to
 * be set before the program starts. So the process has one CPU until its libraries are loaded. */
#include <sys/syscall.h>
#include <unistd.h>

/* A set of up to 8192 CPUs, as the kernel has it: no library is ready yet, so these are plain
 * system calls. Where one is refused all stays as it would have been. */
enum { WORDS = 8192 / (8 * sizeof(long)) };
static unsigned long all[WORDS];
static long bytes;

static void choose(const unsigned long *cpus) {
    if (bytes > 0) (void)syscall(SYS_sched_setaffinity, 0, bytes, cpus);
}

__attribute__((no_sanitize("address", "thread", "undefined"))) static void take_one(void) {
    unsigned long one[WORDS] = {0};
    bytes = syscall(SYS_sched_getaffinity, 0, sizeof all, all);
    for (long i = 0; i < bytes / (long)sizeof *all; ++i) {
        if (!all[i]) continue;
        one[i] = all[i] & -all[i];
        choose(one);
        return;
    }
}

/* Before the constructors of all libraries, and after them. */
__attribute__((section(".preinit_array"), used)) static void (*const before)(void) = take_one;
__attribute__((constructor)) static void take_all(void) { choose(all); }
