/* The tangents of all columns, carried along by what any path's forward pass has kept of the steps:
 * the coefficients of the way back are those of the Jacobian too, whose transpose it applies. With
 * p_k = s_k W_k dh, and (dh, dc) a tangent of step t - 1,
 *
 *     one gate     dh' = phi' p
 *     with a leak  dh' = A phi' p + (1 - A) dh
 *     lstm         dc' = f dc + B_i p_i + B_f p_f + B_g p_g,  dh' = A dc' + B_o p_o
 *     gru          dh' = z dh + C_n r p_n + C_r p_r + C_z p_z
 *
 * with the letters of cells.cuh. QR makes them orthonormal when tangent/schedule.h says so, for
 * each column by itself. */
#ifndef RS_CUDA_TANGENT_CUH
#define RS_CUDA_TANGENT_CUH

#include "clock.cuh"
#include "path.cuh"
#include "transfer.cuh"

#include "../base/block.h"
#include "../tangent/schedule.h"

/* Device arrays of a piece. Those of singular values are empty where none are asked for. */
template <typename real> struct tangent_arrays {
    int directions, rows; /* k and S H */
    int width;            /* of a column: k, rounded up so that its tangents begin on 16 bytes */
    int pitch;            /* of a row: columns * width */
    real *h[2];    /* [G][H][pitch] dh of tangent j of column c at c width + j; steps take turns */
    real *c;       /* [G][H][pitch] dc of an LSTM */
    double *frame; /* [G][columns][k][S H] while QR works on it */
    double *tau, *sign;                /* [G][columns][k] */
    double *log_r;                     /* [G][columns][k] */
    rs_qr_schedule *schedule;          /* [G][columns] */
    int *lost;                         /* [G][columns] whether a frame was not finite */
    size_t *singular_at;               /* [n_singular] */
    double *product, *rotated;         /* [G][columns][k][k] of the R's; and what Jacobi works on */
    double *log_scale, *rotated_scale; /* [G][columns][k] of their rows */
    double *factor;                    /* [G][columns][k] */
    double *stretch;                   /* [G][columns][RS_STRETCH_BLOCKS][k] as in rs_record; */
    unsigned *qr_gap;                  /* [G][columns] the same, */
    double *log_slope;                 /* [G][columns] and this, */
    double *singular;                  /* [G][columns][n_singular][k] and this, unsorted */
};

/* Measures or deals them. */
template <typename real> tangent_arrays<real> tangent_deal(const rs_shape *shape, rs_block *block);

/* Sends what the host knows. */
template <typename real>
rs_status tangent_send(channel *c, const rs_shape *shape, const tangent_arrays<real> &t);

/* Where the way of a piece is queued, and what times its QRs: a clock and the seconds it adds to.
 */
struct tangent_way {
    cudaStream_t stream;
    const device_limits *limits;
    part_clock *clock;
    double *qr_seconds;
};

/* Queues all of it, behind the forward pass. `kept`: where that has left its coefficients, the
 * transient's first. */
template <typename real>
rs_status tangent_run(const tangent_way &way, const rs_shape *shape, const arrays<real> &a,
                      const trace_strides &kept, const tangent_arrays<real> &t);

#endif
