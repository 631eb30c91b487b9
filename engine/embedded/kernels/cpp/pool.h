// Threads that run a list of Ops in order. The items of one Op are handed out one at a time, so a thread that the
// operating system takes away delays the others by at most the item it holds, not by a barrier.
#pragma once
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <memory>
#include <thread>
#include <vector>

#include "op.h"

class Pool {
 public:
  using Items = int (*)(const Op &);
  using Run = void (*)(const Op &, int item);
  using Hook = void (*)();

  Pool(int threads, Items items, Run run, Hook enter, Hook leave) : items_(items), run_(run), enter_(enter), leave_(leave) {
    for (int i = 1; i < threads; i++) workers_.emplace_back([this] { serve(); });
  }

  ~Pool() {
    stop_ = true;
    call();
    for (auto &w : workers_) w.join();
  }

  void run(const Op *ops, int n) {
    if (n > capacity_) counters_.reset(new Counter[capacity_ = n]);
    for (int i = 0; i < n; i++) {
      counters_[i].next.store(0, std::memory_order_relaxed);
      counters_[i].done.store(0, std::memory_order_relaxed);
      counters_[i].items.store(UNKNOWN, std::memory_order_relaxed);
    }
    ops_ = ops, n_ = n;
    left_.store(0, std::memory_order_relaxed);
    door_.store(OPEN, std::memory_order_release);
    if (!workers_.empty() && (n > 1 || items_(ops[0]) > 1)) call();
    work();
    // Who came in must be out before the caller may free the ops; who did not come in finds the door shut.
    int entered = door_.exchange(0, std::memory_order_acq_rel) & ~OPEN;
    for (int spins = 0; left_.load(std::memory_order_acquire) < entered;) relax(spins);
  }

 private:
  struct alignas(64) Counter {
    std::atomic<int> next{0};
    std::atomic<int> items{0};
    alignas(64) std::atomic<int> done{0};
  };
  static constexpr int UNKNOWN = -1;
  static constexpr int OPEN = 1 << 30;
  static constexpr int IDLE_SPINS = 2000;  // some 50 microseconds: longer would steal the core from the server's thread

  static void relax(int &spins) {
    if (++spins % 4096 == 0) std::this_thread::yield();
    __builtin_ia32_pause();
  }

  void work() {
    if (enter_) enter_();
    work_off();
    if (leave_) leave_();
  }

  void work_off() {
    for (int o = 0; o < n_; o++) {
      const Op &op = ops_[o];
      Counter &c = counters_[o];
      const int items = counted(op, c.items);
      for (int i; (i = c.next.fetch_add(1, std::memory_order_relaxed)) < items;) {
        run_(op, i);
        c.done.fetch_add(1, std::memory_order_release);
      }
      for (int spins = 0; c.done.load(std::memory_order_acquire) < items;) relax(spins);
    }
  }

  // What an Op's items depend on may be gone when a late thread arrives: the number that the first one found counts.
  int counted(const Op &op, std::atomic<int> &items) {
    int known = items.load(std::memory_order_acquire);
    if (known != UNKNOWN) return known;
    const int found = items_(op);
    return items.compare_exchange_strong(known, found, std::memory_order_acq_rel) ? found : known;
  }

  void call() {
    bell_.fetch_add(1, std::memory_order_seq_cst);
    if (sleepers_.load(std::memory_order_seq_cst) > 0) syscall(SYS_futex, &bell_, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
  }

  void wait(int heard) {
    for (int i = 0; i < IDLE_SPINS; i++) {
      if (bell_.load(std::memory_order_acquire) != heard) return;
      __builtin_ia32_pause();
    }
    sleepers_.fetch_add(1, std::memory_order_seq_cst);
    while (bell_.load(std::memory_order_seq_cst) == heard) syscall(SYS_futex, &bell_, FUTEX_WAIT_PRIVATE, heard, nullptr, nullptr, 0);
    sleepers_.fetch_sub(1, std::memory_order_relaxed);
  }

  bool enter() {
    int door = door_.load(std::memory_order_acquire);
    while (door & OPEN)
      if (door_.compare_exchange_weak(door, door + 1, std::memory_order_acq_rel)) return true;
    return false;
  }

  void serve() {
    int heard = bell_.load(std::memory_order_acquire);
    while (!stop_) {
      wait(heard);
      heard = bell_.load(std::memory_order_acquire);
      if (!stop_ && enter()) {
        work();
        left_.fetch_add(1, std::memory_order_release);
      }
    }
  }

  Items items_;
  Run run_;
  Hook enter_, leave_;
  const Op *ops_ = nullptr;
  int n_ = 0, capacity_ = 0;
  std::unique_ptr<Counter[]> counters_;
  alignas(64) std::atomic<int> door_{0};
  alignas(64) std::atomic<int> left_{0};
  alignas(64) std::atomic<int> bell_{0};
  std::atomic<int> sleepers_{0};
  std::atomic<bool> stop_{false};
  std::vector<std::thread> workers_;
};
