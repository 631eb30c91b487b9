// How an Op is cut into items, the pieces that threads take one at a time. The same for every instruction set.
#pragma once
#include <algorithm>

#include "jobs.h"
#include "op.h"

constexpr int ROWS = 16;          // rows of a small operation
constexpr int COLUMNS = 4096;     // of a row, in operations that a vocabulary's logits go through
constexpr int LINEAR_ROWS = 128;  // rows of a matrix product
constexpr int BESIDE = 2;         // blocks of 16 outputs that are multiplied side by side
constexpr int BESIDE_BF16 = 4;    // the same in bf16
constexpr int SCORED = 16;        // experts that one thread gives a few rows' logits
constexpr int TILE_ROWS = 48;     // (token, head) pairs that share a pass over the keys
constexpr int GAPPED_ROWS = 12;   // fewer where each looks at keys of its own
constexpr int LATENT_ROWS = 32;   // of latent attention
constexpr int CHANNELS = 64;      // that are convolved, or columns of a head's state
constexpr int SCANNED = 64;       // channels that are scanned
constexpr int HEAD_ROWS = 32;     // rows that are multiplied with one head's matrix

static constexpr int chunks(int n, int size) { return (n + size - 1) / size; }

static inline int linear_blocks(const Op &op) {  // blocks of 16 outputs: about 24 KB of weights, 128 items at the most
  const int block_bytes = op.n[1] * 2 * bits_of(op.n[3]), all = op.n[2] / 16, few = std::max({1, 24 * 1024 / block_bytes, all / 128});
  const int beside = op.n[3] == BF16 ? BESIDE_BF16 : BESIDE;
  return chunks(few, beside) * beside;
}

static inline int multiply_blocks(const Op &op) {  // of 16 outputs, in pairs: about 24 KB of weights
  return std::max(2, 24 * 1024 / (op.n[1] * 16) / 2 * 2);
}

static inline int tile_rows(const Op &op) { return has_gaps(op.n[7]) ? GAPPED_ROWS : TILE_ROWS; }

static inline int attend_tiles(const Op &op, int s) {  // of one kv head of sequence s
  const auto *starts = (const int32_t *)op.p[4];
  return chunks((starts[s + 1] - starts[s]) * (op.n[6] / op.n[1]), tile_rows(op));
}

// Keys that a sequence's first query looks at: those that are cached, and its own, which what an encoder has read is not among.
static inline int first_keys(const int32_t *cached, int s, int mask) { return cached[s] + (mask != FULL); }

static inline int attend_splits(const Op &op) {  // in use; only where each sequence has one new token
  const auto *cached = (const int32_t *)op.p[5];
  return op.n[8] ? chunks(*std::max_element(cached, cached + op.n[0]) + 1, SPLIT) : 1;
}

static inline int attend_items(const Op &op) {
  int tiles = 0;
  for (int s = 0; s < op.n[0]; s++) tiles += attend_tiles(op, s);
  return tiles * op.n[1] * attend_splits(op);
}

static inline int latent_tiles(const Op &op, int s) {  // of sequence s
  const auto *starts = (const int32_t *)op.p[4];
  return chunks((starts[s + 1] - starts[s]) * op.n[1], LATENT_ROWS);
}

static inline int latent_items(const Op &op) {
  int tiles = 0;
  for (int s = 0; s < op.n[0]; s++) tiles += latent_tiles(op, s);
  return tiles * attend_splits(op);
}

// Sequences whole and side by side (ARRANGE, ATTEND_WHOLE). Each has blocks of sixteen keys of its own: first_block says where they
// begin, such that no two sequences share one, though some are left out.
static inline int first_block(const int32_t *starts, int s) { return starts[s] / PAGE + s; }

static inline int sequences(const int32_t *starts, int all) {  // without the empty ones at the end
  while (all > 0 && starts[all - 1] == starts[all]) all--;
  return all;
}

static int items(const Op &op) {
  switch (op.code) {
    case LINEAR: return chunks(rows(op, op.n[0]), LINEAR_ROWS) * chunks(op.n[2] / 16, linear_blocks(op));
    case MULTIPLY: return chunks(rows(op, op.n[0]), LINEAR_ROWS) * chunks(op.n[2] / 16, multiply_blocks(op));
    case ATTEND: return attend_items(op);
    case COMBINE: return rows(op, op.n[0]);
    case REMEMBER: return chunks(rows(op, op.n[8]), ROWS);
    case RMS_NORM:
    case LAYER_NORM:
    case CLAMP:
    case HEAT: return chunks(rows(op, op.n[0]) * op.n[2], ROWS);
    case SCALE:
    case SOFTCAP: return chunks(rows(op, op.n[0]), ROWS) * chunks(op.n[1], COLUMNS);
    case ARRANGE: return chunks(rows(op, op.n[0]), PAGE) + sequences((const int32_t *)op.p[2], op.n[1]);
    case SCORE: return chunks(rows(op, op.n[0]), ROWS) * chunks(op.n[1], SCORED);
    case DEAL: return 1;
    case SPREAD: return chunks(pairs(op, op.n[5]), ROWS);
    case QUANTIZE_PAIRS: return chunks(pairs(op, op.n[4]), ROWS);
    case EXPERTS_UP:
    case EXPERTS_DOWN: return jobs_of(op).count * expert_tiles(op);
    case ATTEND_WHOLE: return sequences((const int32_t *)op.p[3], op.n[1]) * op.n[2];
    case EACH_HEAD: return chunks(rows(op, op.n[0]), HEAD_ROWS) * op.n[1];
    case REMEMBER_LATENT: return chunks(rows(op, op.n[6]), ROWS);
    case ATTEND_LATENT: return latent_items(op);
    case COMBINE_LATENT: return rows(op, op.n[0]) * op.n[1];
    case CONVOLVE: return chunks(op.n[1], CHANNELS);
    case SCAN: return chunks(op.n[1], SCANNED);
    case RECUR:
    case REPLACE: return sequences((const int32_t *)op.p[6], op.n[0]) * op.n[1] * chunks(op.n[4], CHANNELS);
    default: return chunks(rows(op, op.n[0]), ROWS);
  }
}
