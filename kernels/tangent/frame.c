#include "frame.h"

#include "../base/blas.h"
#include "../base/sizes.h"

#include <lapacke.h>
#include <math.h>
#include <stdbool.h>

/* At least as many columns as LAPACK's blocked QR takes at a time: its workspace has k of each. */
enum { QR_BLOCK = 64 };

rs_frame_work rs_frame_deal(size_t k, rs_block *block) {
    rs_frame_work out;
    uint64_t const size = rs_size_mul(k, QR_BLOCK);
    out.work = rs_block_take(block, size, sizeof *out.work);
    out.tau = rs_block_take(block, k, sizeof *out.tau);
    out.sign = rs_block_take(block, k, sizeof *out.sign);
    out.size = (size_t)size;
    return out;
}

static bool is_finite(size_t n, const double *x) {
    for (size_t i = 0; i < n; ++i)
        if (!isfinite(x[i])) return false;
    return true;
}

/* R is the upper triangle of q; rows whose diagonal is negative change their sign. */
static void take_triangle(size_t rows, size_t k, const double *q, double *sign, double *log_r,
                          double *r) {
    for (size_t i = 0; i < k; ++i) {
        double const diagonal = q[i * rows + i];
        sign[i] = diagonal < 0.0 ? -1.0 : 1.0;
        log_r[i] = log(fabs(diagonal));
    }
    for (size_t j = 0; r && j < k; ++j)
        for (size_t i = 0; i < k; ++i) r[j * k + i] = i <= j ? sign[i] * q[j * rows + i] : 0.0;
}

rs_status rs_frame_orthonormalise(size_t rows, size_t k, double *q, double *log_r, double *r,
                                  const rs_frame_work *scratch) {
    lapack_int const m = (lapack_int)rows, n = (lapack_int)k, size = (lapack_int)scratch->size;
    if (!is_finite(rows * k, q)) {
        for (size_t i = 0; i < k; ++i) log_r[i] = NAN;
        for (size_t i = 0; r && i < k * k; ++i) r[i] = NAN;
        return RS_OK;
    }
    RS_TRY(rs_blas_begin());
    (void)LAPACKE_dgeqrf_work(LAPACK_COL_MAJOR, m, n, q, m, scratch->tau, scratch->work, size);
    take_triangle(rows, k, q, scratch->sign, log_r, r);
    (void)LAPACKE_dorgqr_work(LAPACK_COL_MAJOR, m, n, n, q, m, scratch->tau, scratch->work, size);
    rs_blas_end();
    for (size_t j = 0; j < k; ++j)
        for (size_t i = 0; i < rows; ++i) q[j * rows + i] *= scratch->sign[j];
    return RS_OK;
}
