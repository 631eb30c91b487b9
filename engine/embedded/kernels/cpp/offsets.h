// What a score is given for how far its key lies from its query (Raffel et al. 2019, arXiv 1910.10683, section 2.1): for each head a row
// of numbers for the offsets -back to ahead, before them sixteen times the first and behind them fifteen times the last, for what is
// further away. So the numbers of sixteen keys in a row are loaded at once, wherever these lie.

static inline int offsets_width(int back, int ahead) { return back + ahead + 32; }

// Of the sixteen keys from the one that lies `offset` behind the query on.
static inline f16v load_offsets(const float *row, int back, int ahead, int offset) {
  return load(row + back + 16 + std::min(std::max(offset, -back - 16), ahead));
}
