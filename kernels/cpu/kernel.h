/* What the scheduler (cpu_engine.c) asks of a tile kernel, and the kernels that there are: tile.c,
 * gradient.c, tangent.c and frame.c, compiled for each instruction set and precision. */
#ifndef RS_CPU_KERNEL_H
#define RS_CPU_KERNEL_H

#include "../base/block.h"
#include "../base/sizes.h"
#include "../drive.h"

/* K H */
static inline uint64_t gate_rows(const rs_shape *shape) {
    return rs_size_mul(rs_cell_of(shape->cell)->gates, shape->hidden);
}

/* A tile is `vectors` SIMD vectors of columns. Arrays called [x][width] have width = vectors *
 * lanes numbers in a row; "real" is float or double. An array with a period holds the B samples
 * of a group and repeats its first lanes - 1 of them, so that any `lanes` consecutive columns,
 * whose samples are cyclic, are one unaligned load. */
typedef struct rs_cpu_tile {
    const rs_shape *shape;
    size_t vectors;
    size_t columns;                   /* that are real; the rest of the width is padding */
    const void *forward_w;            /* packed W0 */
    const void *backward_w;           /* packed W0^T */
    const void *product_bias;         /* real [H] b of a GRU's candidate */
    const void *scale;                /* real [K][width] */
    const size_t *sample;             /* [vectors] sample of each vector's first column */
    size_t period;                    /* row length of the four arrays below: B + lanes - 1 */
    const void *drive;                /* real [warmup + T][K H][period] */
    size_t drive_stride;              /* reals between steps; 0 where all have the same */
    const void *start[RS_MAX_STATES]; /* real [H][period] each */
    const void *delta;                /* real [H][period] */
    const void *input; /* real [T][I][period] x of the recorded steps, for gradients; NULL
                          without a weighted drive */
    double step_delta;
    void *scratch;            /* rs_cpu_kernel.scratch_bytes() of it, 64-byte aligned */
    void *sums;               /* likewise rs_cpu_gradient.bytes() */
    void *tangents;           /* likewise rs_cpu_tangent.bytes() */
    double *norm2;            /* of step 1, the first state and column; see rs_record */
    int32_t *exponent;        /* of step 1 and the first column */
    size_t record_stride;     /* entries between states, and between exponents of steps */
    uint32_t *nonfinite_step; /* [columns] */
    double *gradient2;        /* of the first column's radius */
    int32_t *gradient_exponent;
    double *stretch; /* of the first column, as the next three */
    uint32_t *qr_gap;
    double *log_slope;
    double *singular; /* NULL without */
} rs_cpu_tile;

/* The weights' gradients. A tile either holds whole radii, or the first of its columns goes on
 * where the tile before it on this thread, with the same `sums`, has ended. */
typedef struct rs_cpu_gradient {
    uint64_t (*bytes)(const rs_shape *shape);
    void (*add)(const rs_cpu_tile *tile); /* after backward, with the same scratch */
} rs_cpu_gradient;

/* Seconds of wall time, summed. */
typedef struct rs_cpu_tangent_seconds {
    double carrying, qr;
} rs_cpu_tangent_seconds;

/* QR of a column's k tangents, which stand side by side: q is double [rows][pitch], zeros beyond k,
 * 64-byte aligned as is its scratch. Whole vectors of either precision fill a row. */
static inline uint64_t rs_cpu_frame_pitch(size_t k) { return rs_size_round_up(k, 16); }
typedef struct rs_cpu_frame {
    uint64_t (*bytes)(size_t rows, size_t k);
    /* As rs_frame_orthonormalise. */
    void (*orthonormalise)(size_t rows, size_t k, double *q, double *log_r, double *r,
                           void *scratch);
} rs_cpu_frame;

/* Tangents, column by column. */
typedef struct rs_cpu_tangent {
    uint64_t (*bytes)(const rs_shape *shape);
    /* Those of one column of a tile, after forward, with the same scratch. */
    void (*carry)(const rs_cpu_tile *tile, size_t column, rs_cpu_tangent_seconds *seconds);
    const rs_cpu_frame *frame; /* their QR, of the same instruction set */
} rs_cpu_tangent;

typedef struct rs_cpu_kernel {
    const char *isa;
    bool fused; /* a * b + c is rounded once; all such kernels give the same bits */
    rs_precision precision;
    size_t lanes;       /* reals in a vector */
    size_t max_vectors; /* of a tile */
    size_t real_bytes;
    uint64_t (*packed_bytes)(const rs_shape *shape);
    /* Packs W0 [K H][H], and its transpose, into panels of rows: part `part` of `parts`. */
    void (*pack)(const rs_shape *shape, const double *w, size_t part, size_t parts, void *forward_w,
                 void *backward_w);
    /* A real [rows][period] array from x [B][rows], or of zeros where x is NULL. */
    void (*put_samples)(size_t rows, size_t batch, const double *x, void *out);
    rs_drive_filler *fill_drive; /* rs_drive_fill, compiled for this instruction set */
    uint64_t (*scratch_bytes)(const rs_shape *shape, size_t vectors);
    void (*forward)(const rs_cpu_tile *tile);
    void (*backward)(const rs_cpu_tile *tile); /* after forward, with the same scratch */
    const rs_cpu_gradient *gradient;
    const rs_cpu_tangent *tangent;
} rs_cpu_kernel;

/* The best kernel of this precision for this processor, or the one that the environment variable
 * RHOSWEEP_ISA names; an empty one counts as unset. RS_EINPUT where it names none, or one that
 * does not run here. */
rs_status rs_cpu_kernel_choose(rs_precision precision, const rs_cpu_kernel **out);

/* Kernels of this precision that run on this processor, best first, ended by NULL. */
const rs_cpu_kernel *const *rs_cpu_kernels(rs_precision precision);

/* The kernel's other parts have its name with these behind. */
#define RS_CPU_JOIN(a, b)          a##b
#define RS_CPU_GRADIENT_OF(kernel) RS_CPU_JOIN(kernel, _gradient)
#define RS_CPU_TANGENT_OF(kernel)  RS_CPU_JOIN(kernel, _tangent)
#define RS_CPU_FRAME_OF(kernel)    RS_CPU_JOIN(kernel, _frame)

#endif
