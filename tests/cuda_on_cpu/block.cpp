#include "block.h"

#include "failure.h"
#include "fiber.h"
#include "include/cooperative_groups.h"
#include "include/cuda_pipeline.h"
#include "mbarrier.h"
#include "random_bits.h"
#include "settings.h"
#include "symbols.h"

#include <algorithm>
#include <vector>

extern "C" { /* weak: there only with AddressSanitizer */
__attribute__((weak)) void __asan_poison_memory_region(const volatile void *address, size_t bytes);
__attribute__((weak)) void __asan_unpoison_memory_region(const volatile void *address,
                                                         size_t bytes);
}

thread_local uint3 threadIdx, blockIdx;
thread_local dim3 blockDim, gridDim;

/* The dynamic shared memory of the block that runs on this OS thread. */
alignas(16) thread_local unsigned char rs_shared[cuda_on_cpu::MOST_SHARED_BYTES];

namespace cuda_on_cpu {

static constexpr unsigned WARP = 32;

/* What a thread waits for, or has last waited for. */
struct Meeting {
    Primitive primitive;
    unsigned mask;   /* of lanes; unused where blocks meet */
    uint64_t value;  /* what this lane brings */
    unsigned source; /* whose value it takes */
    Site at;
};

struct PendingCopy {
    Copy copy;
    size_t batch;
};

struct Thread {
    Fiber fiber;
    uint3 index;
    bool exited;
    Meeting meeting;
    uint64_t taken;
    std::vector<PendingCopy> copies;
    size_t batches; /* committed */
    bool arrived;   /* at the cluster's barrier, and has not waited since */
    unsigned phase; /* of that barrier */
    bool waits_for_cluster;
    const Mbarrier *mbarrier; /* what it waits for, if any */
    unsigned parity;
};

/* Bit i is lane i. A lane that is neither ready nor waiting has exited or is at the barrier. */
struct Warp {
    unsigned lanes, ready, waiting; /* waiting: in a warp primitive */
};

class Block {
  public:
    Block() : threads_(MOST_BLOCK_THREADS), warps_(MOST_BLOCK_THREADS / WARP) {
        fiber_adopt(&host_);
        fiber_pretend(&copier_);
    }
    void run(const Launch &launch, uint3 index, Cluster *cluster);
    void run_thread();
    void meet_block(Site at);
    void arrive_at_cluster(Primitive primitive, Site at);
    void wait_for_cluster(Primitive primitive, Site at);
    mbarrier begin_mbarrier(const mbarrier *address, unsigned count, Site at);
    void fence_mbarriers() { mbarriers_.fence(); }
    void arrive_at_mbarrier(const mbarrier *address, mbarrier held, unsigned bytes, Site at);
    void wait_for_mbarrier(const mbarrier *address, mbarrier held, unsigned parity, Site at);
    void check_copy(const BulkCopy &copy, mbarrier held);
    void begin_copy(const BulkCopy &copy);
    uint64_t meet_warp(const Meeting &meeting);
    Thread &self() { return threads_[self_]; }
    unsigned lane() const { return self_ % WARP; }
    const Cluster &cluster() const { return *cluster_; }
    unsigned rank() const { return index_.x % launch_->cluster; }
    [[noreturn]] void fail_at(Site at, const std::string &what_why) const;

  private:
    void prepare(const Launch &launch, uint3 index);
    void run_threads();
    std::vector<Fiber *> &gather(bool with_host);
    void meet_all(bool with_host);
    void leave_cluster();
    void check_same_place(const Meeting &first) const;
    Mbarrier *find_mbarrier(const mbarrier *address, mbarrier held, const char *call, Site at);
    void land_copy();
    void wake_waiting_for(const Mbarrier *barrier);
    bool wake_from_cluster();
    bool waits_for_cluster() const;
    void let_others_arrive();
    bool help_waiting();
    void block_self();
    void wake(unsigned thread) { warps_[thread / WARP].ready |= 1u << thread % WARP; }
    bool all_wait(const Meeting &meeting) const;
    void exchange(const Meeting &meeting);
    bool choose_warp();
    unsigned choose_lane();
    Fiber *choose(bool same_warp);
    void go_on(bool same_warp);
    [[noreturn]] void fail_stuck() const;
    [[noreturn]] void fail_waiting(unsigned thread) const;
    std::string state_of(unsigned thread) const;

    const Launch *launch_ = nullptr;
    Cluster *cluster_ = nullptr;
    uint3 index_ = {};
    Fiber host_; /* whoever called run */
    std::vector<Thread> threads_;
    std::vector<Warp> warps_;
    unsigned stacks_ = 0; /* threads that have one */
    unsigned count_ = 0, warp_count_ = 0, alive_ = 0, at_barrier_ = 0;
    unsigned arrived_ = 0; /* threads, in this phase of the cluster's barrier */
    Mbarriers mbarriers_;
    Fiber copier_ = {}; /* who does the bulk copies, to a race detector */
    unsigned self_ = 0, warp_ = 0;
    Meeting barrier_ = {}, cluster_barrier_ = {}; /* which ones the first has come to */
    RandomBits random_{0};
};

static thread_local Block *current; /* the block that this OS thread runs */

/* ---- what is said when a block fails -----------------------------------------------------------
 */

static std::string text_of(uint3 index) {
    return "(" + std::to_string(index.x) + ", " + std::to_string(index.y) + ", " +
           std::to_string(index.z) + ")";
}

static std::string text_of(Site at) { return std::string(at.file) + ":" + std::to_string(at.line); }

static std::string text_of(const Meeting &meeting) {
    static const char *const names[] = {"__syncthreads",
                                        "cluster_group::sync",
                                        "cluster_group::barrier_arrive",
                                        "cluster_group::barrier_wait",
                                        "mbarrier_wait",
                                        "__syncwarp",
                                        "__shfl_sync",
                                        "__shfl_up_sync",
                                        "__shfl_down_sync",
                                        "__shfl_xor_sync",
                                        "__ballot_sync"};
    if (meeting.primitive < SYNCWARP) return names[meeting.primitive];
    char mask[32];
    std::snprintf(mask, sizeof mask, " with mask 0x%08x", meeting.mask);
    return names[meeting.primitive] + std::string(mask);
}

void Block::fail_at(Site at, const std::string &what_why) const {
    fail("kernel " + launch_->symbols.name + ", block " + text_of(index_) + ": " + text_of(at) +
         ": " + what_why);
}

std::string Block::state_of(unsigned thread) const {
    if (thread >= count_)
        return "lane " + std::to_string(thread % WARP) + " of the warp does not exist";
    const Thread &t = threads_[thread];
    std::string const name = "thread " + text_of(t.index);
    if (t.exited) return name + " has exited";
    return name + " waits in " + text_of(t.meeting) + " at " + text_of(t.meeting.at);
}

void Block::fail_waiting(unsigned thread) const {
    const Meeting &meeting = threads_[thread].meeting;
    unsigned const first = thread - thread % WARP;
    unsigned missing = 0; /* who keeps it waiting */
    auto const comes = [&](unsigned lane) {
        unsigned const t = first + lane;
        return t < count_ && !threads_[t].exited &&
               threads_[t].meeting.primitive == meeting.primitive &&
               threads_[t].meeting.mask == meeting.mask;
    };
    while ((meeting.mask >> missing & 1) == 0 || comes(missing)) ++missing;
    fail_at(meeting.at, text_of(meeting) + " in thread " + text_of(threads_[thread].index) + ": " +
                            state_of(first + missing));
}

/* Nobody can run, and not all have exited. */
void Block::fail_stuck() const {
    for (unsigned w = 0; w < warp_count_; ++w)
        if (warps_[w].waiting)
            fail_waiting(w * WARP + static_cast<unsigned>(__builtin_ctz(warps_[w].waiting)));
    for (unsigned t = 0; t < count_; ++t)
        if (threads_[t].mbarrier)
            fail_at(threads_[t].meeting.at, text_of(threads_[t].meeting) + " in thread " +
                                                text_of(threads_[t].index) +
                                                ": never ends: " + threads_[t].mbarrier->state());
    unsigned missing = 0;
    if (waits_for_cluster()) {
        while (threads_[missing].waits_for_cluster) ++missing;
        fail_at(cluster_barrier_.at, text_of(cluster_barrier_) + ": reached by " +
                                         std::to_string(arrived_) + " of " +
                                         std::to_string(count_) + " threads: " + state_of(missing));
    }
    while (!threads_[missing].exited) ++missing;
    fail_at(barrier_.at, text_of(barrier_) + ": reached by " + std::to_string(at_barrier_) +
                             " of " + std::to_string(count_) + " threads: " + state_of(missing));
}

/* ---- who runs next ------------------------------------------------------------------------------
 */

/* In some order, the first warp with a ready lane; false where there is none. */
bool Block::choose_warp() {
    bool const shuffled = settings().order == Order::shuffled;
    unsigned const first = shuffled ? static_cast<unsigned>(random_.below(warp_count_)) : 0;
    for (unsigned i = 0; i < warp_count_; ++i) {
        unsigned const w = (first + i) % warp_count_;
        warp_ = settings().order == Order::descending ? warp_count_ - 1 - w : w;
        if (warps_[warp_].ready) return true;
    }
    return false;
}

unsigned Block::choose_lane() {
    unsigned const ready = warps_[warp_].ready;
    auto const lowest = [](unsigned mask) { return static_cast<unsigned>(__builtin_ctz(mask)); };
    if (settings().order == Order::ascending) return lowest(ready);
    if (settings().order == Order::descending)
        return WARP - 1 - static_cast<unsigned>(__builtin_clz(ready));
    unsigned const turn = static_cast<unsigned>(random_.below(WARP));
    return (lowest(ready >> turn | ready << (WARP - turn) % WARP) + turn) % WARP;
}

Fiber *Block::choose(bool same_warp) {
    while (!(same_warp && warps_[warp_].ready) && !choose_warp()) {
        if (alive_ == 0) return &host_;
        if (!help_waiting()) fail_stuck();
    }
    self_ = warp_ * WARP + choose_lane();
    threadIdx = self().index;
    return &self().fiber;
}

/* Hands over to whoever is next; returns when the caller's turn has come again. */
void Block::go_on(bool same_warp) {
    Fiber *const from = &self().fiber, *const to = choose(same_warp);
    if (from != to) fiber_switch(from, to);
}

/* ---- meeting points -----------------------------------------------------------------------------
 */

std::vector<Fiber *> &Block::gather(bool with_host) {
    static thread_local std::vector<Fiber *> fibers;
    fibers.clear();
    if (with_host) fibers.push_back(&host_);
    for (unsigned t = 0; t < count_; ++t) fibers.push_back(&threads_[t].fiber);
    return fibers;
}

void Block::meet_all(bool with_host) {
    std::vector<Fiber *> const &fibers = gather(with_host);
    fibers_meet(with_host ? &host_ : &self().fiber, fibers.data(), fibers.size());
}

void Block::check_same_place(const Meeting &first) const {
    const Meeting &own = threads_[self_].meeting;
    if (own.at.line != first.at.line || std::strcmp(own.at.file, first.at.file) != 0)
        fail_at(own.at, text_of(own) + " in thread " + text_of(threads_[self_].index) +
                            ": diverged: others of the block are in " + text_of(first) + " at " +
                            text_of(first.at));
}

void Block::meet_block(Site at) {
    self().meeting = {SYNCTHREADS, 0, 0, 0, at};
    if (at_barrier_ == 0) barrier_ = self().meeting;
    check_same_place(barrier_);
    warps_[warp_].ready &= ~(1u << lane());
    if (++at_barrier_ == count_) {
        at_barrier_ = 0;
        for (unsigned w = 0; w < warp_count_; ++w) warps_[w].ready = warps_[w].lanes;
        meet_all(false);
    }
    go_on(at_barrier_ != 0);
}

/* Until somebody wakes it. */
void Block::block_self() {
    warps_[warp_].ready &= ~(1u << lane());
    go_on(true);
}

/* ---- the cluster's barrier ----------------------------------------------------------------------
 */

void Block::arrive_at_cluster(Primitive primitive, Site at) {
    Thread &me = self();
    me.meeting = {primitive, 0, 0, 0, at};
    if (me.arrived)
        fail_at(at, text_of(me.meeting) + " in thread " + text_of(me.index) +
                        ": arrives twice and has not waited");
    if (arrived_ == 0) cluster_barrier_ = me.meeting;
    check_same_place(cluster_barrier_);
    me.arrived = true;
    me.phase = cluster_->phase();
    Fiber *const fiber = &me.fiber;
    fibers_come(fiber, &fiber, 1, cluster_->meeting(me.phase));
    if (++arrived_ < count_) return;
    arrived_ = 0;
    cluster_->arrive(rank());
}

void Block::wait_for_cluster(Primitive primitive, Site at) {
    Thread &me = self();
    me.meeting = {primitive, 0, 0, 0, at};
    if (!me.arrived)
        fail_at(at, text_of(me.meeting) + " in thread " + text_of(me.index) +
                        ": waits and has not arrived");
    me.waits_for_cluster = true;
    while (cluster_->phase() == me.phase) block_self();
    me.waits_for_cluster = me.arrived = false;
    Fiber *const fiber = &me.fiber;
    fibers_go(fiber, &fiber, 1, cluster_->meeting(me.phase));
}

/* Threads that wait for a phase that is complete. */
bool Block::wake_from_cluster() {
    bool found = false;
    for (unsigned t = 0; t < count_; ++t) {
        if (!threads_[t].waits_for_cluster || threads_[t].phase == cluster_->phase()) continue;
        wake(t);
        found = true;
    }
    return found;
}

bool Block::waits_for_cluster() const {
    return std::any_of(threads_.begin(), threads_.begin() + count_,
                       [](const Thread &t) { return t.waits_for_cluster; });
}

/* The block can do no more before other blocks have arrived. */
void Block::let_others_arrive() {
    if (!cluster_->wait(rank(), cluster_->phase()))
        fail_at(cluster_barrier_.at,
                text_of(cluster_barrier_) +
                    ": not reached by a block of the cluster, which has ended");
}

/* ---- mbarriers and bulk copies ------------------------------------------------------------------
 */

mbarrier Block::begin_mbarrier(const mbarrier *address, unsigned count, Site at) {
    mbarrier held = 0;
    std::string const refused = mbarriers_.init(address, count, &held);
    if (!refused.empty()) fail_at(at, "mbarrier_init: " + refused);
    return held;
}

Mbarrier *Block::find_mbarrier(const mbarrier *address, mbarrier held, const char *call, Site at) {
    Mbarrier *found = nullptr;
    std::string const refused = mbarriers_.find(address, held, &found);
    if (!refused.empty()) fail_at(at, call + (": " + refused));
    return found;
}

void Block::arrive_at_mbarrier(const mbarrier *address, mbarrier held, unsigned bytes, Site at) {
    Mbarrier *const barrier = find_mbarrier(address, held, "mbarrier_arrive", at);
    Fiber *const fiber = &self().fiber;
    bool completed = false;
    fibers_come(fiber, &fiber, 1, &barrier->phases[barrier->phase % 2]);
    std::string const refused = mbarriers_.arrive(barrier, bytes, &completed);
    if (!refused.empty()) fail_at(at, "mbarrier_arrive: " + refused);
    if (completed) wake_waiting_for(barrier);
}

void Block::wait_for_mbarrier(const mbarrier *address, mbarrier held, unsigned parity, Site at) {
    Mbarrier *const barrier = find_mbarrier(address, held, "mbarrier_wait", at);
    Thread &me = self();
    me.meeting = {MBARRIER_WAIT, 0, 0, 0, at};
    if (parity > 1) fail_at(at, "mbarrier_wait: a parity is 0 or 1, not " + std::to_string(parity));
    me.mbarrier = barrier;
    me.parity = parity;
    while (!barrier->is_complete(parity)) block_self();
    me.mbarrier = nullptr;
    Fiber *const fiber = &me.fiber;
    fibers_go(fiber, &fiber, 1, &barrier->phases[parity]);
}

void Block::wake_waiting_for(const Mbarrier *barrier) {
    for (unsigned t = 0; t < count_; ++t)
        if (threads_[t].mbarrier == barrier && barrier->is_complete(threads_[t].parity)) wake(t);
}

void Block::check_copy(const BulkCopy &copy, mbarrier held) {
    (void)find_mbarrier(copy.barrier, held, "bulk_copy", copy.at);
    std::string const refused = mbarriers_.check(copy, rs_shared, launch_->shared_bytes);
    if (!refused.empty()) fail_at(copy.at, "bulk_copy: " + refused);
}

void Block::begin_copy(const BulkCopy &copy) {
    Fiber *const fiber = &self().fiber;
    fibers_come(fiber, &fiber, 1, copy.to);
    if (__asan_poison_memory_region) __asan_poison_memory_region(copy.to, copy.bytes);
    mbarriers_.begin(copy);
}

void Block::land_copy() {
    BulkCopy const copy = mbarriers_.take_copy(&random_);
    Mbarrier *const barrier = find_mbarrier(copy.barrier, *copy.barrier, "bulk_copy", copy.at);
    Fiber *const copier = &copier_;
    if (__asan_unpoison_memory_region) __asan_unpoison_memory_region(copy.to, copy.bytes);
    fibers_go(&self().fiber, &copier, 1, copy.to);
    fiber_act_as(&self().fiber, copier, [&] { copy.take_place(copy); });
    fibers_come(&self().fiber, &copier, 1, &barrier->phases[barrier->phase % 2]);
    bool completed = false;
    std::string const refused = mbarriers_.count_down(barrier, copy.bytes, &completed);
    if (!refused.empty()) fail_at(copy.at, "bulk_copy: " + refused);
    if (completed) wake_waiting_for(barrier);
}

/* For threads none of which can go on: the last things that may help them. */
bool Block::help_waiting() {
    if (mbarriers_.has_copies()) {
        land_copy();
        return true;
    }
    if (wake_from_cluster()) return true;
    if (arrived_ > 0 || !waits_for_cluster()) return false;
    let_others_arrive();
    return wake_from_cluster();
}

/* ---- warps --------------------------------------------------------------------------------------
 */

bool Block::all_wait(const Meeting &meeting) const {
    if ((warps_[warp_].waiting & meeting.mask) != meeting.mask) return false;
    for (unsigned lane = 0; lane < WARP; ++lane) {
        if ((meeting.mask >> lane & 1) == 0) continue;
        const Meeting &other = threads_[warp_ * WARP + lane].meeting;
        if (other.primitive != meeting.primitive || other.mask != meeting.mask) return false;
    }
    return true;
}

/* All lanes of the mask are here: each takes what it came for. */
void Block::exchange(const Meeting &meeting) {
    Thread *const lanes = &threads_[warp_ * WARP];
    Fiber *fibers[WARP];
    size_t count = 0;
    uint64_t ballot = 0;
    for (unsigned lane = 0; lane < WARP; ++lane) {
        if ((meeting.mask >> lane & 1) == 0) continue;
        fibers[count++] = &lanes[lane].fiber;
        if (lanes[lane].meeting.value != 0) ballot |= uint64_t{1} << lane;
        unsigned const source = lanes[lane].meeting.source;
        if ((meeting.mask >> source & 1) == 0)
            fail_at(lanes[lane].meeting.at, text_of(meeting) + " in thread " +
                                                text_of(lanes[lane].index) + ": reads lane " +
                                                std::to_string(source) + ", not in the mask");
        lanes[lane].taken = lanes[source].meeting.value;
    }
    for (unsigned lane = 0; meeting.primitive == BALLOT && lane < WARP; ++lane)
        if (meeting.mask >> lane & 1) lanes[lane].taken = ballot;
    fibers_meet(&self().fiber, fibers, count);
}

uint64_t Block::meet_warp(const Meeting &meeting) {
    Thread &me = self();
    Warp &warp = warps_[warp_];
    me.meeting = meeting;
    if ((meeting.mask >> lane() & 1) == 0)
        fail_at(meeting.at, text_of(meeting) + " in thread " + text_of(me.index) +
                                ": the mask does not name the caller, lane " +
                                std::to_string(lane()));
    warp.waiting |= 1u << lane();
    warp.ready &= ~(1u << lane());
    if (all_wait(meeting)) {
        exchange(meeting);
        warp.waiting &= ~meeting.mask;
        warp.ready |= meeting.mask;
    }
    go_on(true);
    return me.taken;
}

/* ---- a block's life -----------------------------------------------------------------------------
 */

static void thread_main() {
    fiber_enter();
    current->run_thread();
}

void Block::run_thread() {
    launch_->thread();
    if (!self().copies.empty())
        fail_at(self().meeting.at, "thread " + text_of(self().index) +
                                       ": exits and leaves a __pipeline_memcpy_async unwaited for");
    if (self().arrived)
        fail_at(self().meeting.at,
                "thread " + text_of(self().index) +
                    ": exits and has not waited after cluster_group::barrier_arrive");
    self().exited = true;
    warps_[warp_].ready &= ~(1u << lane());
    if (--alive_ == 0 && mbarriers_.has_copies())
        fail_at(mbarriers_.some_copy().at, "bulk_copy: the block ends before it has come");
    Fiber *const from = &self().fiber;
    fiber_leave(from, choose(true));
}

static constexpr Site nowhere = {"before any meeting point", 0};

static uint64_t block_number(const dim3 &grid, uint3 index) {
    return index.x + uint64_t{grid.x} * (index.y + uint64_t{grid.y} * index.z);
}

void Block::prepare(const Launch &launch, uint3 index) {
    const dim3 &size = launch.block;
    launch_ = &launch;
    index_ = index;
    count_ = alive_ = size.x * size.y * size.z;
    warp_count_ = (count_ + WARP - 1) / WARP;
    random_ = RandomBits(settings().seed ^ (block_number(launch.grid, index) << 32));
    mbarriers_.clear();
    for (; stacks_ < count_; ++stacks_) fiber_create(&threads_[stacks_].fiber);
    cluster_barrier_.at = nowhere;
    for (unsigned w = 0; w < warp_count_; ++w) warps_[w] = {};
    for (unsigned t = 0; t < count_; ++t) {
        Thread &thread = threads_[t];
        thread.index = {t % size.x, t / size.x % size.y, t / (size.x * size.y)};
        thread.exited = false;
        thread.meeting = {};
        thread.meeting.at = nowhere;
        thread.batches = 0;
        thread.arrived = thread.waits_for_cluster = false;
        thread.mbarrier = nullptr;
        fiber_start(&thread.fiber, thread_main);
        warps_[t / WARP].lanes |= 1u << t % WARP;
    }
    for (unsigned w = 0; w < warp_count_; ++w) warps_[w].ready = warps_[w].lanes;
    blockIdx = index;
    blockDim = size;
    gridDim = launch.grid;
}

/* All shared memory begins as NaN bits. */
static void fill_shared(const Launch &launch) {
    std::memset(rs_shared, 0xff, launch.shared_bytes);
    for (const SharedVariable &variable : launch.symbols.shared)
        std::memset(thread_local_storage() + variable.offset, 0xff, variable.bytes);
}

/* Nobody may reach for the shared memory of a block that has ended. Who reads finds NaN bits. */
void Block::leave_cluster() {
    Fiber *const host = &host_;
    unsigned char *const end = rs_shared + launch_->shared_bytes;
    auto const filler = [](unsigned char byte) { return byte == 0xff; };
    std::memset(rs_shared, 0xff, launch_->shared_bytes);
    fibers_come(host, &host, 1, cluster_);
    cluster_->leave(rank());
    fibers_go(host, &host, 1, cluster_);
    if (!std::all_of(rs_shared, end, filler))
        fail_at(cluster_barrier_.at,
                "the block's shared memory was written to after the block had ended");
}

void Block::run_threads() {
    fill_shared(*launch_);
    if (__asan_poison_memory_region)
        __asan_poison_memory_region(rs_shared + launch_->shared_bytes,
                                    MOST_SHARED_BYTES - launch_->shared_bytes);
    meet_all(true);
    fiber_switch(&host_, choose(false));
    meet_all(true);
}

/* Its shared memory begins when the block does: what another has written there before is lost. */
void Block::run(const Launch &launch, uint3 index, Cluster *cluster) {
    prepare(launch, index);
    cluster_ = cluster;
    cluster_->enter(rank(), rs_shared);
    run_threads();
    if (cluster_->blocks() > 1) leave_cluster();
    if (__asan_unpoison_memory_region) __asan_unpoison_memory_region(rs_shared, MOST_SHARED_BYTES);
}

void run_block(const Launch &launch, uint3 index, Cluster *cluster) {
    static thread_local Block block;
    current = &block;
    block.run(launch, index, cluster);
}

/* ---- what device code calls
 * ----------------------------------------------------------------------- */

void meet_block(Site at) { current->meet_block(at); }

void cluster_arrive(Primitive primitive, Site at) { current->arrive_at_cluster(primitive, at); }

void cluster_wait(Primitive primitive, Site at) { current->wait_for_cluster(primitive, at); }

uint64_t meet_warp(Primitive primitive, unsigned mask, uint64_t value, unsigned source, Site at) {
    return current->meet_warp({primitive, mask, value, source, at});
}

void trap(Site at) { current->fail_at(at, "__trap"); }

unsigned lane_id() { return current->lane(); }

unsigned cluster_rank() { return current->rank(); }

unsigned cluster_blocks() { return current->cluster().blocks(); }

void *cluster_peer(const void *own, unsigned rank, Site at) {
    auto const offset = static_cast<size_t>(static_cast<const unsigned char *>(own) - rs_shared);
    if (rank >= cluster_blocks())
        current->fail_at(at, "cluster_group::map_shared_rank: no block of rank " +
                                 std::to_string(rank) + " among " +
                                 std::to_string(cluster_blocks()));
    if (offset >= MOST_SHARED_BYTES)
        current->fail_at(at, "cluster_group::map_shared_rank: not of dynamic shared memory");
    return current->cluster().shared(rank) + offset;
}

unsigned source_lane(Primitive primitive, unsigned operand, unsigned width) {
    unsigned const lane = current->lane(), first = lane & ~(width - 1), end = first + width;
    switch (primitive) {
    case SHFL: return first | (operand & (width - 1));
    case SHFL_UP: return lane - first >= operand ? lane - operand : lane;
    case SHFL_DOWN: return operand < end - lane ? lane + operand : lane;
    default: return (lane ^ operand) < end ? lane ^ operand : lane;
    }
}

mbarrier mbarrier_begin(mbarrier *barrier, unsigned count, Site at) {
    return current->begin_mbarrier(barrier, count, at);
}

void mbarrier_fence() { current->fence_mbarriers(); }

void mbarrier_come(mbarrier *barrier, mbarrier held, unsigned bytes, Site at) {
    current->arrive_at_mbarrier(barrier, held, bytes, at);
}

void mbarrier_await(mbarrier *barrier, mbarrier held, unsigned parity, Site at) {
    current->wait_for_mbarrier(barrier, held, parity, at);
}

void bulk_copy_check(const BulkCopy &copy, mbarrier held) { current->check_copy(copy, held); }

void bulk_copy_begin(const BulkCopy &copy) { current->begin_copy(copy); }

void copy_issue(const Copy &copy, Site at) {
    Thread &self = current->self();
    auto const misaligned = [&](const void *p) {
        return reinterpret_cast<uintptr_t>(p) % copy.bytes != 0;
    };
    if (copy.bytes != 4 && copy.bytes != 8 && copy.bytes != 16)
        current->fail_at(at, "__pipeline_memcpy_async: copies 4, 8 or 16 bytes, not " +
                                 std::to_string(copy.bytes));
    if (misaligned(copy.to) || misaligned(copy.from))
        current->fail_at(at, "__pipeline_memcpy_async: not aligned to its " +
                                 std::to_string(copy.bytes) + " bytes");
    self.meeting.at = at;
    self.copies.push_back({copy, self.batches});
}

void copy_commit() { ++current->self().batches; }

bool copy_take(size_t prior, Copy *copy) {
    Thread &self = current->self();
    if (self.copies.empty() || self.copies.front().batch + prior >= self.batches) return false;
    *copy = self.copies.front().copy;
    self.copies.erase(self.copies.begin());
    return true;
}

} // namespace cuda_on_cpu
