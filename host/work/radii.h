/* radii: spectral radii that are known already, so that no eigenvalue problem is solved twice. A
 * matrix is known by the bits of its elements alone; so what was found holds for it whatever it was
 * drawn from, rounded to or scaled by. */
#ifndef RS_RADII_H
#define RS_RADII_H

#include "../../kernels/base/status.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Smaller matrices are not kept: LAPACK needs less time for them (40 us at n = 10, 360 us at 32)
 * than a million of their radii would cost in memory and in the database. */
enum { RS_RADII_FROM = 32 };

typedef struct rs_kept_radius {
    size_t n;        /* rows; 0 for none */
    uint64_t matrix; /* digest of its elements */
    double radius;
} rs_kept_radius;

/* May be used by several threads at once. */
typedef struct rs_radii {
    pthread_mutex_t lock;
    bool made;
    rs_kept_radius *known; /* [room] by digest, open addressing */
    size_t n_known, room;
    rs_kept_radius *found; /* [n_found] by this process, not taken yet */
    size_t n_found, found_room;
} rs_radii;

rs_status rs_radii_make(rs_radii *out); /* RS_EMEMORY */
void rs_radii_free(rs_radii *radii);    /* a zeroed one is allowed */

/* Adds one from elsewhere. False where there are as many as are kept in memory, 2^20. */
bool rs_radii_add(rs_radii *radii, const rs_kept_radius *kept);

/* Adds one that was found for this sweep, and is to be stored. */
void rs_radii_keep(rs_radii *radii, const rs_kept_radius *kept);

/* rs_spectral_radius of a [n][n], from the known radii where it is among them; `radii` may be NULL.
 */
rs_status rs_radii_find(rs_radii *radii, size_t n, const double *a, double *radius);

/* Takes over what was found since the last time: an array [*n] for the caller to free, NULL for
 * none. */
rs_kept_radius *rs_radii_take_found(rs_radii *radii, size_t *n);

#endif
