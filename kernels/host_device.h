/* The host's processor and memory, for the engines that run on it. */
#ifndef RS_HOST_DEVICE_H
#define RS_HOST_DEVICE_H

#include "engine.h"

/* Fills all of *out but the abilities: processor name, threads this process may use, memory that is
 * available (MemAvailable, and no more than the control group's limit leaves). */
void rs_host_device(rs_device *out);

#endif
