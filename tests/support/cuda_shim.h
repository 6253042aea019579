// CUDA's way of running a kernel, on a CPU: every thread of a block is a fiber, blocks run one after another.
//
// A fiber runs until it ends or waits for others, then the next one runs; a warp runs as far as it can, then the next
// one. `order` says in which order: forward, backward or scrambled. For want of a barrier a thread reads what another
// one has yet to write, or has written over, in one of them. Dynamic shared memory begins as NaN. A barrier that some threads never reach ends the
// process. What this cannot show: blocks that disturb each other, rounding of the GPU's own functions, speed.
#pragma once
#include <setjmp.h>
#include <ucontext.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

using std::exp, std::fabs, std::fmax, std::fmin, std::isfinite, std::log, std::log1p, std::pow, std::rint, std::sqrt;
using std::tanh;  // both precisions of each, as CUDA has them
template <class T> T cospi(T x) { return std::cos(T(3.141592653589793) * x); }
template <class T> T sinpi(T x) { return std::sin(T(3.141592653589793) * x); }

struct Index { unsigned x, y, z; };

#define __global__
#define __device__
#define DYNAMIC_SHARED(type, name) type* name = reinterpret_cast<type*>(shim::shared_memory())

namespace shim {

enum Waiting { NOT, FOR_BLOCK, FOR_WARP };

struct Fiber {
    jmp_buf place;  // where it goes on
    std::vector<char> stack;
    Index index;
    bool done;
    Waiting waiting;
    double given;  // to the other lanes of its warp
};

inline std::vector<Fiber> fibers;
inline std::vector<double> memory;
inline std::function<void()> body;
inline jmp_buf scheduler;
inline Index block, block_size, grid_size;
inline int current, order;

inline void* shared_memory() { return memory.data(); }

[[noreturn]] inline void fail(const char* what)
{
    fprintf(stderr, "CUDA shim: %s in block %u\n", what, block.x);
    abort();
}

// Fibers are made once, by ucontext, and then take turns by jumps, which cost no call of the system.
inline void leave()
{
    if (!_setjmp(fibers[current].place)) _longjmp(scheduler, 1);
}

inline void enter(int fiber)
{
    current = fiber;
    if (!_setjmp(scheduler)) _longjmp(fibers[fiber].place, 1);
}

inline void live()
{
    for (;;) {
        leave();
        body();
        fibers[current].done = true;
    }
}

inline void make_fiber()
{
    fibers.emplace_back();
    current = int(fibers.size()) - 1;
    fibers.back().stack.resize(32 << 10);
    ucontext_t context, here;
    getcontext(&context);
    context.uc_stack.ss_sp = fibers.back().stack.data();
    context.uc_stack.ss_size = fibers.back().stack.size();
    context.uc_link = nullptr;
    makecontext(&context, live, 0);
    if (!_setjmp(scheduler)) swapcontext(&here, &context);
}

inline void wait(Waiting what)
{
    fibers[current].waiting = what;
    leave();
}

inline int turn(int k, int n) { return order == 0 ? k : order == 1 ? n - 1 - k : int((7919ll * k + n / 3) % n); }

// Let go of those of fibers first to last who wait for `what`, if all wait for it that still run.
inline bool release(int first, int last, Waiting what)
{
    int running = 0, waiting = 0;
    for (int k = first; k < last; k++) {
        running += !fibers[k].done;
        waiting += !fibers[k].done && fibers[k].waiting == what;
    }
    if (waiting == 0 || waiting < running) return false;
    if (what == FOR_BLOCK && running < last - first) fail("a barrier that some threads never reach");
    for (int k = first; k < last; k++) fibers[k].waiting = NOT;
    return true;
}

inline void run_block()
{
    int n = int(block_size.x);
    for (int k = 0; k < n; k++) {
        fibers[k].done = false;
        fibers[k].waiting = NOT;
        fibers[k].index = {unsigned(k), 0, 0};
    }
    for (bool going = true; going;) {
        going = false;
        for (int warp = 0; warp < n / 32; warp++) {
            int first = 32 * turn(warp, n / 32);
            do {
                for (int lane = 0; lane < 32; lane++) {
                    int fiber = first + turn(lane, 32);
                    if (fibers[fiber].done || fibers[fiber].waiting != NOT) continue;
                    going = true;
                    enter(fiber);
                }
            } while (release(first, first + 32, FOR_WARP));
        }
        going |= release(0, n, FOR_BLOCK);
    }
    for (int k = 0; k < n; k++)
        if (!fibers[k].done) fail("threads that wait for each other");
}

inline void launch(unsigned blocks, unsigned threads, size_t shared, std::function<void()> kernel)
{
    body = kernel;
    grid_size = {blocks, 1, 1};
    block_size = {threads, 1, 1};
    if (threads % 32) fail("a block that is not of whole warps");
    while (fibers.size() < threads) make_fiber();
    memory.resize(shared / sizeof(double) + 1);
    for (unsigned k = 0; k < blocks; k++) {
        block = {k, 0, 0};
        memset(memory.data(), 0xff, memory.size() * sizeof(double));
        run_block();
    }
}

}  // namespace shim

#define threadIdx (shim::fibers[shim::current].index)
#define blockIdx shim::block
#define blockDim shim::block_size
#define gridDim shim::grid_size

inline void __syncthreads() { shim::wait(shim::FOR_BLOCK); }

template <class T> inline T __shfl_xor_sync(unsigned, T value, int mask)
{
    int me = shim::current;
    shim::fibers[me].given = value;
    shim::wait(shim::FOR_WARP);
    T other = T(shim::fibers[me ^ mask].given);
    shim::wait(shim::FOR_WARP);
    return other;
}
