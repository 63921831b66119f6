#include "record.h"

#include "base/sizes.h"

#include <stdlib.h>

/* Numbers of an array each. */
typedef struct counts {
    uint64_t norms, exponents, columns, gradients;
    uint64_t tangents, stretches, singular; /* columns with tangents; numbers of all of them */
} counts;

static counts count(const rs_shape *shape) {
    uint64_t const networks = rs_size_mul(shape->groups, shape->radii);
    uint64_t const columns = rs_size_mul(networks, shape->batch);
    uint64_t const steps = rs_size_mul(columns, shape->steps);
    uint64_t const tangents = shape->directions > 0 ? columns : 0;
    uint64_t const stretches = rs_size_mul(tangents, shape->directions);
    return (counts){.norms = rs_size_mul(steps, rs_cell_of(shape->cell)->states),
                    .exponents = steps,
                    .columns = columns,
                    .gradients = shape->gradients ? rs_size_mul(networks, RS_N_GRADIENT) : 0,
                    .tangents = tangents,
                    .stretches = rs_size_mul(stretches, RS_STRETCH_BLOCKS),
                    .singular = rs_size_mul(stretches, shape->n_singular)};
}

uint64_t rs_record_bytes(const rs_shape *shape) {
    counts const n = count(shape);
    uint64_t const norms = rs_size_mul(rs_size_add(n.norms, n.gradients), sizeof(double));
    uint64_t const exponents = rs_size_mul(rs_size_add(n.exponents, n.gradients), sizeof(int32_t));
    uint64_t const steps = rs_size_add(n.columns, n.tangents);
    uint64_t const stretches = rs_size_add(rs_size_add(n.stretches, n.singular), n.tangents);
    return rs_size_add(
        rs_size_add(rs_size_add(norms, exponents), rs_size_mul(steps, sizeof(uint32_t))),
        rs_size_mul(stretches, sizeof(double)));
}

/* NULL for none, and where there is no memory. */
static void *allocate(uint64_t count, size_t size) {
    return count > 0 && count < SIZE_MAX ? calloc((size_t)count, size) : NULL;
}

rs_status rs_record_make(const rs_shape *shape, rs_record *out) {
    counts const n = count(shape);
    *out = (rs_record){.norm2 = allocate(n.norms, sizeof *out->norm2),
                       .exponent = allocate(n.exponents, sizeof *out->exponent),
                       .nonfinite_step = allocate(n.columns, sizeof *out->nonfinite_step),
                       .gradient2 = allocate(n.gradients, sizeof *out->gradient2),
                       .gradient_exponent = allocate(n.gradients, sizeof *out->gradient_exponent),
                       .stretch = allocate(n.stretches, sizeof *out->stretch),
                       .qr_gap = allocate(n.tangents, sizeof *out->qr_gap),
                       .log_slope = allocate(n.tangents, sizeof *out->log_slope),
                       .singular = allocate(n.singular, sizeof *out->singular)};
    bool const gradients = n.gradients == 0 || (out->gradient2 && out->gradient_exponent);
    bool const tangents = n.tangents == 0 || (out->stretch && out->qr_gap && out->log_slope &&
                                              (n.singular == 0 || out->singular));
    if (out->norm2 && out->exponent && out->nonfinite_step && gradients && tangents) return RS_OK;
    return rs_fail(RS_EMEMORY, "no memory for the norms of %llu columns",
                   (unsigned long long)n.columns);
}

void rs_record_free(rs_record *record) {
    free(record->norm2);
    free(record->exponent);
    free(record->nonfinite_step);
    free(record->gradient2);
    free(record->gradient_exponent);
    free(record->stretch);
    free(record->qr_gap);
    free(record->log_slope);
    free(record->singular);
    *record = (rs_record){0};
}
