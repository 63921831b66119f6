/* The ways a piece can be run. Each path is a pair of launches (or graphs) over the same arrays;
 * engine.cu chooses by shape and does all that the paths have in common. */
#ifndef RS_CUDA_PATH_CUH
#define RS_CUDA_PATH_CUH

#include "problem.cuh"

#include "../base/status.h"

/* Rows of packed weights are at most this much longer than the numbers in them. */
enum { MOST_PADDING = 72 };

/* Blocks of a cluster, which every device that has clusters takes, and blocks of it that are
 * counted on one processor. */
enum { MOST_CLUSTER = 8, MOST_TOGETHER = 4 };

struct device_limits {
    int processors;          /* streaming multiprocessors */
    size_t shared_most;      /* shared memory that a block may ask for */
    size_t shared_processor; /* that a processor has for all its blocks, */
    size_t shared_reserved;  /* and takes from it for each */

    /* [i][j]: clusters of 2^i blocks that run at once where 2^j blocks share a processor; 0 where
     * such clusters cannot run. */
    int clusters_at_once[4][3];
};

/* What a path needs to know and keep between passes. */
struct path_context {
    device_limits limits;
    cudaStream_t stream;
    void *state;                          /* a path's own, made when it is first run */
    void (*close)(path_context *context); /* frees it */
};

/* A path in one precision; shapes are of that precision. */
template <typename real> struct cuda_path {
    const char *name; /* for RHOSWEEP_CUDA_PATH */

    /* Whether the path can run such a piece at all. */
    bool (*takes)(const device_limits *limits, const rs_shape *shape);

    /* Whether it is the one to choose, unless a path before it is. */
    bool (*suits)(const device_limits *limits, const rs_shape *shape);

    /* Row length of the weights as they are packed for either pass: that of its product's sums, or
     * up to MOST_PADDING more. */
    int (*padded)(const device_limits *limits, const rs_shape *shape, bool back);

    /* Numbers of a sheet of the coefficients, of kept_of() H rows, or of the history, of H: a step
     * of all groups; never fewer when a size grows. And how they are laid out. */
    uint64_t (*sheet)(const device_limits *limits, const rs_shape *shape, size_t rows);
    trace_strides (*strides)(const device_limits *limits, const rs_shape *shape, size_t rows);

    /* Bytes of whatever else the path keeps. */
    uint64_t (*scratch_bytes)(const rs_shape *shape);

    /* Both passes, queued on the stream. */
    rs_status (*forward)(path_context *context, const rs_shape *shape, const arrays<real> &a);
    rs_status (*backward)(path_context *context, const rs_shape *shape, const arrays<real> &a);
};

/* Of the current device. */
rs_status ask_limits(int device, device_limits *out);

/* The part about clusters, of a device that has them: clusters_at_once is zero before. */
rs_status ask_clusters(device_limits *limits);

/* The name of the path in RHOSWEEP_CUDA_PATH, or NULL. RS_EINPUT where it names none. */
rs_status wanted_path(const char **out);

/* The path that RHOSWEEP_CUDA_PATH names, or the first that suits the shape. RS_EINPUT where the
 * named one does not take it. */
template <typename real>
rs_status choose_path(const device_limits *limits, const rs_shape *shape,
                      const cuda_path<real> **out);

/* Each is defined in the file of its name. */
template <typename real> struct cuda_paths {
    static const cuda_path<real> small, cluster, persistent, stepwise;
};

problem problem_of(const rs_shape *shape);

static inline uint64_t no_scratch(const rs_shape *) { return 0; }

#endif
