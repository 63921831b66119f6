#include "settings.h"

#include "failure.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>
#include <thread>

namespace cuda_on_cpu {

/* Unless told: each has a stack for every thread of a block, and mappings are limited. */
static constexpr unsigned MOST_THREADS = 16;

static uint64_t whole_number(std::string_view text, const char *what) {
    uint64_t value = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size())
        fail(std::string(what) + ": not a whole number: " + std::string(text));
    return value;
}

static void read_order(Settings *settings) {
    const char *const value = std::getenv("RHOSWEEP_CUDA_ORDER");
    std::string_view const text = value ? value : "ascending", prefix = "shuffled:";
    if (text == "ascending") {
        settings->order = Order::ascending;
    } else if (text == "descending") {
        settings->order = Order::descending;
    } else if (text == "shuffled") {
        settings->order = Order::shuffled;
    } else if (text.substr(0, prefix.size()) == prefix) {
        settings->order = Order::shuffled;
        settings->seed = whole_number(text.substr(prefix.size()), "RHOSWEEP_CUDA_ORDER");
    } else {
        fail("RHOSWEEP_CUDA_ORDER: not ascending, descending, shuffled or shuffled:SEED: " +
             std::string(text));
    }
}

static unsigned read_count(const char *variable, unsigned otherwise) {
    const char *const value = std::getenv(variable);
    if (!value) return otherwise;
    uint64_t const count = whole_number(value, variable);
    if (count < 1 || count > 1024) fail(std::string(variable) + ": not in 1 .. 1024");
    return static_cast<unsigned>(count);
}

static int read_capability() {
    const char *const value = std::getenv("RHOSWEEP_CUDA_CAPABILITY");
    std::string_view const text = value ? value : "9.0";
    if (text != "9.0" && text != "8.0")
        fail("RHOSWEEP_CUDA_CAPABILITY: not 9.0 or 8.0: " + std::string(text));
    return text == "9.0" ? 90 : 80;
}

const Settings &settings() {
    static const Settings read = [] {
        Settings settings = {Order::ascending, 1, 1, 2, 90};
        read_order(&settings);
        settings.os_threads =
            read_count("RHOSWEEP_CUDA_THREADS",
                       std::clamp(std::thread::hardware_concurrency(), 1u, MOST_THREADS));
        settings.processors = static_cast<int>(read_count("RHOSWEEP_CUDA_PROCESSORS", 2));
        settings.capability = read_capability();
        return settings;
    }();
    return read;
}

} // namespace cuda_on_cpu
