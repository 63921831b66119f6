/* Read-out and loss: against finite differences, what is known of them, and far out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../host/train/readout.h"

#include <math.h>
#include <string.h>

enum { HIDDEN = 5, MOST_OUTPUTS = 4, STATES = 6 };

/* Numbers of a read-out and what comes of it. */
typedef struct problem {
    rs_readout of;
    double weight[MOST_OUTPUTS * HIDDEN], bias[MOST_OUTPUTS], state[STATES * HIDDEN];
    double target[STATES];
    double d_weight[MOST_OUTPUTS * HIDDEN], d_bias[MOST_OUTPUTS], d_state[STATES * HIDDEN];
    double y[MOST_OUTPUTS];
} problem;

static void start(rs_criterion criterion, size_t outputs, problem *p) {
    memset(p, 0, sizeof *p);
    for (size_t i = 0; i < sizeof p->weight / sizeof *p->weight; ++i)
        p->weight[i] = sin(1.0 + 3.0 * (double)i);
    for (size_t i = 0; i < MOST_OUTPUTS; ++i) p->bias[i] = 0.3 * cos((double)i);
    for (size_t i = 0; i < sizeof p->state / sizeof *p->state; ++i)
        p->state[i] = cos(2.0 + 5.0 * (double)i);
    for (size_t i = 0; i < STATES; ++i)
        p->target[i] = criterion == RS_CROSS_ENTROPY ? (double)(i % outputs) : 0.2 * (double)i;
    p->of = (rs_readout){criterion, HIDDEN, outputs, p->weight, p->bias};
}

static rs_readout_result run(problem *p, bool gradients) {
    rs_readout_result r = {.y = p->y};
    if (gradients) {
        r.weight = p->d_weight;
        r.bias = p->d_bias;
        r.state = p->d_state;
    }
    rs_readout_run(&p->of, STATES, p->state, p->target, &r);
    return r;
}

/* dL/dx of n numbers of the problem, by central differences. */
static void expect_gradient(problem *p, double *x, const double *gradient, size_t n) {
    double const h = 1e-5;
    for (size_t i = 0; i < n; ++i) {
        double const here = x[i];
        x[i] = here + h;
        double const up = run(p, false).loss;
        x[i] = here - h;
        double const down = run(p, false).loss;
        x[i] = here;
        assert_true(fabs((up - down) / (2.0 * h) - gradient[i]) < 1e-9);
    }
}

static void gradients_are_those_of_the_loss(void **state) {
    (void)state;
    for (rs_criterion criterion = RS_SQUARED_ERROR; criterion <= RS_CROSS_ENTROPY; ++criterion) {
        size_t const outputs = criterion == RS_CROSS_ENTROPY ? MOST_OUTPUTS : 1;
        problem p;
        start(criterion, outputs, &p);
        double const loss = run(&p, true).loss;
        assert_true(loss == run(&p, false).loss);
        expect_gradient(&p, p.weight, p.d_weight, outputs * HIDDEN);
        expect_gradient(&p, p.bias, p.d_bias, outputs);
        expect_gradient(&p, p.state, p.d_state, sizeof p.state / sizeof *p.state);
    }
}

/* Without weights softmax knows nothing: ln O, and the first class is chosen. */
static void no_weights_know_nothing(void **state) {
    (void)state;
    problem p;
    start(RS_CROSS_ENTROPY, MOST_OUTPUTS, &p);
    memset(p.weight, 0, sizeof p.weight);
    memset(p.bias, 0, sizeof p.bias);
    rs_readout_result const r = run(&p, true);
    assert_true(fabs(r.loss - log(MOST_OUTPUTS)) < 1e-15);
    assert_true(fabs(r.wrong - 4.0 / STATES) < 1e-15); /* targets 0 1 2 3 0 1 */
    for (size_t i = 0; i < sizeof p.state / sizeof *p.state; ++i) assert_true(p.d_state[i] == 0.0);
}

static void numbers_are_wrong_from_a_distance_on(void **state) {
    (void)state;
    problem p;
    start(RS_SQUARED_ERROR, 1, &p);
    memset(p.weight, 0, sizeof p.weight);
    p.bias[0] = 1.0;
    static const double target[STATES] = {1.0, 1.03, 0.97, 1.05, 0.95, 3.0};
    memcpy(p.target, target, sizeof target);
    rs_readout_result const r = run(&p, true);
    assert_true(fabs(r.loss - (2.0 * 0.0009 + 2.0 * 0.0025 + 4.0) / STATES) < 1e-12);
    assert_true(fabs(r.wrong - 3.0 / STATES) < 1e-15);
    assert_true(fabs(p.d_bias[0] - 2.0 * -2.0 / STATES) < 1e-12);
}

/* e^y would overflow, or leave nothing of the others. */
static void far_out_the_loss_is_right(void **state) {
    (void)state;
    problem p;
    start(RS_CROSS_ENTROPY, 2, &p);
    memset(p.weight, 0, sizeof p.weight);
    for (size_t i = 0; i < STATES; ++i) p.target[i] = 1.0;
    p.bias[0] = 1e300;
    p.bias[1] = 0.0;
    assert_true(fabs(run(&p, true).loss / 1e300 - 1.0) < 1e-15);
    assert_true(fabs(p.d_bias[0] - 1.0) < 1e-15 && fabs(p.d_bias[1] + 1.0) < 1e-15);
    p.bias[0] = -800.0;
    rs_readout_result const r = run(&p, true);
    assert_true(r.loss == 0.0 && r.wrong == 0.0);
    p.bias[0] = 50.0;
    p.bias[1] = 0.0;
    assert_true(fabs(run(&p, true).loss - 50.0) < 1e-13);
    p.bias[1] = NAN;
    assert_true(isnan(run(&p, false).loss) && run(&p, false).wrong == 1.0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_those_of_the_loss),
        cmocka_unit_test(no_weights_know_nothing),
        cmocka_unit_test(numbers_are_wrong_from_a_distance_on),
        cmocka_unit_test(far_out_the_loss_is_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
