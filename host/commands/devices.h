/* rhosweep devices: the engines of this build and what they run on, for people. */
#ifndef RS_DEVICES_H
#define RS_DEVICES_H

#include "../sweep/ranks.h"

#include <stdio.h>

/* Lists every engine: its device, or why it cannot run. RS_EINPUT where a variable of the
 * environment is wrong. */
rs_status rs_devices(FILE *out);

/* The same of every rank, written by rank 0. */
rs_status rs_devices_among(rs_ranks *ranks, FILE *out);

#endif
