#include "parcel.h"

#include <stdlib.h>
#include <string.h>

static rs_status fail_damaged(void) {
    return rs_fail(RS_EIO, "MPI: a message of another rank is damaged");
}

/* ---- launches -------------------------------------------------------------------------------- */

void rs_put_launch(rs_message_out *message, const rs_launch *launch, size_t n_rho) {
    rs_put_whole(message, launch->groups);
    for (size_t g = 0; g < launch->groups; ++g) rs_put_whole(message, launch->index[g]);
    rs_put(message, launch->done, n_rho * sizeof *launch->done);
}

/* Whether all cases are of the plan, and of one shape that allows so many at once. */
static bool is_possible(const rs_launches *launches, const rs_launch *launch) {
    for (size_t g = 0; g < launch->groups; ++g)
        if (launch->index[g] >= launches->plan->n ||
            launches->cut_of[launch->index[g]] != launches->cut_of[launch->index[0]])
            return false;
    return launch->groups <= launches->cut[launches->cut_of[launch->index[0]]].groups;
}

rs_status rs_get_launch(rs_message_in *message, const rs_launches *launches, rs_launch *out) {
    size_t const groups = rs_get_count(message, sizeof(uint64_t));
    out->groups = 0;
    if (groups > launches->groups) return fail_damaged();
    for (size_t g = 0; g < groups; ++g) out->index[g] = (size_t)rs_get_whole(message);
    unsigned char *const done = (unsigned char *)out->done;
    rs_get(message, done, launches->spec->n_rho);
    for (size_t r = 0; r < launches->spec->n_rho; ++r)
        if (done[r] > 1) return fail_damaged();
    if (message->failed) return fail_damaged();
    if (groups == 0) return RS_OK;
    out->groups = groups;
    if (is_possible(launches, out)) {
        rs_launch_fill(launches, out);
        return RS_OK;
    }
    out->groups = 0;
    return fail_damaged();
}

/* ---- results --------------------------------------------------------------------------------- */

/* All of a point but its curves, exponents and singular values. */
static void put_point(rs_message_out *message, const rs_point *point) {
    rs_put_real(message, point->rho_asked);
    rs_put_real(message, point->rho);
    rs_put_real(message, point->g);
    rs_put_real(message, point->decay_rate);
    rs_put(message, &point->forward_nonfinite, sizeof point->forward_nonfinite);
    rs_put(message, &point->range, sizeof point->range);
    rs_put_whole(message, point->has_gradients);
    rs_put(message, point->gradient, sizeof point->gradient);
    rs_put_whole(message, point->lyapunov.qr_every);
    rs_put_real(message, point->lyapunov.log_slope);
    rs_put_real(message, point->lyapunov.sum_rule_residual);
}

static void get_point(rs_message_in *message, rs_point *out) {
    out->rho_asked = rs_get_real(message);
    out->rho = rs_get_real(message);
    out->g = rs_get_real(message);
    out->decay_rate = rs_get_real(message);
    rs_get(message, &out->forward_nonfinite, sizeof out->forward_nonfinite);
    rs_get(message, &out->range, sizeof out->range);
    out->has_gradients = rs_get_whole(message) != 0;
    rs_get(message, out->gradient, sizeof out->gradient);
    out->lyapunov.qr_every = (size_t)rs_get_whole(message);
    out->lyapunov.log_slope = rs_get_real(message);
    out->lyapunov.sum_rule_residual = rs_get_real(message);
}

static void put_task(rs_message_out *message, const rs_launch *launch, const rs_task *task,
                     bool curves) {
    rs_put_whole(message, (uint64_t)task->status);
    rs_put_text(message, task->reason);
    rs_put_real(message, task->forward_seconds);
    rs_put_real(message, task->backward_seconds);
    rs_put_real(message, task->transfer_seconds);
    if (task->status != RS_OK) return;
    for (size_t r = 0; r < launch->radii; ++r) put_point(message, &task->point[r]);
    rs_put(message, task->tangents, rs_task_tangent_length(launch) * sizeof *task->tangents);
    if (curves)
        rs_put(message, task->profiles, rs_task_curve_length(launch) * sizeof *task->profiles);
}

static rs_status get_points(rs_message_in *message, const rs_launch *launch, bool curves,
                            rs_task *out) {
    size_t const length = curves ? rs_task_curve_length(launch) : 0;
    size_t const tangents = rs_task_tangent_length(launch);
    if (length + tangents > message->left / sizeof *out->profiles) return fail_damaged();
    RS_TRY(rs_task_make_points(launch, curves, out));
    for (size_t r = 0; r < launch->radii; ++r) get_point(message, &out->point[r]);
    rs_get(message, out->tangents, tangents * sizeof *out->tangents);
    rs_get(message, out->profiles, length * sizeof *out->profiles);
    return message->failed ? fail_damaged() : RS_OK;
}

static rs_status get_task(rs_message_in *message, const rs_launch *launch, bool curves,
                          rs_task *out) {
    uint64_t const status = rs_get_whole(message);
    const char *const reason = rs_get_text(message);
    if (status >= RS_N_STATUS) return fail_damaged();
    out->status = (rs_status)status;
    out->reason = *reason ? strdup(reason) : NULL;
    out->forward_seconds = rs_get_real(message);
    out->backward_seconds = rs_get_real(message);
    out->transfer_seconds = rs_get_real(message);
    if (message->failed) return fail_damaged();
    return out->status == RS_OK ? get_points(message, launch, curves, out) : RS_OK;
}

void rs_put_work(rs_message_out *message, const rs_work *work, size_t n_rho, bool curves) {
    rs_put_launch(message, &work->launch, n_rho);
    for (size_t g = 0; g < work->launch.groups; ++g)
        put_task(message, &work->launch, &work->task[g], curves);
}

rs_status rs_get_work(rs_message_in *message, const rs_launches *launches, bool curves,
                      rs_work *out) {
    rs_launch *const launch = &out->launch;
    RS_TRY(rs_get_launch(message, launches, launch));
    for (size_t g = 0; g < launch->groups; ++g) out->task[g] = (rs_task){.one = &launch->one[g]};
    for (size_t g = 0; g < launch->groups; ++g)
        RS_TRY(get_task(message, launch, curves, &out->task[g]));
    return RS_OK;
}

void rs_put_radii(rs_message_out *message, const rs_kept_radius *kept, size_t n) {
    rs_put_whole(message, n);
    rs_put(message, kept, n * sizeof *kept);
}
