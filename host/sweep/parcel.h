/* parcel: launches and their results, as bytes for another rank that has the same plan. */
#ifndef RS_PARCEL_H
#define RS_PARCEL_H

#include "../work/worker.h"
#include "message.h"

/* The cases and radii of a launch; one of no groups says that none is left. */
void rs_put_launch(rs_message_out *message, const rs_launch *launch, size_t n_rho);

/* Into a launch with room, see rs_launch_make. RS_EIO where the message is damaged. */
rs_status rs_get_launch(rs_message_in *message, const rs_launches *launches, rs_launch *out);

/* A launch that has been finished, with its results: the bits of every number. Curves go along
 * where `curves` says so, to be got by one who says the same. */
void rs_put_work(rs_message_out *message, const rs_work *work, size_t n_rho, bool curves);

/* Into an empty one, see rs_work_make; to be cleared in any case. RS_EIO, RS_EMEMORY. */
rs_status rs_get_work(rs_message_in *message, const rs_launches *launches, bool curves,
                      rs_work *out);

/* Radii that were found. */
void rs_put_radii(rs_message_out *message, const rs_kept_radius *kept, size_t n);

#endif
