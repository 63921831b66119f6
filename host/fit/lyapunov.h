/* lyapunov: from what an engine's tangents stretched to exponents, and what follows from them. */
#ifndef RS_LYAPUNOV_H
#define RS_LYAPUNOV_H

#include "fit.h"

/* Sums over the samples of a radius: block by block, in the order of the samples. */
typedef struct rs_stretch_sum {
    double *stretch;  /* [RS_STRETCH_BLOCKS][k] */
    double *singular; /* [n_singular][k]; NULL without */
    double log_slope;
    size_t qr_every;
} rs_stretch_sum;

/* Adds column `column` of a record of `shape` (all groups counted) to the sums. */
void rs_lyapunov_add(const rs_shape *shape, const rs_record *record, size_t column,
                     rs_stretch_sum *sum);

/* Exponents and all of rs_lyapunov but `predicted`, whose other arrays are the caller's, from the
 * sums of `batch` samples. `log_det` is ln |det W_hh| of the radius, NaN where it is not known. */
void rs_lyapunov_finish(const rs_shape *shape, size_t batch, const rs_stretch_sum *sum,
                        double log_det, rs_lyapunov *out);

/* What a spectrum tells. */
typedef struct rs_spectrum_summary {
    double largest;
    double kaplan_yorke; /* j + (lambda_1 + .. + lambda_j) / |lambda_(j+1)| for the largest j whose
                            sum is not negative (Kaplan & Yorke 1979), all directions where no sum
                            is negative; NaN where more exponents than these would be needed */
    double entropy_rate; /* sum of the positive exponents, nats per step (Pesin 1977); NaN where
                            more than these may be positive */
    double mean;         /* NaN unless all are there */
} rs_spectrum_summary;

/* Of the k leading exponents [k], descending, of `all` that there are. */
rs_spectrum_summary rs_lyapunov_summary(const double *exponent, size_t k, size_t all);

#endif
