#include "interrupt.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

/* The signal may come to any thread, and all look. */
static atomic_int asked_to_stop;
_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "a signal handler may set it");

static void note(int signal_number) {
    (void)signal_number;
    asked_to_stop = 1;
}

static void watch(int signal_number) {
    struct sigaction before;
    struct sigaction action = {.sa_handler = note, .sa_flags = (int)SA_RESETHAND | SA_RESTART};
    sigemptyset(&action.sa_mask);
    if (sigaction(signal_number, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        sigaction(signal_number, &action, NULL);
}

void rs_interrupt_watch(void) {
    asked_to_stop = 0;
    watch(SIGINT);
    watch(SIGTERM);
    watch(SIGHUP);
}

void rs_interrupt(void) { asked_to_stop = 1; }

bool rs_interrupted(void) { return asked_to_stop != 0; }
