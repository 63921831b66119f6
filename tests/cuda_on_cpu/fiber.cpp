#include "fiber.h"

#include "failure.h"

#include <sys/mman.h>
#include <unistd.h>

/* Weak: each is there only where its sanitizer is linked in. */
extern "C" {
__attribute__((weak)) void *__tsan_get_current_fiber(void);
__attribute__((weak)) void *__tsan_create_fiber(unsigned flags);
__attribute__((weak)) void __tsan_switch_to_fiber(void *fiber, unsigned flags);
__attribute__((weak)) void __tsan_acquire(void *address);
__attribute__((weak)) void __tsan_release(void *address);
__attribute__((weak)) void __sanitizer_start_switch_fiber(void **save, const void *stack,
                                                          size_t bytes);
__attribute__((weak)) void __sanitizer_finish_switch_fiber(void *save, const void **old_stack,
                                                           size_t *old_bytes);
}

namespace cuda_on_cpu {

static constexpr unsigned NO_SYNC = 1; /* a switch orders nothing by itself */
static constexpr size_t STACK_BYTES = size_t{256} << 10;

static thread_local Fiber *previous;

/* ---- the switch itself --------------------------------------------------------------------- */

#if defined(__x86_64__)

/* Keeps what a call must keep, in System V's ABI; vector registers and flags are the caller's. */
extern "C" void cuda_on_cpu_swap(void **save, void *load);
asm(R"(
    .text
    .type cuda_on_cpu_swap, @function
cuda_on_cpu_swap:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size cuda_on_cpu_swap, . - cuda_on_cpu_swap
)");

static void prepare(Fiber *fiber, void (*entry)()) {
    auto *top = reinterpret_cast<void **>(
        const_cast<char *>(static_cast<const char *>(fiber->stack)) + fiber->stack_bytes);
    *--top = nullptr; /* entry's return address: none */
    *--top = reinterpret_cast<void *>(entry);
    for (int saved = 0; saved < 6; ++saved) *--top = nullptr;
    fiber->stack_pointer = top;
}

static void swap(Fiber *from, Fiber *to) {
    cuda_on_cpu_swap(&from->stack_pointer, to->stack_pointer);
}

#else

static void prepare(Fiber *fiber, void (*entry)()) {
    if (getcontext(&fiber->context) != 0) fail("getcontext: failed");
    fiber->context.uc_stack.ss_sp = const_cast<void *>(fiber->stack);
    fiber->context.uc_stack.ss_size = fiber->stack_bytes;
    fiber->context.uc_link = nullptr;
    makecontext(&fiber->context, entry, 0);
}

static void swap(Fiber *from, Fiber *to) {
    if (swapcontext(&from->context, &to->context) != 0) fail("swapcontext: failed");
}

#endif

/* ---- with the sanitizers told -----------------------------------------------------------------
 */

void fiber_adopt(Fiber *fiber) {
    *fiber = {};
    if (__tsan_get_current_fiber) fiber->tsan_fiber = __tsan_get_current_fiber();
}

/* A page below the stack is never touched but by an overflow. */
void fiber_create(Fiber *fiber) {
    auto const page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    void *memory = mmap(nullptr, page + STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, page, PROT_NONE) != 0)
        fail("stack of a thread: out of memory");
    *fiber = {};
    fiber->stack = static_cast<char *>(memory) + page;
    fiber->stack_bytes = STACK_BYTES;
    if (__tsan_create_fiber) fiber->tsan_fiber = __tsan_create_fiber(0);
}

void fiber_start(Fiber *fiber, void (*entry)()) { prepare(fiber, entry); }

/* AddressSanitizer says where the stack was that we came from: how we learn of an OS thread's. */
static void arrived(void *asan_stack) {
    if (__sanitizer_finish_switch_fiber)
        __sanitizer_finish_switch_fiber(asan_stack, &previous->stack, &previous->stack_bytes);
}

static void depart(void **asan_stack, Fiber *from, Fiber *to) {
    previous = from;
    if (__sanitizer_start_switch_fiber)
        __sanitizer_start_switch_fiber(asan_stack, to->stack, to->stack_bytes);
    if (__tsan_switch_to_fiber) __tsan_switch_to_fiber(to->tsan_fiber, NO_SYNC);
    swap(from, to);
}

void fiber_enter() { arrived(nullptr); }

void fiber_switch(Fiber *from, Fiber *to) {
    depart(&from->asan_stack, from, to);
    arrived(from->asan_stack);
}

void fiber_leave(Fiber *from, Fiber *to) {
    depart(nullptr, from, to);
    fail("a fiber that had ended was resumed");
}

void fiber_pretend(Fiber *fiber) {
    *fiber = {};
    if (__tsan_create_fiber) fiber->tsan_fiber = __tsan_create_fiber(0);
}

void fiber_act_as(Fiber *self, Fiber *other, const std::function<void()> &act) {
    if (__tsan_switch_to_fiber) __tsan_switch_to_fiber(other->tsan_fiber, NO_SYNC);
    act();
    if (__tsan_switch_to_fiber) __tsan_switch_to_fiber(self->tsan_fiber, NO_SYNC);
}

static void in_each(Fiber *self, Fiber *const *fibers, size_t count, void (*tell)(void *),
                    void *meeting) {
    if (!__tsan_switch_to_fiber) return;
    for (size_t i = 0; i < count; ++i) {
        __tsan_switch_to_fiber(fibers[i]->tsan_fiber, NO_SYNC);
        tell(meeting);
    }
    __tsan_switch_to_fiber(self->tsan_fiber, NO_SYNC);
}

void fibers_come(Fiber *self, Fiber *const *fibers, size_t count, void *meeting) {
    in_each(self, fibers, count, __tsan_release, meeting);
}

void fibers_go(Fiber *self, Fiber *const *fibers, size_t count, void *meeting) {
    in_each(self, fibers, count, __tsan_acquire, meeting);
}

void fibers_meet(Fiber *self, Fiber *const *fibers, size_t count) {
    fibers_come(self, fibers, count, fibers[0]);
    fibers_go(self, fibers, count, fibers[0]);
}

} // namespace cuda_on_cpu
