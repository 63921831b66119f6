// The only C++ of the project: Google Benchmark (https://github.com/google/benchmark) behind the C
// of gbench.h.
extern "C" {
#include "gbench.h"
}

#include <benchmark/benchmark.h>

#include <exception>
#include <memory>
#include <string>
#include <vector>

namespace {

class Entry {
  public:
    Entry(const char *name, const rs_bench_body &body, void *self)
        : name_(name), body_(body), self_(self) {}
    Entry(const Entry &) = delete;
    Entry &operator=(const Entry &) = delete;
    ~Entry() {
        close();
        body_.release(self_);
    }

    const std::string &name() const { return name_; }
    bool failed() const { return failed_; }

    void close() {
        if (open_) body_.close(self_);
        open_ = false;
    }

    rs_status makeReady() {
        if (!open_) RS_TRY(body_.open(self_));
        open_ = true;
        if (!checked_ && body_.check != nullptr) RS_TRY(body_.check(self_));
        checked_ = true;
        return RS_OK;
    }

    rs_status run(std::int64_t n, rs_bench_report *report) { return body_.run(self_, n, report); }

    void fail() { failed_ = true; }

  private:
    std::string name_;
    rs_bench_body body_;
    void *self_;
    bool open_ = false, checked_ = false, failed_ = false;
};

std::vector<std::unique_ptr<Entry>> entries;
Entry *current = nullptr; // the one that may be open

// The first failure of a run.
rs_status failure = RS_OK;
std::string failure_message;

void show(const rs_bench_report &report, benchmark::State &state) {
    using benchmark::Counter;
    for (const rs_bench_counter &counter : report.counter) {
        if (counter.name == nullptr) return;
        state.counters[counter.name] =
            Counter(counter.value,
                    counter.per_second ? Counter::kIsIterationInvariantRate : Counter::kDefaults);
    }
}

rs_status measure(benchmark::State &state, Entry &entry) {
    RS_TRY(entry.makeReady());
    while (state.KeepRunningBatch(state.max_iterations)) { // once: all iterations are one batch
        rs_bench_report report = {};
        RS_TRY(entry.run(state.max_iterations, &report));
        state.SetIterationTime(report.seconds);
        show(report, state);
    }
    return RS_OK;
}

// Google Benchmark calls this for every estimate of the number of iterations and every repetition,
// so the entry stays open until another one has its turn.
void runEntry(benchmark::State &state, Entry *entry) {
    if (current != nullptr && current != entry) current->close();
    current = entry;
    rs_status const status = measure(state, *entry);
    if (status == RS_OK) return;
    state.SkipWithError(rs_message());
    entry->fail();
    if (failure != RS_OK) return;
    failure = status;
    failure_message = entry->name() + ": " + rs_message();
}

} // namespace

rs_status rs_bench_add(const char *name, const rs_bench_body *body, void *self) {
    std::unique_ptr<Entry> entry;
    try {
        entry = std::make_unique<Entry>(name, *body, self);
    } catch (const std::exception &) {
        body->release(self);
        return rs_fail(RS_EMEMORY, "%s: no memory to list it", name);
    }
    try {
        entries.push_back(std::move(entry));
        benchmark::RegisterBenchmark(name, runEntry, entries.back().get())
            ->UseManualTime()
            ->Unit(benchmark::kMicrosecond);
    } catch (const std::exception &) {
        return rs_fail(RS_EMEMORY, "%s: no memory to list it", name);
    }
    return RS_OK;
}

rs_status rs_bench_context(const char *key, const char *value) {
    try {
        benchmark::AddCustomContext(key, value);
    } catch (const std::exception &) {
        return rs_fail(RS_EMEMORY, "%s: no memory to note it", key);
    }
    return RS_OK;
}

rs_status rs_bench_run(int argc, char **argv) {
    benchmark::Initialize(&argc, argv);
    if (argc > 1) return rs_fail(RS_EINPUT, "%s: not understood: see --help", argv[1]);
    if (benchmark::RunSpecifiedBenchmarks() == 0)
        return rs_fail(RS_EINPUT, "--benchmark_filter: matches no benchmark: see "
                                  "--benchmark_list_tests");
    if (current != nullptr) current->close();
    current = nullptr;
    std::size_t failed = 0;
    for (const auto &entry : entries) failed += entry->failed() ? 1 : 0;
    if (failed == 0) return RS_OK;
    return rs_fail(failure, "benchmarks that failed: %zu, the first is %s", failed,
                   failure_message.c_str());
}

void rs_bench_clear(void) {
    benchmark::ClearRegisteredBenchmarks();
    current = nullptr;
    entries.clear();
}
