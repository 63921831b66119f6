/* SIGINT, SIGTERM and SIGHUP ask the sweep to stop cleanly; a second one ends the program at once.
 */
#ifndef RS_INTERRUPT_H
#define RS_INTERRUPT_H

#include <stdbool.h>

/* From now on. A signal that the process was started to ignore, as by nohup, stays ignored. */
void rs_interrupt_watch(void);
bool rs_interrupted(void);

/* As if a signal had come: another process has got one that is for all. */
void rs_interrupt(void);

#endif
