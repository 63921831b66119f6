#include "grid.h"

#include "random_bits.h"
#include "settings.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
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

struct Grid {
    const Launch &launch;
    std::vector<size_t> order;
    std::atomic<size_t> next{0};
};

static void run_blocks(Grid *grid) {
    const dim3 &size = grid->launch.grid;
    for (size_t i; (i = grid->next++) < grid->order.size();) {
        size_t const block = grid->order[i];
        run_block(grid->launch, {static_cast<unsigned>(block % size.x),
                                 static_cast<unsigned>(block / size.x % size.y),
                                 static_cast<unsigned>(block / size.x / size.y)});
    }
}

/* Threads that live as long as the program, because their fibers are costly to make. */
class Workers {
  public:
    explicit Workers(unsigned count) : count_(count) {
        for (unsigned i = 0; i < count; ++i) std::thread([this] { work(); }).detach();
    }

    void run(Grid *grid) {
        begin(grid);
        run_blocks(grid);
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [&] { return busy_ == 0; });
    }

  private:
    void begin(Grid *grid) {
        std::lock_guard<std::mutex> const lock(mutex_);
        grid_ = grid;
        busy_ = count_;
        ++turn_;
        changed_.notify_all();
    }

    [[noreturn]] void work() {
        std::unique_lock<std::mutex> lock(mutex_);
        for (uint64_t turn = 0;;) {
            changed_.wait(lock, [&] { return turn_ != turn; });
            turn = turn_;
            lock.unlock();
            run_blocks(grid_);
            lock.lock();
            --busy_;
            changed_.notify_all();
        }
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    Grid *grid_ = nullptr;
    unsigned const count_;
    unsigned busy_ = 0;
    uint64_t turn_ = 0;
};

void run_grid(const Launch &launch) {
    const dim3 &size = launch.grid;
    Grid grid{launch, block_order(size_t{size.x} * size.y * size.z)};
    if (grid.order.size() == 1 || settings().os_threads == 1) {
        run_blocks(&grid);
    } else {
        static Workers &workers = *new Workers(settings().os_threads - 1);
        workers.run(&grid);
    }
}

} // namespace cuda_on_cpu
