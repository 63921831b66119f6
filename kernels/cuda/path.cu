#include "path.cuh"

#include "check.cuh"

#include "../base/setting.h"

#include <string.h>

namespace {

/* In the order in which they are asked. */
template <typename real>
const cuda_path<real> *const paths[4] = {&cuda_paths<real>::small, &cuda_paths<real>::cluster,
                                         &cuda_paths<real>::persistent,
                                         &cuda_paths<real>::stepwise};

} // namespace

rs_status ask_limits(int device, device_limits *out) {
    int processors, shared, all_shared, reserved, clusters;
    CUDA_TRY(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device));
    CUDA_TRY(cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
    CUDA_TRY(
        cudaDeviceGetAttribute(&all_shared, cudaDevAttrMaxSharedMemoryPerMultiprocessor, device));
    CUDA_TRY(cudaDeviceGetAttribute(&reserved, cudaDevAttrReservedSharedMemoryPerBlock, device));
    CUDA_TRY(cudaDeviceGetAttribute(&clusters, cudaDevAttrClusterLaunch, device));
    *out = device_limits();
    out->processors = processors;
    out->shared_most = (size_t)shared;
    out->shared_processor = (size_t)all_shared;
    out->shared_reserved = (size_t)reserved;
    return clusters ? ask_clusters(out) : RS_OK;
}

rs_status wanted_path(const char **out) {
    using all = cuda_paths<float>;
    const char *const names[] = {all::small.name, all::cluster.name, all::persistent.name,
                                 all::stepwise.name, NULL};
    return rs_setting("RHOSWEEP_CUDA_PATH", names, out);
}

template <typename real>
rs_status choose_path(const device_limits *limits, const rs_shape *shape,
                      const cuda_path<real> **out) {
    const char *wanted;
    RS_TRY(wanted_path(&wanted));
    for (const cuda_path<real> *candidate : paths<real>) {
        if (wanted ? strcmp(candidate->name, wanted) != 0 : !candidate->suits(limits, shape))
            continue;
        if (!candidate->takes(limits, shape)) continue;
        *out = candidate;
        return RS_OK;
    }
    return rs_fail(
        RS_EINPUT,
        "RHOSWEEP_CUDA_PATH: %s: does not take %zu %s units in %s on this device: use another path "
        "or unset it",
        wanted, shape->hidden, rs_cell_name(shape->cell), rs_precision_name(shape->precision));
}

template rs_status choose_path(const device_limits *, const rs_shape *, const cuda_path<float> **);
template rs_status choose_path(const device_limits *, const rs_shape *, const cuda_path<double> **);

problem problem_of(const rs_shape *shape) {
    problem p;
    p.groups = (int)shape->groups;
    p.radii = (int)shape->radii;
    p.batch = (int)shape->batch;
    p.hidden = (int)shape->hidden;
    p.steps = (int)shape->steps;
    p.warmup = (int)shape->warmup;
    p.transient = (int)shape->transient;
    p.columns = p.radii * p.batch;
    p.gates = (int)gates_of(shape);
    p.states = (int)rs_cell_of(shape->cell)->states;
    p.slots = (int)slots_of(shape);
    p.kept = (int)kept_of(shape);
    p.cell = shape->cell;
    p.raw = shape->raw;
    p.gradients = shape->gradients;
    p.driven = shape->drive != RS_DRIVE_ZERO;
    return p;
}
