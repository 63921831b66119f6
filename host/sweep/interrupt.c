#include "interrupt.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t asked_to_stop;

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
