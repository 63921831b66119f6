#include "mbarrier.h"

#include "settings.h"

#include <algorithm>

namespace cuda_on_cpu {

static constexpr unsigned MOST = (1u << 20) - 1; /* arrivals and bytes of a phase */
static constexpr mbarrier FIRST_HELD = 0x6d62617272696572u;

void Mbarriers::clear() {
    barriers_.clear();
    copies_.clear();
    copies_.reserve(64); /* by the block's host: threads would free each other's memory */
}

static bool is_aligned(const void *address, size_t bytes) {
    return reinterpret_cast<uintptr_t>(address) % bytes == 0;
}

std::string Mbarrier::state() const {
    return "phase " + std::to_string(phase) + " of the mbarrier wants " + std::to_string(missing) +
           " of " + std::to_string(count) + " arrivals and " + std::to_string(bytes) + " bytes";
}

/* ---- barriers -----------------------------------------------------------------------------------
 */

std::string Mbarriers::init(const mbarrier *address, unsigned count, mbarrier *held) {
    if (settings().capability < 90) return "the device has none that count bytes";
    if (!is_aligned(address, sizeof *address)) return "not aligned to 8 bytes";
    if (count == 0 || count > MOST)
        return "counts 1 to 2^20 - 1 arrivals, not " + std::to_string(count);
    for (const Mbarrier &other : barriers_)
        if (other.address == address) return "initialised before";
    *held = FIRST_HELD + barriers_.size();
    barriers_.push_back({address, count, count, 0, 0, false, {}});
    return {};
}

void Mbarriers::fence() {
    for (Mbarrier &barrier : barriers_) barrier.fenced = true;
}

std::string Mbarriers::find(const mbarrier *address, mbarrier held, Mbarrier **found) {
    for (size_t i = 0; i < barriers_.size(); ++i) {
        if (barriers_[i].address != address) continue;
        *found = &barriers_[i];
        return held == FIRST_HELD + i ? "" : "the mbarrier was overwritten";
    }
    return "no mbarrier was initialised there";
}

std::string Mbarriers::complete(Mbarrier *barrier, bool *completed) {
    *completed = false;
    if (barrier->missing > 0 || barrier->bytes > 0) return {};
    if (barrier->bytes < 0)
        return std::to_string(-barrier->bytes) + " bytes more have come than were announced";
    ++barrier->phase;
    barrier->missing = barrier->count;
    *completed = true;
    return {};
}

std::string Mbarriers::arrive(Mbarrier *barrier, unsigned bytes, bool *completed) {
    if (barrier->missing == 0)
        return "more than " + std::to_string(barrier->count) + " arrivals in a phase";
    if (barrier->bytes + bytes > MOST) return "more than 2^20 - 1 bytes in a phase";
    barrier->bytes += bytes;
    --barrier->missing;
    return complete(barrier, completed);
}

/* ---- copies -------------------------------------------------------------------------------------
 */

std::string Mbarriers::check(const BulkCopy &copy, const unsigned char *shared,
                             size_t shared_bytes) const {
    auto const offset = static_cast<size_t>(static_cast<const unsigned char *>(copy.to) - shared);
    if (copy.bytes == 0 || copy.bytes % 16 != 0)
        return std::to_string(copy.bytes) + " bytes are not a multiple of 16";
    if (!is_aligned(copy.to, 16) || !is_aligned(copy.from, 16)) return "not aligned to 16 bytes";
    if (offset > shared_bytes || copy.bytes > shared_bytes - offset)
        return "not all to the block's dynamic shared memory";
    for (const Mbarrier &barrier : barriers_)
        if (barrier.address == copy.barrier && !barrier.fenced)
            return "no mbarrier_fence_init since the mbarrier's init";
    return {};
}

BulkCopy Mbarriers::take_copy(RandomBits *random) {
    Order const order = settings().order;
    auto const is_earlier = [](const Begun &a, const Begun &b) { return a.number < b.number; };
    auto const first = copies_.begin(), end = copies_.end();
    auto const chosen = order == Order::ascending ? std::min_element(first, end, is_earlier)
                        : order == Order::descending
                            ? std::max_element(first, end, is_earlier)
                            : first + static_cast<std::ptrdiff_t>(random->below(copies_.size()));
    BulkCopy const copy = chosen->copy;
    *chosen = copies_.back();
    copies_.pop_back();
    return copy;
}

std::string Mbarriers::count_down(Mbarrier *barrier, unsigned bytes, bool *completed) {
    barrier->bytes -= bytes;
    if (barrier->bytes < -static_cast<int64_t>(MOST)) return "more than 2^20 - 1 bytes in a phase";
    return complete(barrier, completed);
}

} // namespace cuda_on_cpu
