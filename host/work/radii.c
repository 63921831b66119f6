#include "radii.h"

#include "spectrum.h"

#include <stdlib.h>
#include <string.h>

static uint64_t const mixer = 0x9E3779B97F4A7C15; /* odd, as 2^64 over the golden ratio */

enum { FIRST_ROOM = 256, MOST_KNOWN = 1 << 20 };

rs_status rs_radii_make(rs_radii *out) {
    *out = (rs_radii){0};
    out->made = pthread_mutex_init(&out->lock, NULL) == 0;
    return out->made ? RS_OK : rs_fail(RS_EMEMORY, "sweep: no memory for the radii it knows");
}

void rs_radii_free(rs_radii *radii) {
    if (radii->made) pthread_mutex_destroy(&radii->lock);
    free(radii->known);
    free(radii->found);
    *radii = (rs_radii){0};
}

/* Each step is invertible, so matrices that differ in one element alone never share a digest;
 * others do with a chance of 2^-64. */
static uint64_t digest_of(size_t n, const double *a) {
    uint64_t digest = n;
    for (size_t i = 0; i < n * n; ++i) {
        uint64_t bits;
        memcpy(&bits, &a[i], sizeof bits);
        digest = (digest ^ bits) * mixer;
        digest ^= digest >> 32;
    }
    return digest;
}

/* ---- the table: where the lock is held ------------------------------------------------------- */

/* The place of a matrix, or the free one where it belongs; the table is never full. */
static rs_kept_radius *place_of(rs_kept_radius *known, size_t room, size_t n, uint64_t matrix) {
    size_t at = (matrix ^ n) * mixer >> 32 & (room - 1);
    while (known[at].n && (known[at].n != n || known[at].matrix != matrix))
        at = (at + 1) & (room - 1);
    return &known[at];
}

/* At most half full, so that the next place is near. */
static bool make_room(rs_radii *radii) {
    if (radii->n_known < radii->room / 2) return true;
    size_t const room = radii->room ? 2 * radii->room : FIRST_ROOM;
    rs_kept_radius *known = calloc(room, sizeof *known);
    if (!known) return false;
    for (size_t i = 0; i < radii->room; ++i) {
        const rs_kept_radius *old = &radii->known[i];
        if (old->n) *place_of(known, room, old->n, old->matrix) = *old;
    }
    free(radii->known);
    radii->known = known;
    radii->room = room;
    return true;
}

static bool insert(rs_radii *radii, const rs_kept_radius *kept) {
    if (radii->n_known == MOST_KNOWN || !make_room(radii)) return false;
    rs_kept_radius *place = place_of(radii->known, radii->room, kept->n, kept->matrix);
    radii->n_known += place->n == 0;
    *place = *kept;
    return true;
}

static void append_found(rs_radii *radii, const rs_kept_radius *kept) {
    if (radii->n_found == radii->found_room) {
        size_t const room = radii->found_room ? 2 * radii->found_room : FIRST_ROOM;
        rs_kept_radius *found = realloc(radii->found, room * sizeof *found);
        if (!found) return; /* then it is found again another time */
        radii->found = found;
        radii->found_room = room;
    }
    radii->found[radii->n_found++] = *kept;
}

/* ---- use ------------------------------------------------------------------------------------- */

bool rs_radii_add(rs_radii *radii, const rs_kept_radius *kept) {
    pthread_mutex_lock(&radii->lock);
    bool const added = insert(radii, kept);
    pthread_mutex_unlock(&radii->lock);
    return added;
}

static bool look_up(rs_radii *radii, rs_kept_radius *kept) {
    pthread_mutex_lock(&radii->lock);
    bool known = radii->room > 0;
    if (known) {
        const rs_kept_radius *place = place_of(radii->known, radii->room, kept->n, kept->matrix);
        known = place->n > 0;
        if (known) kept->radius = place->radius;
    }
    pthread_mutex_unlock(&radii->lock);
    return known;
}

void rs_radii_keep(rs_radii *radii, const rs_kept_radius *kept) {
    pthread_mutex_lock(&radii->lock);
    insert(radii, kept); /* where there is no room it is found again */
    append_found(radii, kept);
    pthread_mutex_unlock(&radii->lock);
}

rs_status rs_radii_find(rs_radii *radii, size_t n, const double *a, double *radius) {
    if (!radii || n < RS_RADII_FROM) return rs_spectral_radius(n, a, radius);
    rs_kept_radius kept = {.n = n, .matrix = digest_of(n, a)};
    if (!look_up(radii, &kept)) {
        RS_TRY(rs_spectral_radius(n, a, &kept.radius));
        rs_radii_keep(radii, &kept);
    }
    *radius = kept.radius;
    return RS_OK;
}

rs_kept_radius *rs_radii_take_found(rs_radii *radii, size_t *n) {
    pthread_mutex_lock(&radii->lock);
    rs_kept_radius *found = radii->found;
    *n = radii->n_found;
    radii->found = NULL;
    radii->n_found = radii->found_room = 0;
    pthread_mutex_unlock(&radii->lock);
    return found;
}
