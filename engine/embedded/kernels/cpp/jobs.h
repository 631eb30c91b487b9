// The work of a mixture of experts, cut for threads: rows lie sorted by expert, and a job is up to LINEAR_ROWS of one expert's.
#pragma once
#include "op.h"

struct Job {
  int32_t expert, first, end;
};

struct Jobs {  // DEAL writes them
  int32_t count;
  Job job[1];
};

static inline const Jobs &jobs_of(const Op &op) { return *(const Jobs *)op.p[5]; }

static inline int pairs(const Op &op, int active) { return rows(op, op.n[0]) * active; }  // (token, slot)

constexpr int STRIDE = 4;  // blocks of 16 outputs that are multiplied together

static inline int expert_blocks(const Op &op) {  // to an item: about 24 KB of weights, some 128 items of each thread's choice at the most
  const int few = 24 * 1024 / (op.n[1] * 2 * bits_of(op.n[3])), all = jobs_of(op).count * (op.n[2] / 16);
  return (std::max({1, few, all / 128}) + STRIDE - 1) / STRIDE * STRIDE;
}

static inline int expert_tiles(const Op &op) { return (op.n[2] / 16 + expert_blocks(op) - 1) / expert_blocks(op); }
