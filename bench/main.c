/* rhosweep-bench: from a command line to an exit code. The only place of the suite that exits by
 * itself; Google Benchmark does, too, for --help and a file that it cannot write. */
#include "gbench.h"
#include "options.h"
#include "suite.h"

#include "../kernels/host_device.h"
#include "version.h"

#include <stdlib.h>

static rs_status describe(const rs_bench_options *options) {
    rs_device host;
    rs_host_device(&host);
    char threads[16];
    snprintf(threads, sizeof threads, "%d", options->threads);
    const char *const isa = getenv("RHOSWEEP_ISA");
    RS_TRY(rs_bench_context("rhosweep_version", RS_VERSION));
    RS_TRY(rs_bench_context("rhosweep_commit", RS_COMMIT));
    RS_TRY(rs_bench_context("processor", host.name));
    RS_TRY(rs_bench_context("threads", threads));
    return rs_bench_context("RHOSWEEP_ISA", isa ? isa : "");
}

static rs_status add_all(const rs_bench_options *options) {
    RS_TRY(describe(options));
    RS_TRY(rs_bench_add_peaks(options));
#ifdef RS_HAVE_CUDA
    RS_TRY(rs_bench_add_cuda_peaks(options));
#endif
    RS_TRY(rs_bench_add_engines(options));
    RS_TRY(rs_bench_add_lyapunov(options));
    RS_TRY(rs_bench_add_baseline(options));
    RS_TRY(rs_bench_add_host_costs(options));
    RS_TRY(rs_bench_add_stages(options));
    return rs_bench_add_sweeps(options);
}

int main(int argc, char **argv) {
    rs_bench_options options;
    rs_status status = rs_bench_options_parse(&argc, argv, &options);
    if (status == RS_OK && options.help) rs_bench_options_help(stdout);
    if (status == RS_OK && !options.help) status = add_all(&options);
    fflush(stdout); /* before C++ prints */
    if (status == RS_OK) status = rs_bench_run(argc, argv);
    if (status != RS_OK) fprintf(stderr, "rhosweep-bench: %s\n", rs_message());
    rs_bench_clear();
    rs_bench_options_free(&options);
    return rs_exit_code(status);
}
