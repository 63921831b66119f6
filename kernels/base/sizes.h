/* Size arithmetic that saturates at UINT64_MAX, so that a sum or product that does not fit can
 * never look small. */
#ifndef RS_SIZES_H
#define RS_SIZES_H

#include <stdint.h>

static inline uint64_t rs_size_add(uint64_t a, uint64_t b) {
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static inline uint64_t rs_size_mul(uint64_t a, uint64_t b) {
    return b != 0 && a > UINT64_MAX / b ? UINT64_MAX : a * b;
}

/* The next multiple of `step`, or UINT64_MAX where there is none. */
static inline uint64_t rs_size_round_up(uint64_t size, uint64_t step) {
    uint64_t const rest = size % step;
    return rest == 0 ? size : rs_size_add(size, step - rest);
}

#endif
