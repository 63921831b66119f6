/* Environment variables that choose one of several names. */
#ifndef RS_SETTING_H
#define RS_SETTING_H

#include "status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The variable's value, or NULL where it is unset or empty. RS_EINPUT, listing the names, where it
 * is none of them; they are ended by NULL. */
rs_status rs_setting(const char *variable, const char *const *names, const char **out);

#ifdef __cplusplus
}
#endif

#endif
