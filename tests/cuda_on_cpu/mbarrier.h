/* The mbarriers of a block and the bulk copies under way to it: counts and phases. Who waits, and
 * when a copy takes place, is the block's affair. */
#ifndef CUDA_ON_CPU_MBARRIERS_H
#define CUDA_ON_CPU_MBARRIERS_H

#include "include/cuda_on_cpu_mbarrier.h"
#include "random_bits.h"

#include <deque>
#include <string>
#include <vector>

namespace cuda_on_cpu {

struct Mbarrier {
    const mbarrier *address;
    unsigned count;
    unsigned missing; /* arrivals of this phase */
    int64_t bytes;    /* announced and not yet here */
    unsigned phase;
    bool fenced;
    char phases[2]; /* what stands for a phase of each parity, to a race detector */

    bool is_complete(unsigned parity) const { return phase % 2 != parity; }
    std::string state() const;
};

/* What is refused comes back as a text, empty where all is well. */
class Mbarriers {
  public:
    void clear();
    std::string init(const mbarrier *address, unsigned count, mbarrier *held);
    void fence();
    std::string find(const mbarrier *address, mbarrier held, Mbarrier **found);

    /* *completed: whether the phase is. */
    std::string arrive(Mbarrier *barrier, unsigned bytes, bool *completed);

    std::string check(const BulkCopy &copy, const unsigned char *shared, size_t shared_bytes) const;
    void begin(const BulkCopy &copy) { copies_.push_back({copy, begun_++}); }
    bool has_copies() const { return !copies_.empty(); }
    const BulkCopy &some_copy() const { return copies_.front().copy; }
    BulkCopy take_copy(RandomBits *random); /* the next to take place */
    std::string count_down(Mbarrier *barrier, unsigned bytes, bool *completed);

  private:
    std::string complete(Mbarrier *barrier, bool *completed);

    std::deque<Mbarrier> barriers_;
    struct Begun {
        BulkCopy copy;
        uint64_t number;
    };

    std::vector<Begun>
        copies_; /* in no order: moving them along would look like a race of fibers */
    uint64_t begun_ = 0;
};

} // namespace cuda_on_cpu

#endif
