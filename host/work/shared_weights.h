/* shared weights: cases that differ in nothing their arrays depend on share them. They
 * are made once, by the first thread that needs them, and freed with their last user. */
#ifndef RS_SHARED_WEIGHTS_H
#define RS_SHARED_WEIGHTS_H

#include "weights.h"

#include <stdbool.h>

typedef struct rs_shared_weights rs_shared_weights;

/* Not made yet, with one user; NULL where there is no memory. */
rs_shared_weights *rs_shared_weights_new(const rs_case *one);

bool rs_shared_weights_fit(const rs_shared_weights *shared, const rs_case *one);

/* Adds a user; returns `shared`. */
rs_shared_weights *rs_shared_weights_use(rs_shared_weights *shared);

/* Takes a user away and frees with the last one. NULL is allowed. */
void rs_shared_weights_release(rs_shared_weights *shared);

/* Makes the weights, or waits for the thread that is making them. After a failure (as
 * rs_weights_make; the message is of this thread) the next call tries again. */
rs_status rs_shared_weights_make(rs_shared_weights *shared, const rs_model *model, rs_radii *radii);

/* Once made; for as long as the caller is a user. */
const rs_weights *rs_shared_weights_get(const rs_shared_weights *shared);

#endif
