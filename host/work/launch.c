#include "launch.h"

#include "weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- cuts ------------------------------------------------------------------------------------ */

double rs_launch_work(const rs_case *one, size_t radii) {
    double const h = (double)one->hidden, columns = (double)(radii * one->batch);
    double const gates = (double)rs_cell_of(one->cell)->gates;
    double const steps = (double)(one->steps + one->warmup);
    double const carried = (double)(one->steps + one->tangents.transient);
    double const products = steps + (double)one->tangents.directions * carried;
    return gates * h * h * products * columns;
}

/* Cases of the shape of the first that a launch should hold to fill the device. */
static size_t wanted_groups(const rs_launches *l, size_t first, const rs_device *device) {
    rs_case const one = rs_plan_case(l->plan, first);
    size_t const columns = l->spec->n_rho * one.batch;
    size_t wanted = (device->columns_wanted + columns - 1) / columns;
    double const work = rs_launch_work(&one, l->spec->n_rho);
    if (device->work_wanted > 0.0 && (double)wanted * work > device->work_wanted)
        wanted = (size_t)ceil(device->work_wanted / work);
    size_t same = 1;
    for (size_t i = first + 1; i < l->plan->n && same < wanted; ++i) {
        rs_case const other = rs_plan_case(l->plan, i);
        same += !l->taken[i] && rs_case_same_shape(&one, &other);
    }
    return same;
}

/* Where cases of one shape first appear, and how they are cut. */
typedef struct shapes {
    const rs_engine *engine;
    size_t index; /* of the device */
    const rs_device *device;
    const rs_resources *resources;
    uint64_t memory;
    size_t *first; /* [n] case that the cut was made for */
    size_t n, room;
} shapes;

static rs_status make_room(rs_launches *l, shapes *s) {
    if (s->n < s->room) return RS_OK;
    size_t const room = s->room ? 2 * s->room : 16;
    rs_cut *cut = realloc(l->cut, room * sizeof *cut);
    if (cut) l->cut = cut;
    size_t *first = realloc(s->first, room * sizeof *first);
    if (first) s->first = first;
    if (!cut || !first) return rs_fail(RS_EMEMORY, "plan: no memory for %zu shapes", room);
    s->room = room;
    return RS_OK;
}

static rs_status cut_shape(rs_launches *l, shapes *s, size_t i) {
    RS_TRY(make_room(l, s));
    rs_case const one = rs_plan_case(l->plan, i);
    rs_shape whole = rs_case_shape(&one, l->spec->n_rho);
    whole.groups = wanted_groups(l, i, s->device);
    rs_cut cut;
    RS_TRY(rs_plan_cut(s->engine, s->index, s->resources, &whole, s->device->on_host,
                       rs_weights_making_bytes(&one), s->memory, &cut));
    if (cut.groups > l->groups) l->groups = cut.groups;
    if (cut.making_bytes > l->most_making_bytes) l->most_making_bytes = cut.making_bytes;
    if (cut.host_bytes > l->most_host_bytes) l->most_host_bytes = cut.host_bytes;
    if (s->n == 0 || cut.engine_bytes > l->most_engine_bytes) {
        l->most_engine_bytes = cut.engine_bytes;
        l->largest = whole;
        l->largest.groups = cut.groups;
        l->largest.radii = cut.radii;
        l->largest.batch = cut.batch;
    }
    s->first[s->n] = i;
    l->cut[s->n++] = cut;
    return RS_OK;
}

/* Shapes follow each other in the same order again and again, so the search starts behind the last
 * one. */
static rs_status find_cut(rs_launches *l, shapes *s, size_t i, size_t *at) {
    rs_case const one = rs_plan_case(l->plan, i);
    for (size_t k = 1; k <= s->n; ++k) {
        size_t const next = (*at + k) % s->n;
        rs_case const first = rs_plan_case(l->plan, s->first[next]);
        if (!rs_case_same_shape(&first, &one)) continue;
        *at = next;
        return RS_OK;
    }
    RS_TRY(cut_shape(l, s, i));
    *at = s->n - 1;
    return RS_OK;
}

/* Those of other shards count as taken. */
static void take_shard(rs_launches *l) {
    for (size_t i = 0; i < l->plan->n; ++i) {
        l->taken[i] = !rs_plan_in_shard(l->plan, i);
        l->cases += !l->taken[i];
    }
}

/* A shard without cases takes a cut for the first of all: its engine is opened too. */
static rs_status cut_all(rs_launches *l, shapes *s) {
    size_t at = 0;
    for (size_t i = 0; i < l->plan->n; ++i) {
        if (l->taken[i] && (i > 0 || l->cases > 0)) continue;
        RS_TRY(find_cut(l, s, i, &at));
        l->cut_of[i] = (uint32_t)at;
    }
    return RS_OK;
}

rs_status rs_launches_make(const rs_engine *engine, size_t index, const rs_device *device,
                           const rs_resources *resources, uint64_t memory, const rs_spec *spec,
                           const rs_plan *plan, rs_launches *out) {
    *out = (rs_launches){.spec = spec, .plan = plan};
    out->cut_of = calloc(plan->n, sizeof *out->cut_of);
    out->done = calloc(plan->n, spec->n_rho * sizeof *out->done);
    out->taken = calloc(plan->n, sizeof *out->taken);
    if (!out->cut_of || !out->done || !out->taken)
        return rs_fail(RS_EMEMORY, "plan: no memory for %zu cases", plan->n);
    shapes s = {.engine = engine,
                .index = index,
                .device = device,
                .resources = resources,
                .memory = memory};
    take_shard(out);
    rs_status const status = cut_all(out, &s);
    out->n_cuts = s.n;
    free(s.first);
    return status;
}

void rs_launches_free(rs_launches *launches) {
    free(launches->cut);
    free(launches->cut_of);
    free(launches->done);
    free(launches->taken);
    *launches = (rs_launches){0};
}

/* ---- launches -------------------------------------------------------------------------------- */

size_t rs_launches_missing(const rs_launches *launches, size_t i) {
    size_t const n_rho = launches->spec->n_rho;
    size_t missing = 0;
    for (size_t r = 0; r < n_rho; ++r) missing += !launches->done[i * n_rho + r];
    return missing;
}

rs_status rs_launch_make(const rs_launches *launches, rs_launch *out) {
    *out = (rs_launch){.one = calloc(launches->groups, sizeof *out->one),
                       .index = calloc(launches->groups, sizeof *out->index),
                       .done = calloc(launches->spec->n_rho, sizeof *out->done),
                       .rho = calloc(launches->spec->n_rho, sizeof *out->rho),
                       .scale = calloc(launches->spec->n_rho, RS_MAX_GATES * sizeof *out->scale)};
    if (out->one && out->index && out->done && out->rho && out->scale) return RS_OK;
    return rs_fail(RS_EMEMORY, "sweep: no memory for a launch of %zu cases", launches->groups);
}

void rs_launch_free(rs_launch *launch) {
    free(launch->one);
    free(launch->index);
    free(launch->done);
    free(launch->rho);
    free(launch->scale);
    *launch = (rs_launch){0};
}

static void take_radii(const rs_spec *spec, rs_launch *out) {
    const rs_case *one = &out->one[0];
    size_t const gates = rs_cell_of(one->cell)->gates;
    out->radii = 0;
    for (size_t r = 0; r < spec->n_rho; ++r) {
        if (out->done[r]) continue;
        out->rho[out->radii] = spec->native ? NAN : spec->rho[r];
        for (size_t k = 0; k < gates; ++k)
            out->scale[out->radii * gates + k] = rs_weights_scale(one, spec->rho[r], k);
        ++out->radii;
    }
}

/* The first launch is of one case, so that the engine starts soon; each may then double what came
 * before. */
static size_t most_groups(const rs_launches *l, const rs_cut *cut) {
    size_t const most = l->handed_out ? l->handed_out : 1;
    return most < cut->groups ? most : cut->groups;
}

static void take_cases(rs_launches *l, size_t first, rs_launch *out) {
    size_t const n_rho = l->spec->n_rho, most = most_groups(l, &l->cut[l->cut_of[first]]);
    const bool *done = l->done + first * n_rho;
    out->groups = 0;
    for (size_t i = first; i < l->plan->n && out->groups < most; ++i) {
        if (l->taken[i] || l->cut_of[i] != l->cut_of[first] ||
            memcmp(done, l->done + i * n_rho, n_rho * sizeof *done) != 0)
            continue;
        l->taken[i] = true;
        out->index[out->groups++] = i;
    }
    l->handed_out += out->groups;
}

rs_shape rs_launch_piece(const rs_launch *launch, size_t groups) {
    rs_shape piece = launch->whole;
    piece.groups = groups;
    if (piece.radii > launch->cut->radii) piece.radii = launch->cut->radii;
    piece.batch = launch->cut->batch;
    return piece;
}

static uint64_t host_bytes(const rs_launch *launch) {
    rs_shape const piece = rs_launch_piece(launch, launch->groups);
    return rs_plan_host_bytes(&piece, &launch->whole);
}

void rs_launch_fill(const rs_launches *l, rs_launch *launch) {
    launch->cut = &l->cut[l->cut_of[launch->index[0]]];
    for (size_t g = 0; g < launch->groups; ++g)
        launch->one[g] = rs_plan_case(l->plan, launch->index[g]);
    take_radii(l->spec, launch);
    launch->whole = rs_case_shape(&launch->one[0], launch->radii);
    launch->host_bytes = host_bytes(launch);
}

bool rs_launches_next(rs_launches *l, rs_launch *out) {
    size_t const n_rho = l->spec->n_rho;
    while (l->first < l->plan->n && (l->taken[l->first] || rs_launches_missing(l, l->first) == 0))
        ++l->first;
    if (l->first == l->plan->n) return false;
    take_cases(l, l->first, out);
    memcpy(out->done, l->done + l->first * n_rho, n_rho * sizeof *out->done);
    rs_launch_fill(l, out);
    return true;
}

static size_t pieces(size_t whole, size_t piece) { return (whole + piece - 1) / piece; }

bool rs_launch_chunk(const rs_launch *launch, size_t k, rs_chunk *out) {
    const rs_cut *cut = launch->cut;
    size_t const across = pieces(launch->whole.batch, cut->batch);
    size_t const r = k / across * cut->radii, b = k % across * cut->batch;
    if (r >= launch->radii) return false;
    size_t const radii = launch->radii - r, batch = launch->whole.batch - b;
    *out = (rs_chunk){r, radii < cut->radii ? radii : cut->radii, b,
                      batch < cut->batch ? batch : cut->batch};
    return true;
}
