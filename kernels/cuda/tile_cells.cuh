/* What a step of a tile does beside the product, forward and back: of a thread's part of the tile,
 * for each kind of cell.
 *
 * forward_part and backward_part are used alike by both paths. Cells with one gate: a row of the
 * product is a unit, both ways. Cells with several: forward the four rows of a strip are the gates
 * of one unit, so that a thread has all that ends the unit's step; on the way back a row is a unit
 * again, and q of its K gates are rows K u + g of what the product multiplies:
 *
 *     forward, 8 x 4 a thread                       back, 4 x 4 a thread
 *
 *       sums        i f g o i f g o                   delta, dc      4 units
 *       units       |-- u --|- u+1 -|                 coefficients   [6][H] of the trace
 *       c           in registers                      q              [K units][width], in the place
 *       h           [units][width]                                   of the states
 *       coefficients to the trace, [6][H]
 */
#ifndef RS_CUDA_TILE_CELLS_CUH
#define RS_CUDA_TILE_CELLS_CUH

#include "tile.cuh"

/* Rows of a product's sums that are used, of each strip: of a GRU's forward product three. */
template <cell_kind KIND> __device__ constexpr int rows_used() {
    return cell_of_kind<KIND>::SLOTS > 1 ? cell_of_kind<KIND>::GATES : STRIP;
}

/* ---- forward, all cells ---------------------------------------------------------------------- */

/* A row of a step's drive for the thread's columns, zeros unless it `is_real`. Whole rows at a time
 * where B allows: then the RN columns of a thread are neighbouring samples, all of them real or
 * none. */
template <typename real, int UNITS, int RN>
__device__ static void load_drive_row(const place<UNITS, RN> &at, const real *row, bool whole_rows,
                                      bool is_real, real u[RN]) {
#pragma unroll
    for (int j = 0; j < RN; ++j)
        u[j] = !whole_rows && is_real && at.is_real(j) ? row[at.sample(j)] : (real)0;
    if (whole_rows && is_real && at.is_real(0)) load<real, RN>(row + at.sample(0), u);
}

/* Notes the step, counted from the first recorded one, of columns whose fault is NaN. */
template <typename real, int UNITS, int RN>
__device__ static void note_faults(const problem &p, const place<UNITS, RN> &at,
                                   const real fault[RN], int step, unsigned *nonfinite) {
    if (step < p.warmup) return;
#pragma unroll
    for (int j = 0; j < RN; ++j)
        if (isnan(fault[j])) atomicMin(&nonfinite[at.local + j], (unsigned)(step - p.warmup + 1));
}

/* ---- forward, one gate ----------------------------------------------------------------------- */

/* Of the thread's part of u, a step's drive [H][B], the strip whose first row is its row `first`.
 */
template <typename real, int RM, int RN>
__device__ static void load_drive_strip(const problem &p, const place<RM, RN> &at,
                                        const real *drive, int first, real u[STRIP][RN]) {
    bool const whole_rows = p.batch % RN == 0;
    const real *row = drive + (at.row + first) * p.batch;
#pragma unroll
    for (int i = 0; i < STRIP; ++i, row += p.batch)
        load_drive_row(at, row, whole_rows, at.row + first + i < p.hidden, u[i]);
}

/* h = phi(a) in place of a, and phi' to `slope`. `fault` is NaN afterwards in columns with an h
 * that is not finite. */
template <typename real, int RM, int RN, typename Activation>
__device__ static void activate_rows(Activation phi, int width, bool sloped, real *state,
                                     real *slope, real fault[RN]) {
#pragma unroll 1
    for (int i = 0; i < RM; ++i) {
        real h[RN], gain[RN];
        load<real, RN>(state + i * width, h);
#pragma unroll
        for (int j = 0; j < RN; ++j) {
            phi(h[j], &h[j], &gain[j]);
            fault[j] = add_fault(h[j], fault[j]);
        }
        store<real, RN>(state + i * width, h);
        if (sloped) store<real, RN>(slope + i * width, gain);
    }
}

/* Of a cell that leaks: a is in registers, for h_{t-1} may lie where h is to be. */
template <typename real, int RM, int RN, typename Activation>
__device__ static void activate_leaking(const arrays<real> &a, Activation phi, int width,
                                        bool sloped, const real argument[RM][RN],
                                        const real *before, real *after, real *slope,
                                        real fault[RN]) {
#pragma unroll
    for (int i = 0; i < RM; ++i) {
        real h[RN], gain[RN];
        load<real, RN>(before + i * width, h);
#pragma unroll
        for (int j = 0; j < RN; ++j) {
            real value;
            phi(argument[i][j], &value, &gain[j]);
            h[j] = leaked(a, h[j], value);
            gain[j] = leaked_slope(a, gain[j]);
            fault[j] = add_fault(h[j], fault[j]);
        }
        store<real, RN>(after + i * width, h);
        if (sloped) store<real, RN>(slope + i * width, gain);
    }
}

/* What a thread has of its part of a step forward. */
template <typename real, int RM, int RN, cell_kind KIND> struct forward_part {
    static constexpr int UNITS = RM;
    real scale[RN], u[STRIP][RN]; /* u: the first strip of the drive, on its way in the product */

    /* Before a barrier of the block. */
    __device__ forward_part(const problem &p, const arrays<real> &a, const tiling &,
                            const shared_arrays<real> &, const place<UNITS, RN> &at) {
        at.scales(p, a.scale + at.group * a.scale_stride, scale);
    }

    __device__ void load_drive(const problem &p, const place<UNITS, RN> &at, const real *drive) {
        load_drive_strip<real, RM, RN>(p, at, drive, 0, u);
    }

    /* Ends a step: the thread's part of h = phi(s acc + u) from that `before` to that `after`, and
     * of phi' to `slope`. */
    __device__ void finish(const problem &p, const arrays<real> &a, const tiling &t,
                           const shared_arrays<real> &s, const place<UNITS, RN> &at,
                           const real *drive, real acc[RM][RN], int step, const real *before,
                           real *after, real *slope) {
        int const width = t.width;
        real fault[RN];
        make_arguments(p, at, drive, width, acc, after);
#pragma unroll
        for (int j = 0; j < RN; ++j) fault[j] = 0;
        with_activation(p.cell, p.raw, [&](auto phi) {
            if constexpr (KIND == LEAKY)
                activate_leaking<real, RM, RN>(a, phi, width, p.sloped(), acc, before, after, slope,
                                               fault);
            else
                activate_rows<real, RM, RN>(phi, width, p.sloped(), after, slope, fault);
        });
        note_faults(p, at, fault, step, s.nonfinite);
    }

    /* The same where nothing may go to global memory yet: what keep() takes there later waits in
     * the room of the sums of squares. */
    __device__ void hold(const problem &p, const arrays<real> &a, const tiling &t,
                         const shared_arrays<real> &s, const place<UNITS, RN> &at,
                         const real *drive, real acc[RM][RN], int step, const real *before,
                         real *after) {
        finish(p, a, t, s, at, drive, acc, step, before, after, held_slopes(s, t, at));
    }
    __device__ void keep(const problem &p, const tiling &t, const shared_arrays<real> &s,
                         const place<UNITS, RN> &at, real *slope) {
        if (p.sloped()) keep_part<real, RM, RN>(held_slopes(s, t, at), t.width, slope);
    }

  private:
    /* What phi takes goes through the state, so that a row at a time is in registers and not all of
     * them; of a cell that leaks in the place of the sums. */
    __device__ void make_arguments(const problem &p, const place<UNITS, RN> &at, const real *drive,
                                   int width, real acc[RM][RN], real *state) {
#pragma unroll
        for (int i = 0; i < RM; ++i) {
            if (i > 0 && i % STRIP == 0) load_drive_strip<real, RM, RN>(p, at, drive, i, u);
            real argument[RN];
#pragma unroll
            for (int j = 0; j < RN; ++j) argument[j] = fma(scale[j], acc[i][j], u[i % STRIP][j]);
            if constexpr (KIND == LEAKY)
#pragma unroll
                for (int j = 0; j < RN; ++j) acc[i][j] = argument[j];
            else
                store<real, RN>(state + i * width, argument);
        }
    }

    /* Room for the block's slopes, [rows][width]: the sums are [2][units / STRIP][width] doubles,
     * and no path that holds slopes has more than half of all units in a block. */
    __device__ static real *held_slopes(const shared_arrays<real> &s, const tiling &t,
                                        const place<UNITS, RN> &at) {
        return (real *)s.partial + at.local_row * t.width + at.local;
    }
};

/* ---- forward, several gates ------------------------------------------------------------------ */

/* Every column's scales to shared memory; beyond the last column 0. */
template <typename real, cell_kind KIND, int UNITS, int RN>
__device__ static void share_scales(const problem &p, const arrays<real> &a, const tiling &t,
                                    const shared_arrays<real> &s, const place<UNITS, RN> &at) {
    constexpr int gates = cell_of_kind<KIND>::GATES;
    const real *scale = a.scale + at.group * a.scale_stride;
    if (at.local_row != 0) return;
    for (int g = 0; g < gates; ++g)
#pragma unroll
        for (int j = 0; j < RN; ++j)
            s.scale[g * t.width + at.local + j] =
                at.is_real(j) ? scale[(size_t)((at.column + j) / p.batch) * gates + g] : (real)0;
}

template <typename real, int RM, int RN, cell_kind KIND> struct gated_forward_part {
    using cell = cell_of_kind<KIND>;
    static constexpr int UNITS = RM / GATED_SLOTS;
    real c[UNITS][RN];         /* of an LSTM: its cells never leave the thread */
    real u[GATED_SLOTS][RN];   /* drive of the first unit, on its way in the product */
    real kept[cell::KEPT][RN]; /* coefficients of the last unit that has ended its step */

    __device__ gated_forward_part(const problem &p, const arrays<real> &a, const tiling &t,
                                  const shared_arrays<real> &s, const place<UNITS, RN> &at) {
        share_scales<real, KIND>(p, a, t, s, at);
        if constexpr (cell::STATES == 2)
#pragma unroll
            for (int i = 0; i < UNITS; ++i)
#pragma unroll
                for (int j = 0; j < RN; ++j)
                    c[i][j] = at.sample_value(p, a.start[1] + at.group * a.sheet_stride, i, j);
    }

    __device__ void load_drive(const problem &p, const place<UNITS, RN> &at, const real *drive) {
        load_drive_unit(p, at, drive, 0);
    }

    __device__ void finish(const problem &p, const arrays<real> &a, const tiling &t,
                           const shared_arrays<real> &s, const place<UNITS, RN> &at,
                           const real *drive, const real acc[RM][RN], int step, const real *before,
                           real *after, real *trace) {
#pragma unroll
        for (int i = 0; i < UNITS; ++i) {
            if (i > 0) load_drive_unit(p, at, drive, i);
            end_unit(p, a, t, s, at, acc + i * GATED_SLOTS, i, step, before, after);
            keep_unit(p, t, at, i, trace);
        }
    }

    __device__ void hold(const problem &p, const arrays<real> &a, const tiling &t,
                         const shared_arrays<real> &s, const place<UNITS, RN> &at, const real *,
                         const real acc[RM][RN], int step, const real *before, real *after) {
        static_assert(UNITS == 1, "coefficients of one unit are held in registers");
        end_unit(p, a, t, s, at, acc, 0, step, before, after);
    }
    __device__ void keep(const problem &p, const tiling &t, const shared_arrays<real> &,
                         const place<UNITS, RN> &at, real *trace) {
        keep_unit(p, t, at, 0, trace);
    }

  private:
    __device__ void load_drive_unit(const problem &p, const place<UNITS, RN> &at, const real *drive,
                                    int i) {
        bool const whole_rows = p.batch % RN == 0, is_real = at.row + i < p.hidden;
        const real *row = drive + (at.row + i) * p.batch;
#pragma unroll
        for (int g = 0; g < cell::GATES; ++g, row += p.hidden * p.batch)
            load_drive_row(at, row, whole_rows, is_real, u[g]);
    }

    /* One step of unit i from its sums. */
    __device__ void end_unit(const problem &p, const arrays<real> &a, const tiling &t,
                             const shared_arrays<real> &s, const place<UNITS, RN> &at,
                             const real sum[GATED_SLOTS][RN], int i, int step, const real *before,
                             real *after) {
        real h[RN], argument[GATED_SLOTS][RN], fault[RN];
        load<real, RN>(before + i * t.width, h);
#pragma unroll
        for (int g = 0; g < cell::GATES; ++g) {
            real scale[RN];
            load<real, RN>(s.scale + g * t.width + at.local, scale);
#pragma unroll
            for (int j = 0; j < RN; ++j)
                argument[g][j] = fma(scale[j], sum[g][j], added(p, a, at, i, g, j));
        }
#pragma unroll
        for (int j = 0; j < RN; ++j) {
            real column[GATED_SLOTS], state[2] = {h[j], c[i][j]}, numbers[cell::KEPT];
#pragma unroll
            for (int g = 0; g < cell::GATES; ++g) column[g] = argument[g][j];
            cell::step(p.raw, column, u[RS_GRU_N][j], state, numbers);
            fault[j] = add_fault(state[0], (real)0);
            if constexpr (cell::STATES == 2) fault[j] = add_fault(c[i][j] = state[1], fault[j]);
            h[j] = state[0];
#pragma unroll
            for (int k = 0; k < cell::KEPT; ++k) kept[k][j] = numbers[k];
        }
        store<real, RN>(after + i * t.width, h);
        note_faults(p, at, fault, step, s.nonfinite);
    }

    /* What is added to a gate's product: the drive, but for a GRU's candidate its bias. */
    __device__ real added(const problem &p, const arrays<real> &a, const place<UNITS, RN> &at,
                          int i, int g, int j) const {
        if (KIND != GRU || g != RS_GRU_N) return u[g][j];
        return at.row + i < p.hidden ? a.inside[(size_t)at.group * p.hidden + at.row + i] : (real)0;
    }

    __device__ void keep_unit(const problem &p, const tiling &t, const place<UNITS, RN> &at, int i,
                              real *trace) {
        if (at.row + i >= p.hidden) return;
        trace += i * t.width;
#pragma unroll
        for (int k = 0; k < cell::KEPT; ++k, trace += p.hidden * t.width)
            store<real, RN>(trace, kept[k]);
    }
};

template <typename real, int RM, int RN>
struct forward_part<real, RM, RN, LSTM> : gated_forward_part<real, RM, RN, LSTM> {
    using gated_forward_part<real, RM, RN, LSTM>::gated_forward_part;
};
template <typename real, int RM, int RN>
struct forward_part<real, RM, RN, GRU> : gated_forward_part<real, RM, RN, GRU> {
    using gated_forward_part<real, RM, RN, GRU>::gated_forward_part;
};

/* ---- back, all cells ------------------------------------------------------------------------- */

/* Sums the thread's squares, a strip at a time, into partial [units / STRIP][width]. */
template <typename real, int RM, int RN>
__device__ static void add_squares(const real delta[RM][RN], bool raw, const double *norm_factor,
                                   const place<RM, RN> &at, int width, double *partial) {
    double factor[RN];
#pragma unroll
    for (int j = 0; j < RN; ++j) factor[j] = raw ? norm_factor[at.local + j] : 1.0;
#pragma unroll
    for (int strip = 0; strip < RM / STRIP; ++strip) {
        double sum[RN];
#pragma unroll
        for (int j = 0; j < RN; ++j) {
            sum[j] = 0.0;
#pragma unroll
            for (int i = strip * STRIP; i < (strip + 1) * STRIP; ++i) {
                double const x = raw ? (double)delta[i][j] * factor[j] : (double)delta[i][j];
                sum[j] = fma(x, x, sum[j]);
            }
        }
        store<double, RN>(partial + (at.row / STRIP + strip) * width + at.local, sum);
    }
}

/* What every column adds to delta, and the power of two that it takes out of it. Beyond the tile's
 * last column nothing is added, where numbers are 0. */
template <typename real, int RM, int RN> struct column_part {
    real factor[RN], term[RN];

    __device__ column_part(const place<RM, RN> &at, const shared_arrays<real> &s) {
        load<real, RN>(s.factor + at.local, factor);
        load<real, RN>(s.own + at.local, term);
#pragma unroll
        for (int j = 0; j < RN; ++j)
            if (!at.is_real(j)) term[j] = 0;
    }
};

/* Rows beyond H stay 0. */
template <typename real, int RM, int RN>
__device__ static void clear_beyond(const problem &p, const place<RM, RN> &at, real delta[RM][RN]) {
    if (at.row + RM <= p.hidden) return;
#pragma unroll
    for (int i = 0; i < RM; ++i)
#pragma unroll
        for (int j = 0; j < RN; ++j)
            if (at.row + i >= p.hidden) delta[i][j] = 0;
}

/* Ends a step of column threadIdx.x of the tile: its norms go out, and that of the state as a whole
 * looks after its range. */
template <int STATES, typename real>
__device__ static void end_column(const problem &p, const arrays<real> &a, const tiling &t,
                                  const shared_arrays<real> &s, const double *partial, int group,
                                  int column, bool writes, int step, column_range<real> *range) {
    size_t const row = (size_t)group * p.steps + step - 1;
    double whole = 0.0;
#pragma unroll
    for (int k = 0; k < STATES; ++k) {
        double norm2 = 0.0;
        for (int i = 0; i < t.units / STRIP; ++i)
            norm2 += partial[(k * (t.units / STRIP) + i) * t.width + threadIdx.x];
        whole = k == 0 ? norm2 : whole + norm2;
        if (writes && column < p.columns) a.norm2[(row * STATES + k) * p.columns + column] = norm2;
    }
    if (writes && column < p.columns) a.exponent[row * p.columns + column] = range->exponent;
    column_range_update(range, p.raw, whole);
    s.factor[threadIdx.x] = range->factor;
    s.own[threadIdx.x] = range->own;
    s.norm_factor[threadIdx.x] = range->norm_factor;
}

/* ---- back, one gate -------------------------------------------------------------------------- */

/* The thread's part of phi', to multiply delta with: the same everywhere where phi is linear. */
template <typename real, int RM, int RN, cell_kind KIND>
__device__ static void load_slopes(const problem &p, const arrays<real> &a, const real *slope,
                                   int width, real out[RM][RN]) {
    real const constant = KIND == LEAKY ? a.constant_slope() : (real)1;
#pragma unroll
    for (int i = 0; i < RM; ++i)
        if (p.sloped())
            load<real, RN>(slope + i * width, out[i]);
        else
#pragma unroll
            for (int j = 0; j < RN; ++j) out[i][j] = constant;
}

/* What a thread has of its part of a step back. */
template <typename real, int RM, int RN, cell_kind KIND> struct backward_part {
    /* Whether q lies in the state as it is. Of a cell that leaks it has its scale there, so that
     * the product can be added to what comes past it. */
    static constexpr bool STATE_IS_Q = KIND == PLAIN;
    real scale[RN];

    /* Before a barrier of the block. */
    __device__ backward_part(const problem &p, const arrays<real> &a, const tiling &,
                             const shared_arrays<real> &, const place<RM, RN> &at) {
        at.scales(p, a.scale + at.group * a.scale_stride, scale);
    }

    /* What every step back begins with: the thread's squares into `partial`, and its part of what
     * the product multiplies into `state`; q into the coefficients' place too where it `keeps`
     * them. Leaves in delta what the product is to be added to. `kept` is the step's, from the
     * thread's part on; coefficients are under way while squares are summed. */
    __device__ void begin(const problem &p, const arrays<real> &a, const tiling &t,
                          const shared_arrays<real> &s, const place<RM, RN> &at, real *kept,
                          bool keeps, real delta[RM][RN], double *partial, real *state) {
        real slope[RM][RN];
        load_slopes<real, RM, RN, KIND>(p, a, kept, t.width, slope);
        add_squares<real, RM, RN>(delta, p.raw, s.norm_factor, at, t.width, partial);
#pragma unroll
        for (int i = 0; i < RM; ++i) {
            real q[RN], scaled[RN];
#pragma unroll
            for (int j = 0; j < RN; ++j) {
                q[j] = gated(p.selects(), slope[i][j], delta[i][j]);
                scaled[j] = STATE_IS_Q ? q[j] : scale[j] * q[j];
                delta[i][j] = KIND == LEAKY ? a.keep * delta[i][j] : (real)0;
            }
            store<real, RN>(state + i * t.width, scaled);
            if (keeps) store<real, RN>(kept + i * t.width, q);
        }
    }

    /* delta of the step before, from the product. */
    __device__ void finish(const problem &p, const shared_arrays<real> &s, const place<RM, RN> &at,
                           real delta[RM][RN]) {
        column_part<real, RM, RN> const column(at, s);
#pragma unroll
        for (int j = 0; j < RN; ++j)
#pragma unroll
            for (int i = 0; i < RM; ++i)
                delta[i][j] = STATE_IS_Q
                                  ? fma(scale[j], delta[i][j] * column.factor[j], column.term[j])
                                  : fma(delta[i][j], column.factor[j], column.term[j]);
        clear_beyond<real, RM, RN>(p, at, delta);
    }
};

/* ---- back, several gates --------------------------------------------------------------------- */

template <typename real, int RM, int RN, cell_kind KIND> struct gated_backward_part {
    using cell = cell_of_kind<KIND>;
    static constexpr bool STATE_IS_Q = false;
    real dc[RM][RN]; /* of an LSTM */

    __device__ gated_backward_part(const problem &p, const arrays<real> &a, const tiling &t,
                                   const shared_arrays<real> &s, const place<RM, RN> &at) {
        share_scales<real, KIND>(p, a, t, s, at);
        clear<real, RM, RN>(dc);
    }

    /* The coefficients of the next unit are under way while q of one is stored. */
    __device__ void begin(const problem &p, const arrays<real> &, const tiling &t,
                          const shared_arrays<real> &s, const place<RM, RN> &at, real *kept,
                          bool keeps, real delta[RM][RN], double *partial, real *state) {
        real numbers[cell::KEPT][RN];
        load_unit(p, t, at, kept, 0, numbers);
        add_squares<real, RM, RN>(delta, p.raw, s.norm_factor, at, t.width, partial);
        if constexpr (cell::STATES == 2)
            add_squares<real, RM, RN>(dc, p.raw, s.norm_factor, at, t.width,
                                      partial + t.units / STRIP * t.width);
#pragma unroll
        for (int i = 0; i < RM; ++i) {
            real q[cell::GATES][RN], v[RN];
            back_unit(numbers, delta[i], dc[i], q, v);
            if (i + 1 < RM) load_unit(p, t, at, kept, i + 1, numbers);
            put_unit(t, s, at, q, state + i * cell::GATES * t.width);
            if (keeps && at.row + i < p.hidden) keep_unit(p, t, q, v, kept + i * t.width);
        }
    }

    __device__ void finish(const problem &p, const shared_arrays<real> &s, const place<RM, RN> &at,
                           real delta[RM][RN]) {
        column_part<real, RM, RN> const column(at, s);
#pragma unroll
        for (int i = 0; i < RM; ++i)
#pragma unroll
            for (int j = 0; j < RN; ++j) {
                delta[i][j] = fma(delta[i][j], column.factor[j], column.term[j]);
                if constexpr (cell::STATES == 2) dc[i][j] *= column.factor[j];
            }
        clear_beyond<real, RM, RN>(p, at, delta);
    }

  private:
    /* Beyond H zeros. */
    __device__ static void load_unit(const problem &p, const tiling &t, const place<RM, RN> &at,
                                     const real *kept, int i, real to[cell::KEPT][RN]) {
        bool const is_real = at.row + i < p.hidden;
        kept += i * t.width;
#pragma unroll
        for (int k = 0; k < cell::KEPT; ++k, kept += p.hidden * t.width) {
#pragma unroll
            for (int j = 0; j < RN; ++j) to[k][j] = 0;
            if (is_real) load<real, RN>(kept, to[k]);
        }
    }

    __device__ static void back_unit(const real numbers[cell::KEPT][RN], real dh[RN], real dc[RN],
                                     real q[cell::GATES][RN], real v[RN]) {
#pragma unroll
        for (int j = 0; j < RN; ++j) {
            real column[cell::KEPT], delta[2] = {dh[j], dc[j]}, gates[cell::GATES];
#pragma unroll
            for (int k = 0; k < cell::KEPT; ++k) column[k] = numbers[k][j];
            cell::back(column, delta, gates, &v[j]);
            dh[j] = delta[0];
            if constexpr (cell::STATES == 2) dc[j] = delta[1];
#pragma unroll
            for (int g = 0; g < cell::GATES; ++g) q[g][j] = gates[g];
        }
    }

    /* s q into the state. */
    __device__ static void put_unit(const tiling &t, const shared_arrays<real> &s,
                                    const place<RM, RN> &at, const real q[cell::GATES][RN],
                                    real *state) {
#pragma unroll
        for (int g = 0; g < cell::GATES; ++g) {
            real scaled[RN];
            load<real, RN>(s.scale + g * t.width + at.local, scaled);
#pragma unroll
            for (int j = 0; j < RN; ++j) scaled[j] *= q[g][j];
            store<real, RN>(state + g * t.width, scaled);
        }
    }

    /* q, and v of a GRU's candidate, in the place of coefficients. */
    __device__ static void keep_unit(const problem &p, const tiling &t,
                                     const real q[cell::GATES][RN], const real v[RN], real *kept) {
        static_assert(KIND != GRU || (int)GRU_V_ROW == (int)cell::GATES, "v follows q");
#pragma unroll
        for (int g = 0; g < cell::GATES; ++g, kept += p.hidden * t.width)
            store<real, RN>(kept, q[g]);
        if constexpr (KIND == GRU) store<real, RN>(kept, v);
    }
};

template <typename real, int RM, int RN>
struct backward_part<real, RM, RN, LSTM> : gated_backward_part<real, RM, RN, LSTM> {
    using gated_backward_part<real, RM, RN, LSTM>::gated_backward_part;
};
template <typename real, int RM, int RN>
struct backward_part<real, RM, RN, GRU> : gated_backward_part<real, RM, RN, GRU> {
    using gated_backward_part<real, RM, RN, GRU>::gated_backward_part;
};

#endif
