#include "interrupt.h"

#include <signal.h>

static volatile sig_atomic_t asked_to_stop;

static void note(int signal_number) {
    (void)signal_number;
    asked_to_stop = 1;
}

void rs_interrupt_watch(void) {
    struct sigaction action = {.sa_handler = note, .sa_flags = (int)SA_RESETHAND | SA_RESTART};
    sigemptyset(&action.sa_mask);
    asked_to_stop = 0;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool rs_interrupted(void) { return asked_to_stop != 0; }
