/* Every planted bug is caught, and named with kernel and line; without the bug, the same kernel
 * passes, under the sanitizer that this is built with, if any. Each run is a process. */
#include "planted_bugs.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__has_feature) /* Clang; GCC defines the macros itself */
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__
#elif __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__
#endif
#endif

#if defined(__SANITIZE_THREAD__)
/* By default every process that has had threads sleeps a second when it exits. */
extern "C" const char *__tsan_default_options(void);
extern "C" const char *__tsan_default_options(void) { return "atexit_sleep_ms=0"; }
#endif

#if defined(__SANITIZE_ADDRESS__)
/* UndefinedBehaviorSanitizer names the kernel in its stack alone. */
extern "C" const char *__ubsan_default_options(void);
extern "C" const char *__ubsan_default_options(void) { return "print_stacktrace=1"; }
#endif

static const char *expected(const PlantedBug &bug) {
#if defined(__SANITIZE_THREAD__)
    return bug.tsan;
#elif defined(__SANITIZE_ADDRESS__)
    return bug.asan;
#else
    return bug.plain;
#endif
}

[[noreturn]] static void give_up(const char *what) {
    std::perror(what);
    std::exit(2);
}

[[noreturn]] static void run_in_child(const PlantedBug &bug, bool planted, int to) {
    if (dup2(to, STDERR_FILENO) < 0) give_up("dup2");
    bool const right = bug.run(planted);
    std::fprintf(stderr, "%s\n", right ? "right results" : "wrong results");
    std::exit(0); /* and sanitizers may say otherwise */
}

static std::string read_all(int from) {
    std::string text;
    char buffer[4096];
    for (;;) {
        ssize_t const n = read(from, buffer, sizeof buffer);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) give_up("read");
        if (n == 0) return text;
        text.append(buffer, static_cast<size_t>(n));
    }
}

/* What the run wrote on stderr; *clean is whether it ended well. */
static std::string run(const PlantedBug &bug, bool planted, bool *clean) {
    int ends[2];
    if (pipe(ends) != 0) give_up("pipe");
    pid_t const child = fork();
    if (child < 0) give_up("fork");
    if (child == 0) run_in_child(bug, planted, ends[1]);
    close(ends[1]);
    std::string text = read_all(ends[0]);
    close(ends[0]);
    int status = 0;
    if (waitpid(child, &status, 0) != child) give_up("waitpid");
    *clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    return text;
}

/* Wrong results say nothing more; everything else must say where. */
static bool is_caught(const PlantedBug &bug, const std::string &text) {
    if (text.find(expected(bug)) == std::string::npos) return false;
    if (std::strcmp(expected(bug), "wrong results") == 0) return true;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);)
        if (line.find(bug.kernel + std::string("<true>")) != std::string::npos &&
            line.find("planted_bugs.cu:") != std::string::npos)
            return true;
    return false;
}

static bool check(const PlantedBug &bug, bool planted) {
    bool clean = false;
    std::string const text = run(bug, planted, &clean);
    bool const good = planted ? is_caught(bug, text) : clean && text == "right results\n";
    std::printf("%s %s: %s\n", good ? "ok  " : "FAIL", bug.kernel,
                planted ? expected(bug) : "without the bug");
    if (!good) std::printf("%s\n", text.c_str());
    return good;
}

int main() {
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    bool good = true;
    for (size_t i = 0; i < planted_bug_count; ++i) {
        good &= check(planted_bugs[i], false);
        if (expected(planted_bugs[i])) good &= check(planted_bugs[i], true);
    }
    return good ? 0 : 1;
}
