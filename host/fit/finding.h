/* finding: what the decay rates of a sweep say, in a sentence for each cell,
 * ensemble, gate bias and leak. */
#ifndef RS_FINDING_H
#define RS_FINDING_H

#include "../plan/case.h"

#include <stdio.h>

/* Decay rates of one shape and ensemble over seeds. */
typedef struct rs_rate_curve {
    rs_case one;     /* of any seed */
    double *mean;    /* [n_rho] */
    double *squares; /* [n_rho] sum of the squared deviations from it */
    size_t *seeds;   /* [n_rho] with a rate */
} rs_rate_curve;

typedef struct rs_finding {
    const rs_spec *spec;
    size_t *ascending;    /* [n_rho] indices of spec->rho by size */
    rs_rate_curve *curve; /* [n] in the order of first appearance */
    size_t n, room, latest;
} rs_finding;

/* Borrows `spec`. RS_EMEMORY. Freed with rs_finding_free in any case. */
rs_status rs_finding_make(const rs_spec *spec, rs_finding *out);
void rs_finding_free(rs_finding *finding);

/* Adds one case: rates [n_rho] in the order of spec->rho, NaN where there is none. RS_EMEMORY. */
rs_status rs_finding_add(rs_finding *finding, const rs_case *one, const double *rates);

/* Writes a line for each of them that has rates, and names what the spec has several of. Gradients
 * vanish, explode, change slowly or keep their norm at a radius where rs_regime_of() says so. They
 * stop vanishing where the mean rate over seeds changes its sign, by linear interpolation. */
void rs_finding_print(const rs_finding *finding, FILE *out);

#endif
