#include "cluster.h"

#include "settings.h"

#include <algorithm>
#include <climits>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace cuda_on_cpu {

static constexpr unsigned NOBODY = UINT_MAX;

/* ---- waiting of OS threads: by system calls, of which a race detector does not know ------------
 */

static_assert(sizeof(std::atomic<unsigned>) == sizeof(unsigned), "the kernel sees a plain word");

static void await(std::atomic<unsigned> *word, unsigned value) {
    for (unsigned now; (now = word->load()) != value;)
        syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, now, nullptr, nullptr, 0);
}

static void wake(std::atomic<unsigned> *word) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

/* ---- whose turn it is --------------------------------------------------------------------------
 */

Cluster::Cluster(unsigned blocks, uint64_t number)
    : states_(blocks, READY), arrived_(blocks, false), random_(settings().seed ^ (number << 32)) {
    turn_ = next_ready();
}

unsigned Cluster::count(State state) const {
    return static_cast<unsigned>(std::count(states_.begin(), states_.end(), state));
}

/* In some order, the first block that can go on; there is one. */
unsigned Cluster::next_ready() {
    Order const order = settings().order;
    unsigned rank = order == Order::shuffled     ? static_cast<unsigned>(random_.below(blocks()))
                    : order == Order::descending ? blocks() - 1
                                                 : 0;
    unsigned const step = order == Order::descending ? blocks() - 1 : 1;
    while (states_[rank] != READY) rank = (rank + step) % blocks();
    return rank;
}

void Cluster::hand_on() {
    if (count(READY) > 0) {
        turn_ = next_ready();
    } else if (count(WAITING) > 0) {
        stuck_ = true;
        turn_ = static_cast<unsigned>(std::find(states_.begin(), states_.end(), WAITING) -
                                      states_.begin());
    } else {
        turn_ = NOBODY;
    }
    wake(&turn_);
}

/* ---- a block's way -----------------------------------------------------------------------------
 */

void Cluster::enter(unsigned rank, unsigned char *shared) {
    shared_[rank] = shared;
    ++entered_;
    wake(&entered_);
    await(&entered_, blocks());
    await(&turn_, rank);
}

void Cluster::arrive(unsigned rank) {
    arrived_[rank] = true;
    if (std::count(arrived_.begin(), arrived_.end(), true) == blocks()) {
        ++phase_;
        std::fill(arrived_.begin(), arrived_.end(), false);
        std::replace(states_.begin(), states_.end(), WAITING, READY);
    }
    hand_on();
    await(&turn_, rank);
}

bool Cluster::wait(unsigned rank, unsigned phase) {
    if (phase_ != phase) return true;
    states_[rank] = WAITING;
    hand_on();
    await(&turn_, rank);
    return !stuck_;
}

void Cluster::leave(unsigned rank) {
    states_[rank] = ENDED;
    hand_on();
    await(&turn_, NOBODY);
}

} // namespace cuda_on_cpu
