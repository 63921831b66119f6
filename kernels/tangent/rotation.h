/* The rotation of a one-sided Jacobi step, for two vectors whose sizes may be any two numbers.
 * Engines on host and device share this text. */
#ifndef RS_TANGENT_ROTATION_H
#define RS_TANGENT_ROTATION_H

#include "../base/both.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>

/* Of unit vectors a and b, in place of which come c (a + small b) and c (b - slope a). */
typedef struct rs_rotation {
    double cosine, small, slope;
} rs_rotation;

/* Whether vectors of n numbers are orthogonal to rounding already, or are not numbers. */
RS_BOTH static inline bool rs_is_orthogonal(size_t n, double dot) {
    return !(fabs(dot) > (double)n * DBL_EPSILON);
}

/* With dot = a.b, q <= 1 the ratio of b's size to a's, and t the tangent of the angle,
 *
 *     a' = c (a + t q b),  b' = c (b - (t / q) a),   t / (1 - t^2) = q a.b / (1 - q^2)
 *
 * where t / q stays in range where q does not, so that small vectors keep their digits beside large
 * ones. */
RS_BOTH static inline rs_rotation rs_rotation_of(double dot, double q) {
    /* t / q = 2 dot / (1 - q^2 + root), the smaller of the two angles */
    double const apart = (1.0 - q) * (1.0 + q);
    double const slope = 2.0 * dot / (apart + sqrt(apart * apart + 4.0 * q * q * dot * dot));
    double const t = slope * q;
    rs_rotation const r = {1.0 / sqrt(1.0 + t * t), t * q, slope};
    return r;
}

#endif
