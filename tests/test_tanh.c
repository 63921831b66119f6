/* The vector tanh against the mathematical library in the next wider format. By default a dense
 * stratified sample; `test_tanh all` goes through all 2^32 floats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tanh_probe.h"

#include "../kernels/cpu/kernel.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 4096 };

/* In units of the last place of the true value. A slope's error grows with |a|, as its condition
 * does: rounding a by half an ulp moves sech^2 a by |a| ulp. */
static double const tanh_ulp = 3.0, slope_ulp = 6.0, slope_ulp_per_a = 1.0;
static double const tanh_ulp_f64 = 3.5, slope_ulp_f64 = 6.0;

static uint64_t stride = 509; /* prime: all parts of the mantissa are met */

typedef struct probe {
    const char *isa;
    tanh_probe *f32, *f64;
} probe;

static const probe probes[] = {
#if defined(__x86_64__)
    {"avx512", tanh_avx512_f32, tanh_avx512_f64},
    {"avx2", tanh_avx2_f32, tanh_avx2_f64},
#endif
#if defined(__aarch64__)
    {"neon", tanh_neon_f32, tanh_neon_f64},
#else
    {"baseline", tanh_baseline_f32, tanh_baseline_f64},
#endif
};

static bool runs_here(const char *isa) {
    for (const rs_cpu_kernel *const *k = rs_cpu_kernels(RS_F32); *k; ++k)
        if (strcmp((*k)->isa, isa) == 0) return true;
    print_message("skipped: %s does not run on this processor\n", isa);
    return false;
}

static double ulp_f32(double x) {
    int exponent;
    frexp(x, &exponent);
    return ldexp(1.0, exponent < -125 ? -149 : exponent - 24);
}

static double sech2(double a) {
    double const e = exp(-2.0 * fabs(a));
    return 4.0 * e / ((1.0 + e) * (1.0 + e));
}

static void check_f32(const char *isa, float a, float h, float slope) {
    if (isnan(a)) {
        if (!isnan(h) || !isnan(slope)) fail_msg("%s: NaN became %g, %g", isa, h, slope);
        return;
    }
    double const want = tanh((double)a), want_slope = sech2((double)a);
    double const error = fabs((double)h - want) / ulp_f32(want);
    double const slope_error = fabs((double)slope - want_slope) / ulp_f32(want_slope);
    double const slope_limit = slope_ulp + slope_ulp_per_a * fmin(fabs((double)a), 60.0);
    if (!(error <= tanh_ulp) || signbit(h) != signbit(a))
        fail_msg("%s: tanh(%.9g) = %.9g, not %.9g (%.3g ulp)", isa, (double)a, (double)h, want,
                 error);
    if (!(slope_error <= slope_limit))
        fail_msg("%s: sech^2(%.9g) = %.9g, not %.9g (%.3g ulp)", isa, (double)a, (double)slope,
                 want_slope, slope_error);
}

static void floats(void **state) {
    (void)state;
    static float a[BATCH], h[BATCH], slope[BATCH];
    for (size_t p = 0; p < sizeof probes / sizeof *probes; ++p) {
        if (!runs_here(probes[p].isa)) continue;
        for (uint64_t bits = 0; bits <= UINT32_MAX; bits += BATCH * stride) {
            for (size_t i = 0; i < BATCH; ++i) {
                uint32_t const at = (uint32_t)(bits + i * stride);
                memcpy(&a[i], &at, sizeof at);
            }
            probes[p].f32(BATCH, a, h, slope);
            for (size_t i = 0; i < BATCH; ++i) check_f32(probes[p].isa, a[i], h[i], slope[i]);
        }
    }
}

static void check_f64(const char *isa, double a, double h, double slope) {
    long double const want = tanhl((long double)a), e = expl(-2.0L * fabsl((long double)a));
    long double const want_slope = 4.0L * e / ((1.0L + e) * (1.0L + e));
    double const ulp = nextafter(fabs((double)want), INFINITY) - fabs((double)want);
    double const slope_step = nextafter((double)want_slope, INFINITY) - (double)want_slope;
    double const error = (double)fabsl((long double)h - want) / ulp;
    double const slope_error = (double)fabsl((long double)slope - want_slope) / slope_step;
    if (!(error <= tanh_ulp_f64) || signbit(h) != signbit(a))
        fail_msg("%s: tanh(%.17g) = %.17g, %.3g ulp off", isa, a, h, error);
    if (!(slope_error <= slope_ulp_f64))
        fail_msg("%s: sech^2(%.17g) = %.17g, %.3g ulp off", isa, a, slope, slope_error);
}

/* Mantissas from a full-period sequence, exponents from 2^-40 to 2^9. */
static void doubles(void **state) {
    (void)state;
    static double a[BATCH], h[BATCH], slope[BATCH];
    uint64_t mantissa = 1;
    for (size_t p = 0; p < sizeof probes / sizeof *probes; ++p) {
        if (!runs_here(probes[p].isa)) continue;
        for (int batch = 0; batch < 150; ++batch) {
            for (size_t i = 0; i < BATCH; ++i) {
                mantissa = mantissa * 6364136223846793005u + 1442695040888963407u;
                double const m = 1.0 + (double)(mantissa >> 12) * 0x1p-52;
                a[i] = ldexp(i % 2 ? m : -m, (int)(i / 2 % 50) - 40);
            }
            probes[p].f64(BATCH, a, h, slope);
            for (size_t i = 0; i < BATCH; ++i) check_f64(probes[p].isa, a[i], h[i], slope[i]);
        }
    }
}

static void edges(void **state) {
    (void)state;
    for (size_t p = 0; p < sizeof probes / sizeof *probes; ++p) {
        if (!runs_here(probes[p].isa)) continue;
        double a[16] = {0.0, -0.0, INFINITY, -INFINITY, NAN, 1e300, -1e300, 5e-324};
        double h[16], slope[16];
        probes[p].f64(16, a, h, slope);
        assert_true(h[0] == 0.0 && !signbit(h[0]) && h[1] == 0.0 && signbit(h[1]));
        assert_true(h[2] == 1.0 && h[3] == -1.0 && h[5] == 1.0 && h[6] == -1.0);
        assert_true(isnan(h[4]) && isnan(slope[4]) && h[7] == 5e-324);
        assert_true(slope[0] == 1.0 && slope[1] == 1.0 && slope[2] == 0.0 && slope[5] == 0.0);
    }
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "all") == 0) stride = 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floats),
        cmocka_unit_test(doubles),
        cmocka_unit_test(edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
