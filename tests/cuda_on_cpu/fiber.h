/* Fibers: flows of control with stacks of their own, which hand over to each other by name. They
 * tell the sanitizers what they do. A fiber stays on the OS thread that made it. */
#ifndef CUDA_ON_CPU_FIBER_H
#define CUDA_ON_CPU_FIBER_H

#include <cstddef>
#include <functional>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace cuda_on_cpu {

struct Fiber {
#if defined(__x86_64__)
    void *stack_pointer;
#else
    ucontext_t context;
#endif
    const void *stack; /* its lowest address */
    size_t stack_bytes;
    void *asan_stack, *tsan_fiber;
};

void fiber_adopt(Fiber *fiber);                        /* the calling OS thread itself */
void fiber_create(Fiber *fiber);                       /* a stack; never given back */
void fiber_start(Fiber *fiber, void (*entry)());       /* the next switch to it calls entry */
void fiber_enter();                                    /* the first thing that entry does */
void fiber_switch(Fiber *from, Fiber *to);             /* returns when someone switches to `from` */
[[noreturn]] void fiber_leave(Fiber *from, Fiber *to); /* the last thing that entry does */

/* A flow of control for a race detector alone: nobody switches to it, others act as it. */
void fiber_pretend(Fiber *fiber);
void fiber_act_as(Fiber *self, Fiber *other, const std::function<void()> &act);

/* For a race detector, a meeting of `count` fibers, called by `self`: what one has written before
 * is there for every other to read after. fibers[0] comes to every meeting of the others. */
void fibers_meet(Fiber *self, Fiber *const *fibers, size_t count);

/* The halves of a meeting at some address, where fibers of other OS threads come, too. */
void fibers_come(Fiber *self, Fiber *const *fibers, size_t count, void *meeting);
void fibers_go(Fiber *self, Fiber *const *fibers, size_t count, void *meeting);

} // namespace cuda_on_cpu

#endif
