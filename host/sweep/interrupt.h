/* Ctrl-C and SIGTERM ask the sweep to stop cleanly; a second one ends the program at once. */
#ifndef RS_INTERRUPT_H
#define RS_INTERRUPT_H

#include <stdbool.h>

void rs_interrupt_watch(void);
bool rs_interrupted(void);

#endif
