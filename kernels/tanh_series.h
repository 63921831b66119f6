/* exp(2 y) - 1 = 2 y + y^2 P(y) for |y| <= ln(2) / 4: the coefficients of P, highest power first.
 * f32: least squares, reweighted towards the maximum, error 0.23 ulp. f64: the Taylor series,
 * truncated below half an ulp. All engines but the reference make tanh and its slope from it. */
#ifndef RS_TANH_SERIES_H
#define RS_TANH_SERIES_H

#define RS_EXPM1_SERIES_F32 0x1.6d995ap-4f, 0x1.122838p-2f, 0x1.555486p-1f, 0x1.5554b0p+0f, 2.0f

#define RS_EXPM1_SERIES_F64                                                                        \
    8192.0 / 6227020800, 4096.0 / 479001600, 2048.0 / 39916800, 1024.0 / 3628800, 512.0 / 362880,  \
        256.0 / 40320, 128.0 / 5040, 64.0 / 720, 32.0 / 120, 16.0 / 24, 8.0 / 6, 2.0

/* -|a| = n ln(2) / 2 + y. f32 takes ln(2) / 2 in one piece where there is fma: its rounding moves
 * the slope no more than the rounding of a does. */
#define RS_TWO_LOG2_E_F32    0x1.715476p+1f
#define RS_HALF_LN2_F32      0x1.62e430p-2f
#define RS_TWO_LOG2_E_F64    0x1.71547652b82fep+1
#define RS_HALF_LN2_HIGH_F64 0x1.62e42fefap-2
#define RS_HALF_LN2_LOW_F64  0x1.cf79abc9e3b39p-41

/* Where n ends that need be exact: the slope is 0 from there on, tanh is 1 long before. */
#define RS_LEAST_Y_F32 (-87.0f)
#define RS_LEAST_Y_F64 (-700.0)

#endif
