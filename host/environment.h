/* The environment variables that are the program's: RHOSWEEP_ and a word. */
#ifndef RS_ENVIRONMENT_H
#define RS_ENVIRONMENT_H

#include "../kernels/base/status.h"

/* RS_EINPUT for a variable whose name is close to one that is known, and none. What is far from all
 * of them may be somebody else's. */
rs_status rs_environment_check(char *const *environment);

#endif
