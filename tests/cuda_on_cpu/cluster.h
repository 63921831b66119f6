/* A cluster of blocks. Each block runs on an OS thread of its own, where its shared memory lives,
 * but one at a time, until it waits for the others or ends, or has come to the cluster's barrier:
 * blocks drift as far apart as that lets them. */
#ifndef CUDA_ON_CPU_CLUSTER_H
#define CUDA_ON_CPU_CLUSTER_H

#include "random_bits.h"

#include <array>
#include <atomic>
#include <vector>

namespace cuda_on_cpu {

constexpr unsigned MOST_CLUSTER_BLOCKS = 8; /* the most that every device with clusters takes */

class Cluster {
  public:
    Cluster(unsigned blocks, uint64_t number);

    unsigned blocks() const { return static_cast<unsigned>(states_.size()); }

    /* The block's shared memory. All have entered before the first one runs. */
    unsigned char *shared(unsigned rank) const { return shared_[rank]; }

    /* The barrier's phases, from 0; what stands for one, to a race detector. */
    unsigned phase() const { return phase_; }
    void *meeting(unsigned phase) { return &meetings_[phase % 2]; }

    void enter(unsigned rank, unsigned char *shared); /* returns when it is the block's turn */
    void arrive(unsigned rank); /* all of the block; others may run before this returns */
    bool wait(unsigned rank, unsigned phase); /* until it is complete; false: never, because a block
                                                 that has not arrived has ended */
    void leave(unsigned rank);                /* returns once all blocks have ended */

  private:
    enum State { READY, WAITING, ENDED };

    unsigned count(State state) const;
    unsigned next_ready();
    void hand_on();

    std::vector<State> states_;
    std::vector<bool> arrived_;
    std::array<unsigned char *, MOST_CLUSTER_BLOCKS> shared_{};
    char meetings_[2] = {};
    unsigned phase_ = 0;
    bool stuck_ = false;
    std::atomic<unsigned> entered_{0}, turn_;
    RandomBits random_;
};

} // namespace cuda_on_cpu

#endif
