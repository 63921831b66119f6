#include "readout.h"

#include <math.h>
#include <string.h>

/* Numbers further off are wrong. */
static double const most_off = 0.04;

static void multiply(const rs_readout *of, const double *h, double *y) {
    for (size_t o = 0; o < of->outputs; ++o) {
        const double *w = of->weight + o * of->hidden;
        double sum = of->bias[o];
        for (size_t i = 0; i < of->hidden; ++i) sum += w[i] * h[i];
        y[o] = sum;
    }
}

/* ---- criteria: the loss of one state, whether it is wrong, and dL/dy in the place of y ---------
 */

static double squared_error(size_t outputs, double target, double *y, bool *wrong) {
    double sum = 0.0;
    *wrong = false;
    for (size_t o = 0; o < outputs; ++o) {
        double const off = y[o] - target;
        if (!(fabs(off) < most_off)) *wrong = true;
        sum += off * off;
        y[o] = 2.0 * off / (double)outputs;
    }
    return sum / (double)outputs;
}

static size_t index_of_largest(size_t n, const double *x) {
    size_t best = 0;
    for (size_t i = 1; i < n; ++i)
        if (x[i] > x[best]) best = i;
    return best;
}

/* -ln softmax(y)_target = ln sum e^(y_o - y_target), with the largest y taken out. */
static double cross_entropy(size_t outputs, double target, double *y, bool *wrong) {
    size_t const class = (size_t)target, largest = index_of_largest(outputs, y);
    double const most = y[largest], own = y[class] - most;
    double sum = 0.0;
    for (size_t o = 0; o < outputs; ++o) sum += exp(y[o] - most);
    for (size_t o = 0; o < outputs; ++o) y[o] = exp(y[o] - most) / sum - (o == class ? 1.0 : 0.0);
    *wrong = largest != class || !isfinite(most);
    return log(sum) - own;
}

/* ---- gradients ------------------------------------------------------------------------------ */

/* Adds those of one state, from dL/dy. */
static void add_gradients(const rs_readout *of, const double *h, const double *dy, double *dh,
                          const rs_readout_result *out) {
    memset(dh, 0, of->hidden * sizeof *dh);
    for (size_t o = 0; o < of->outputs; ++o) {
        const double *w = of->weight + o * of->hidden;
        double *const dw = out->weight + o * of->hidden;
        out->bias[o] += dy[o];
        for (size_t i = 0; i < of->hidden; ++i) {
            dw[i] += dy[o] * h[i];
            dh[i] += w[i] * dy[o];
        }
    }
}

void rs_readout_run(const rs_readout *of, size_t states, const double *state, const double *target,
                    rs_readout_result *out) {
    double const share = 1.0 / (double)states;
    size_t wrong = 0;
    out->loss = 0.0;
    if (out->weight) {
        memset(out->weight, 0, of->outputs * of->hidden * sizeof *out->weight);
        memset(out->bias, 0, of->outputs * sizeof *out->bias);
    }
    for (size_t s = 0; s < states; ++s) {
        const double *h = state + s * of->hidden;
        bool is_wrong;
        multiply(of, h, out->y);
        out->loss += share * (of->criterion == RS_SQUARED_ERROR
                                  ? squared_error(of->outputs, target[s], out->y, &is_wrong)
                                  : cross_entropy(of->outputs, target[s], out->y, &is_wrong));
        wrong += is_wrong;
        if (!out->weight) continue;
        for (size_t o = 0; o < of->outputs; ++o) out->y[o] *= share;
        add_gradients(of, h, out->y, out->state + s * of->hidden, out);
    }
    out->wrong = share * (double)wrong;
}
