#include "shared_weights.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct rs_shared_weights {
    rs_case one; /* whose weights they are */
    atomic_size_t users;
    pthread_mutex_t making;
    bool made;
    rs_weights weights;
};

rs_shared_weights *rs_shared_weights_new(const rs_case *one) {
    rs_shared_weights *shared = calloc(1, sizeof *shared);
    if (!shared || pthread_mutex_init(&shared->making, NULL) != 0) {
        free(shared);
        return NULL;
    }
    shared->one = *one;
    atomic_init(&shared->users, 1);
    return shared;
}

bool rs_shared_weights_fit(const rs_shared_weights *shared, const rs_case *one) {
    return rs_weights_shared(&shared->one, one);
}

rs_shared_weights *rs_shared_weights_use(rs_shared_weights *shared) {
    atomic_fetch_add(&shared->users, 1);
    return shared;
}

void rs_shared_weights_release(rs_shared_weights *shared) {
    if (!shared || atomic_fetch_sub(&shared->users, 1) > 1) return;
    rs_weights_free(&shared->weights);
    pthread_mutex_destroy(&shared->making);
    free(shared);
}

rs_status rs_shared_weights_make(rs_shared_weights *shared, const rs_model *model,
                                 rs_radii *radii) {
    rs_status status = RS_OK;
    pthread_mutex_lock(&shared->making);
    if (!shared->made) {
        status = rs_weights_make(&shared->one, model, radii, &shared->weights);
        shared->made = status == RS_OK;
        if (!shared->made) rs_weights_free(&shared->weights);
    }
    pthread_mutex_unlock(&shared->making);
    return status;
}

const rs_weights *rs_shared_weights_get(const rs_shared_weights *shared) {
    return &shared->weights;
}
