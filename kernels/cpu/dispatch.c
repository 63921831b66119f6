#include "kernel.h"

#include "../base/setting.h"

#include <string.h>

/* Best first. */
#if defined(__x86_64__)
extern const rs_cpu_kernel rs_cpu_avx512_f32, rs_cpu_avx512_f64;
extern const rs_cpu_kernel rs_cpu_avx2_f32, rs_cpu_avx2_f64;
extern const rs_cpu_kernel rs_cpu_baseline_f32, rs_cpu_baseline_f64;
static const char *const names[] = {"avx512", "avx2", "baseline", NULL};
static const rs_cpu_kernel *const built[] = {
    &rs_cpu_avx512_f32, &rs_cpu_avx512_f64,   &rs_cpu_avx2_f32,
    &rs_cpu_avx2_f64,   &rs_cpu_baseline_f32, &rs_cpu_baseline_f64,
};
#elif defined(__aarch64__)
extern const rs_cpu_kernel rs_cpu_neon_f32, rs_cpu_neon_f64;
static const char *const names[] = {"neon", NULL};
static const rs_cpu_kernel *const built[] = {&rs_cpu_neon_f32, &rs_cpu_neon_f64};
#else
extern const rs_cpu_kernel rs_cpu_baseline_f32, rs_cpu_baseline_f64;
static const char *const names[] = {"baseline", NULL};
static const rs_cpu_kernel *const built[] = {&rs_cpu_baseline_f32, &rs_cpu_baseline_f64};
#endif
enum { N_BUILT = sizeof built / sizeof *built };

static bool runs_here(const char *isa) {
#if defined(__x86_64__)
    if (strcmp(isa, "avx512") == 0)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("fma");
    if (strcmp(isa, "avx2") == 0)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    (void)isa;
    return true; /* it is what the compiler may use anywhere */
}

const rs_cpu_kernel *const *rs_cpu_kernels(rs_precision precision) {
    static const rs_cpu_kernel *list[RS_N_PRECISION][N_BUILT + 1];
    const rs_cpu_kernel **end = list[precision]; /* the same entries whoever writes them */
    for (size_t i = 0; i < N_BUILT; ++i)
        if (built[i]->precision == precision && runs_here(built[i]->isa)) *end++ = built[i];
    return list[precision];
}

rs_status rs_cpu_kernel_choose(rs_precision precision, const rs_cpu_kernel **out) {
    const char *wanted;
    RS_TRY(rs_setting("RHOSWEEP_ISA", names, &wanted));
    for (const rs_cpu_kernel *const *k = rs_cpu_kernels(precision); *k; ++k) {
        if (wanted && strcmp(wanted, (*k)->isa) != 0) continue;
        *out = *k;
        return RS_OK;
    }
    return rs_fail(RS_EINPUT,
                   "RHOSWEEP_ISA: %s: does not run on this processor: use %s or unset it", wanted,
                   rs_cpu_kernels(precision)[0]->isa);
}
