/* Random numbers for shuffled orders (SplitMix64). */
#ifndef CUDA_ON_CPU_RANDOM_BITS_H
#define CUDA_ON_CPU_RANDOM_BITS_H

#include <cstdint>

namespace cuda_on_cpu {

class RandomBits {
  public:
    explicit RandomBits(uint64_t seed) : state_(seed) {}
    uint64_t next() {
        uint64_t z = state_ += 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
    }
    uint64_t below(uint64_t bound) { return next() % bound; }

  private:
    uint64_t state_;
};

} // namespace cuda_on_cpu

#endif
