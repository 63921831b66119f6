#include "options.h"

#include "../kernels/base/sizes.h"
#include "../kernels/host_device.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_THREADS = 4096 };

/* All are run with tanh, lstm and gru units, the first one also with relu and linear ones. */
static const rs_bench_shape default_shape[] = {
    {64, 16, 32, 100},  {10, 1, 64, 50},  {32, 16, 32, 100}, {128, 16, 32, 200},
    {256, 32, 16, 100}, {512, 32, 8, 50}, {1024, 16, 8, 20},
};
enum { N_DEFAULT = sizeof default_shape / sizeof *default_shape };

/* Of Lyapunov spectra: tanh units, the first also with lstm and gru. Whole, they take H times as
 * long as a pass without them, so that radii are few at the end of the list. */
static const rs_bench_shape default_spectrum[] = {
    {64, 1, 21, 200}, {128, 1, 21, 100}, {256, 1, 21, 40}, {512, 1, 4, 20}};
enum { N_SPECTRA = sizeof default_spectrum / sizeof *default_spectrum };

/* Each takes a second or less on two cores. */
static const rs_bench_sweep_shape default_sweep[] = {
    {{10, 1, 16, 50}, 2000}, {{64, 16, 21, 200}, 40}, {{128, 16, 21, 200}, 16},
    {{256, 16, 21, 200}, 6}, {{512, 16, 21, 200}, 2},
};
enum { N_SWEEPS = sizeof default_sweep / sizeof *default_sweep, SEEDS_OF_A_SHAPE = 10 };

/* Reads a whole number from 1 to `most` that `end` follows; returns what stands behind it, or NULL
 * where there is none. */
static const char *read_count(const char *text, char end, size_t most, size_t *out) {
    if (!isdigit((unsigned char)*text)) return NULL;
    char *rest;
    errno = 0;
    unsigned long long const value = strtoull(text, &rest, 10);
    if (errno != 0 || *rest != end || value < 1 || value > most) return NULL;
    *out = (size_t)value;
    return end ? rest + 1 : rest;
}

static rs_status set_threads(const char *text, rs_bench_options *out) {
    size_t threads;
    if (!read_count(text, '\0', MAX_THREADS, &threads))
        return rs_fail(RS_EINPUT, "--threads=%s: not a whole number from 1 to %d", text,
                       (int)MAX_THREADS);
    out->threads = (int)threads;
    return RS_OK;
}

/* Whether the arrays that every engine needs can be addressed at all. */
static bool fits(const rs_bench_shape *s) {
    uint64_t const state =
        rs_size_mul(rs_size_mul(s->hidden, sizeof(double)), rs_size_mul(s->batch, s->radii));
    uint64_t const most = SIZE_MAX / 4;
    return rs_size_mul(state, s->steps) < most &&
           rs_size_mul(s->hidden, rs_size_mul(s->hidden, sizeof(double))) < most;
}

static rs_status add_shape(const char *text, rs_bench_options *out) {
    rs_bench_shape s;
    size_t const most = UINT32_MAX; /* as far as random numbers are addressed */
    const char *at = read_count(text, ',', most, &s.hidden);
    if (at) at = read_count(at, ',', most, &s.batch);
    if (at) at = read_count(at, ',', most, &s.radii);
    if (at) at = read_count(at, '\0', most, &s.steps);
    if (!at)
        return rs_fail(RS_EINPUT,
                       "--shape=%s: not four whole numbers H,B,R,T (units, samples, radii, steps)",
                       text);
    if (!fits(&s)) return rs_fail(RS_EINPUT, "--shape=%s: larger than any memory", text);
    rs_bench_shape *const more = realloc(out->shape, (out->n_shapes + 1) * sizeof s);
    if (!more) return rs_fail(RS_EMEMORY, "--shape=%s: out of memory", text);
    out->shape = more;
    out->shape[out->n_shapes++] = s;
    return RS_OK;
}

/* `flag` with its =. */
static rs_status set_count(const char *flag, const char *text, size_t *out) {
    if (read_count(text, '\0', UINT32_MAX, out)) return RS_OK;
    return rs_fail(RS_EINPUT, "%s%s: not a positive whole number", flag, text);
}

/* Of the shapes that were given, else of the default list. */
static rs_status list_sweeps(rs_bench_options *out) {
    bool const given = out->n_shapes > 0;
    out->n_sweeps = given ? out->n_shapes : (size_t)N_SWEEPS;
    out->sweep = calloc(out->n_sweeps, sizeof *out->sweep);
    if (!out->sweep) return rs_fail(RS_EMEMORY, "shapes: out of memory");
    for (size_t i = 0; i < out->n_sweeps; ++i) {
        out->sweep[i] =
            given ? (rs_bench_sweep_shape){out->shape[i], SEEDS_OF_A_SHAPE} : default_sweep[i];
        if (out->seeds) out->sweep[i].seeds = out->seeds;
    }
    return RS_OK;
}

/* A copy of `from` [n]. */
static rs_status copy_shapes(const rs_bench_shape *from, size_t n, rs_bench_shape **out) {
    *out = malloc(n * sizeof *from);
    if (!*out) return rs_fail(RS_EMEMORY, "shapes: out of memory");
    memcpy(*out, from, n * sizeof *from);
    return RS_OK;
}

static rs_status list_spectra(rs_bench_options *out) {
    bool const given = out->n_shapes > 0;
    out->n_spectra = given ? out->n_shapes : (size_t)N_SPECTRA;
    return copy_shapes(given ? out->shape : default_spectrum, out->n_spectra, &out->spectrum);
}

static rs_status set_defaults(rs_bench_options *out) {
    RS_TRY(list_sweeps(out));
    RS_TRY(list_spectra(out));
    if (out->threads == 0) {
        rs_device host;
        rs_host_device(&host);
        out->threads = host.threads;
    }
    if (out->n_shapes > 0) return RS_OK;
    out->n_shapes = N_DEFAULT;
    return copy_shapes(default_shape, N_DEFAULT, &out->shape);
}

/* The text behind `flag`, or NULL where the argument is another one. */
static const char *value_of(const char *argument, const char *flag) {
    size_t const length = strlen(flag);
    return strncmp(argument, flag, length) == 0 ? argument + length : NULL;
}

/* Takes one argument, where it is one of the suite's own; *taken says whether. */
static rs_status take(const char *argument, rs_bench_options *out, bool *taken) {
    struct {
        const char *flag;
        size_t *count;
    } const counts[] = {{"--seeds=", &out->seeds},
                        {"--directions=", &out->directions},
                        {"--qr-every=", &out->qr_every}};
    const char *value;
    *taken = true;
    if ((value = value_of(argument, "--threads="))) return set_threads(value, out);
    if ((value = value_of(argument, "--shape="))) return add_shape(value, out);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; ++i)
        if ((value = value_of(argument, counts[i].flag)))
            return set_count(counts[i].flag, value, counts[i].count);
    *taken = false;
    return RS_OK;
}

rs_status rs_bench_options_parse(int *argc, char **argv, rs_bench_options *out) {
    *out = (rs_bench_options){0};
    int kept = 1;
    for (int i = 1; i < *argc; ++i) {
        bool taken;
        RS_TRY(take(argv[i], out, &taken));
        if (strcmp(argv[i], "--help") == 0) out->help = true;
        if (!taken) argv[kept++] = argv[i];
    }
    argv[kept] = NULL;
    *argc = kept;
    return set_defaults(out);
}

void rs_bench_options_free(rs_bench_options *options) {
    free(options->shape);
    free(options->sweep);
    free(options->spectrum);
    *options = (rs_bench_options){0};
}

void rs_bench_options_help(FILE *out) {
    fputs(
        "Usage: rhosweep-bench [--threads=N] [--shape=H,B,R,T]... [--seeds=N] [--directions=N]\n"
        "                      [--qr-every=N] [FLAG]...\n"
        "\n"
        "Times the engines of this build, and what they are judged against, on this machine:\n"
        "\n"
        "  bptt/ENGINE/PRECISION/CELL/SHAPE              forward and backward pass with norms\n"
        "  forward/..., backward/...                     each pass by itself\n"
        "  bptt+gradients/..., gradient/...              with the weights' gradients; these alone\n"
        "  lyapunov/ENGINE/f64/CELL/SHAPE/K:N            Lyapunov exponents, after T/10 more "
        "steps\n"
        "  baseline/blas_stepwise/PRECISION/tanh/SHAPE   one product by BLAS a step, plain loops\n"
        "  peak/fma/f32, peak/fma/f64, peak/bandwidth    what the machine can do\n"
        "  host/eigenvalues/H, host/radius/H, host/weights/H, host/store_commits\n"
        "  host/stages/profiles:no, host/stages/profiles:50    a sweep without its engine's time\n"
        "  sweep/ENGINE/PRECISION/tanh/SHAPE/seeds:N           a whole sweep; /profiles:no\n"
        "\n"
        "  --threads=N        of all benchmarks (default: all that this process may use)\n"
        "  --shape=H,B,R,T    units, samples, radii and steps; give it again for more shapes.\n"
        "                     Replaces the default list:\n",
        out);
    for (size_t i = 0; i < N_DEFAULT; ++i)
        fprintf(out, "                         %zu,%zu,%zu,%zu\n", default_shape[i].hidden,
                default_shape[i].batch, default_shape[i].radii, default_shape[i].steps);
    fputs("                     All are run with tanh, lstm and gru units, the first of the list\n"
          "                     also with relu and linear ones; baseline/ and sweep/ with tanh.\n"
          "                     Sweeps and lyapunov/ have lists of their own, which it replaces "
          "too;\n"
          "                     the first shape of lyapunov/ is run with lstm and gru units as "
          "well.\n"
          "  --seeds=N          networks of every sweep (default: 10 for a shape that was given)\n"
          "  --directions=N     leading Lyapunov exponents (default: all)\n"
          "  --qr-every=N       steps between their QRs (default: chosen by the spread of "
          "exponents)\n"
          "\n"
          "RHOSWEEP_ISA=avx512|avx2|baseline forces an instruction set of the engine cpu.\n"
          "\n"
          "The flags of Google Benchmark, which choose what runs, how long, and how it is shown:\n"
          "\n",
          out);
}
