#include "grid.h"

#include "cluster.h"
#include "random_bits.h"
#include "settings.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <numeric>
#include <thread>
#include <vector>

namespace cuda_on_cpu {

/* The order in which blocks are begun. */
static std::vector<size_t> block_order(size_t count) {
    std::vector<size_t> order(count);
    std::iota(order.begin(), order.end(), size_t{0});
    if (settings().order == Order::descending) std::reverse(order.begin(), order.end());
    if (settings().order == Order::shuffled) {
        RandomBits random(settings().seed);
        for (size_t i = count; i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
    }
    return order;
}

/* Threads that live as long as the program, because their fibers are costly to make. */
class Workers {
  public:
    using Work = std::function<void(unsigned worker)>;

    explicit Workers(unsigned count) : count_(count) {
        for (unsigned i = 1; i < count; ++i) std::thread([this, i] { serve(i); }).detach();
    }

    /* Once by every worker; the caller is worker 0. */
    void run(const Work &work) {
        begin(work);
        work(0);
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [&] { return busy_ == 0; });
    }

  private:
    void begin(const Work &work) {
        std::lock_guard<std::mutex> const lock(mutex_);
        work_ = &work;
        busy_ = count_ - 1;
        ++turn_;
        changed_.notify_all();
    }

    [[noreturn]] void serve(unsigned worker) {
        std::unique_lock<std::mutex> lock(mutex_);
        for (uint64_t turn = 0;;) {
            changed_.wait(lock, [&] { return turn_ != turn; });
            turn = turn_;
            lock.unlock();
            (*work_)(worker);
            lock.lock();
            --busy_;
            changed_.notify_all();
        }
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    const Work *work_ = nullptr;
    unsigned const count_;
    unsigned busy_ = 0;
    uint64_t turn_ = 0;
};

static uint3 index_of(const dim3 &grid, size_t block) {
    return {static_cast<unsigned>(block % grid.x), static_cast<unsigned>(block / grid.x % grid.y),
            static_cast<unsigned>(block / grid.x / grid.y)};
}

/* Any worker takes the next block. */
static void run_blocks(const Launch &launch, size_t count) {
    std::vector<size_t> const order = block_order(count);
    std::atomic<size_t> next{0};
    auto const take = [&](unsigned) {
        for (size_t i; (i = next++) < count;) {
            Cluster alone(1, order[i]);
            run_block(launch, index_of(launch.grid, order[i]), &alone);
        }
    };
    static Workers &workers = *new Workers(settings().os_threads);
    if (count == 1)
        take(0);
    else
        workers.run(take);
}

/* One cluster after the other; a worker for each of its blocks. */
static void run_clusters(const Launch &launch, size_t count) {
    std::vector<size_t> const order = block_order(count);
    std::deque<Cluster> clusters;
    for (size_t number : order) clusters.emplace_back(launch.cluster, number);
    auto const take = [&](unsigned rank) {
        if (rank >= launch.cluster) return;
        for (size_t i = 0; i < count; ++i)
            run_block(launch, index_of(launch.grid, order[i] * launch.cluster + rank),
                      &clusters[i]);
    };
    static Workers &workers = *new Workers(MOST_CLUSTER_BLOCKS);
    workers.run(take);
}

void run_grid(const Launch &launch) {
    const dim3 &size = launch.grid;
    size_t const blocks = size_t{size.x} * size.y * size.z;
    if (launch.cluster > 1)
        run_clusters(launch, blocks / launch.cluster);
    else
        run_blocks(launch, blocks);
}

} // namespace cuda_on_cpu
