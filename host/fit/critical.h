/* critical: the radius and the coupling at which the mean decay rate over seeds is zero. */
#ifndef RS_CRITICAL_H
#define RS_CRITICAL_H

#include "../../kernels/base/status.h"

#include <stddef.h>

/* One network at one radius. */
typedef struct rs_rate_sample {
    size_t radius, seed; /* indices; radii ascending */
    double rho, g;       /* measured */
    double decay_rate;   /* finite */
} rs_rate_sample;

/* A value with its 95% interval; NaN for none. */
typedef struct rs_estimate {
    double value, low, high;
} rs_estimate;

typedef struct rs_critical {
    rs_estimate rho, g;
    size_t seeds, radii; /* that have a sample */
} rs_critical;

enum { RS_BOOTSTRAP_RESAMPLES = 2000 };

/* Finds the first pair of neighbouring radii between which the mean rate falls from above zero to
 * zero or below, and interpolates linearly. A radius is the mean of the samples that it has.
 *
 * The interval runs from the 2.5th to the 97.5th percentile of RS_BOOTSTRAP_RESAMPLES resamples of
 * the seeds, each drawn with all its radii. A resample without a crossing counts as infinite where
 * its last mean rate is above zero, as zero otherwise. No interval for one seed.
 *
 * sample [n]: ascending by radius, then by seed; seeds are below `seeds`. RS_EMEMORY. */
rs_status rs_critical_find(const rs_rate_sample *sample, size_t n, size_t seeds, rs_critical *out);

#endif
