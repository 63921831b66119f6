/* rhosweep devices: the engines of this build and what they run on, for people. */
#ifndef RS_DEVICES_H
#define RS_DEVICES_H

#include <stdio.h>

/* Lists every engine: its device, or why it cannot run. */
void rs_devices(FILE *out);

#endif
