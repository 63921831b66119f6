/* rhosweep devices: the engines of this build and what they run on, for people. */
#ifndef RS_DEVICES_H
#define RS_DEVICES_H

#include "../../kernels/base/status.h"

#include <stdio.h>

/* Lists every engine: its device, or why it cannot run. RS_EINPUT where a variable of the
 * environment is wrong. */
rs_status rs_devices(FILE *out);

#endif
