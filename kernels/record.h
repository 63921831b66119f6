/* Room for what an engine records: made and freed here alone. */
#ifndef RS_RECORD_H
#define RS_RECORD_H

#include "engine.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Arrays for any pass whose sizes are at most those of `shape`. RS_EMEMORY. The caller frees with
 * rs_record_free in any case. */
rs_status rs_record_make(const rs_shape *shape, rs_record *out);
void rs_record_free(rs_record *record); /* a zeroed one is allowed */

/* Bytes of the arrays; UINT64_MAX where the number does not fit. */
uint64_t rs_record_bytes(const rs_shape *shape);

#ifdef __cplusplus
}
#endif

#endif
