/* One step of a unit of each cell, forward and back, by the formulas of kernels/cell.h: every path
 * calls these.
 *
 * On the way back everything is linear in delta. A step forward keeps the coefficients, and no
 * exponential is left for the way back. With delta = (dL/dh_t, dL/dc_t), and in this order:
 *
 *     lstm   i f g o   B_i = g sigma'_i, B_f = c_{t-1} sigma'_f, B_g = i tanh'_g,
 *                      B_o = tanh(c_t) sigma'_o
 *            4         A = o tanh'(c_t)
 *            5         f
 *                      total = dc + dh A,  q_k = total B_k,  q_o = dh B_o,  dc_{t-1} = total f
 *
 *     gru    r z n     C_r = m p_n sigma'_r, C_z = (h_{t-1} - n) sigma'_z,
 *                      C_n = m = (1 - z) tanh'_n
 *            3         r
 *            4         z
 *                      q_r = dh C_r,  q_z = dh C_z,  v_n = dh C_n,  q_n = v_n r,
 *                      dh_{t-1} = dh z + ..
 *
 * With gradients q takes the place of the first K, and v_n, which is dL/du where q_n is dL/dp, that
 * of r. */
#ifndef RS_CUDA_CELLS_CUH
#define RS_CUDA_CELLS_CUH

#include "math.cuh"
#include "problem.cuh"

/* Where a GRU's v_n is written among its coefficients. */
enum { GRU_V_ROW = RS_GRU_N + 1 };

/* ---- one gate -------------------------------------------------------------------------------- */

/* h_t of a cell that leaks, from h_{t-1} and phi(a_t); and dL/da by delta, from phi'(a_t). */
template <typename real>
__device__ inline real leaked(const arrays<real> &a, real before, real phi) {
    return fma(a.keep, before, a.leak * phi);
}
template <typename real> __device__ inline real leaked_slope(const arrays<real> &a, real slope) {
    return a.leak * slope;
}

/* Kernels for these choose phi themselves. */
struct plain {
    static constexpr int GATES = 1, SLOTS = 1, STATES = 1, KEPT = PLAIN_KEPT;
};

/* ---- several gates --------------------------------------------------------------------------- */

/* A gate and its slope; those of a raw pass are made from the value alone. */
template <typename real> __device__ inline gate_values<real> sigmoid(bool raw, real a) {
    gate_values<real> g = gate_of(a);
    if (!raw) return g;
    g.shut = 1 - g.open;
    g.slope = g.open * g.shut;
    return g;
}

template <typename real> __device__ inline void squash(bool raw, real a, real *h, real *slope) {
    tanh_and_slope(a, h, slope);
    if (raw) *slope = 1 - *h * *h;
}

/* What kernels for cells with several gates are made of. step() takes a_k = p_k + u_k, but of gate
 * INSIDE p_k with its bias, and u_k apart; the state before, (h, c), gives way to the one after.
 * back() takes delta and the coefficients; it gives q of all gates, dL/du of a GRU's candidate, and
 * in the place of delta what reaches the state before by other ways than the product. */
struct lstm {
    static constexpr int GATES = 4, SLOTS = GATED_SLOTS, STATES = 2, KEPT = LSTM_KEPT;
    static constexpr int INSIDE = -1;

    template <typename real>
    __device__ static void step(bool raw, const real a[GATES], real, real state[STATES],
                                real kept[KEPT]) {
        gate_values<real> const in = sigmoid(raw, a[RS_LSTM_I]);
        gate_values<real> const forget = sigmoid(raw, a[RS_LSTM_F]);
        gate_values<real> const out = sigmoid(raw, a[RS_LSTM_O]);
        real g, g_slope, squashed, c_slope;
        squash(raw, a[RS_LSTM_G], &g, &g_slope);
        kept[RS_LSTM_I] = g * in.slope;
        kept[RS_LSTM_F] = state[1] * forget.slope;
        kept[RS_LSTM_G] = in.open * g_slope;
        state[1] = fma(forget.open, state[1], in.open * g);
        squash(raw, state[1], &squashed, &c_slope);
        kept[RS_LSTM_O] = squashed * out.slope;
        kept[4] = out.open * c_slope;
        kept[5] = forget.open;
        state[0] = out.open * squashed;
    }

    template <typename real>
    __device__ static void back(const real kept[KEPT], real delta[STATES], real q[GATES], real *) {
        real const total = fma(delta[0], kept[4], delta[1]);
        q[RS_LSTM_I] = total * kept[RS_LSTM_I];
        q[RS_LSTM_F] = total * kept[RS_LSTM_F];
        q[RS_LSTM_G] = total * kept[RS_LSTM_G];
        q[RS_LSTM_O] = delta[0] * kept[RS_LSTM_O];
        delta[0] = 0;
        delta[1] = total * kept[5];
    }
};

struct gru {
    static constexpr int GATES = 3, SLOTS = GATED_SLOTS, STATES = 1, KEPT = GRU_KEPT;
    static constexpr int INSIDE = RS_GRU_N;

    template <typename real>
    __device__ static void step(bool raw, const real a[GATES], real u_n, real state[STATES],
                                real kept[KEPT]) {
        gate_values<real> const reset = sigmoid(raw, a[RS_GRU_R]), keep = sigmoid(raw, a[RS_GRU_Z]);
        real n, n_slope;
        squash(raw, fma(reset.open, a[RS_GRU_N], u_n), &n, &n_slope);
        kept[RS_GRU_N] = keep.shut * n_slope;
        kept[RS_GRU_R] = kept[RS_GRU_N] * a[RS_GRU_N] * reset.slope;
        kept[RS_GRU_Z] = (state[0] - n) * keep.slope;
        kept[GRU_V_ROW] = reset.open;
        kept[4] = keep.open;
        state[0] = fma(keep.open, state[0], keep.shut * n);
    }

    template <typename real>
    __device__ static void back(const real kept[KEPT], real delta[STATES], real q[GATES],
                                real *v_n) {
        *v_n = delta[0] * kept[RS_GRU_N];
        q[RS_GRU_R] = delta[0] * kept[RS_GRU_R];
        q[RS_GRU_Z] = delta[0] * kept[RS_GRU_Z];
        q[RS_GRU_N] = *v_n * kept[GRU_V_ROW];
        delta[0] *= kept[4];
    }
};

/* ---- kinds of cells -------------------------------------------------------------------------- */

/* What kernels are compiled for. A cell with one gate that leaks is a kind of its own, so that
 * others need no registers for it. */
enum cell_kind { PLAIN, LEAKY, LSTM, GRU };

template <cell_kind KIND> struct cell_of_kind : plain {};
template <> struct cell_of_kind<LSTM> : lstm {};
template <> struct cell_of_kind<GRU> : gru {};

template <cell_kind KIND> constexpr bool is_gated = cell_of_kind<KIND>::GATES > 1;

static inline cell_kind kind_of(const rs_shape *shape) {
    if (shape->cell == RS_LSTM) return LSTM;
    if (shape->cell == RS_GRU) return GRU;
    return shape->leak > 0.0 ? LEAKY : PLAIN;
}

/* ---- a unit beside the product --------------------------------------------------------------- */

/* delta_{t-1} of one column's unit: from the product of s_g q_g, from what back() has left in the
 * place of delta_t (`carried`: the one number of it that is not always 0), from the power of two
 * that has been taken out since, and from the loss's own term. */
template <typename Cell, typename real>
__device__ inline void delta_before(real product, real carried, real factor, real own,
                                    real delta[Cell::STATES]) {
    if (Cell::STATES > 1) {
        delta[0] = fma(product, factor, own);
        delta[Cell::STATES - 1] = carried * factor;
    } else {
        delta[0] = fma(product, factor, fma(carried, factor, own));
    }
}

/* A step of one column's unit, from the sums of its gates. `inside`: the bias of gate INSIDE's
 * product. */
template <typename Cell, typename real>
__device__ inline void step_unit(bool raw, const real sum[Cell::GATES],
                                 const real scale[Cell::GATES], const real u[Cell::GATES],
                                 real inside, real state[Cell::STATES], real kept[Cell::KEPT]) {
    real a[Cell::GATES];
#pragma unroll
    for (int k = 0; k < Cell::GATES; ++k)
        a[k] = fma(scale[k], sum[k], k == Cell::INSIDE ? inside : u[k]);
    Cell::step(raw, a, u[Cell::INSIDE < 0 ? 0 : Cell::INSIDE], state, kept);
}

#endif
