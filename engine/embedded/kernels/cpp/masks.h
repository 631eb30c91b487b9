// Who may see whom (models/masks.py): queries by their positions, keys a page of sixteen at a time. That nobody sees what is ahead is
// not said here.

struct Mask {
  int kind, size, other;  // WINDOW size; CHUNKED size, chunks before; STRIDED local, stride; FIXED size, summary

  // The first key that a query sees. It sees all from there on, unless the mask has gaps.
  int oldest(int position) const {
    if (kind == WINDOW) return std::max(0, position - size + 1);
    if (kind == CHUNKED) return std::max(0, position / size - other) * size;
    return 0;
  }
  bool gaps() const { return has_gaps(kind); }

  // Of the page that begins at `key`, not behind the query: those keys that it sees.
  uint16_t seen(int position, int key) const {
    if (kind == STRIDED) return ~first_lanes(position - size + 1 - key) | every(other, (position - key) % other, 1);
    if (kind == FIXED) return ~first_lanes(position / size * size - key) | every(size, size - other - key % size, other);
    return ~first_lanes(oldest(position) - key);
  }

  // Is there one among the queries from `first` to `last` that sees a key of the page?
  bool touches(int first, int last, int key) const {
    const int end = key + PAGE - 1;
    if (kind == STRIDED) return first - end < size || (last - key) / other * other >= first - end;
    if (kind == FIXED) return end >= first / size * size || (other && key % size + PAGE - 1 >= size - other);
    return true;
  }

 private:
  // `count` lanes from `first` on, again after every `step`. `first` may lie up to a step before the first lane.
  static uint16_t every(int step, int first, int count) {
    uint16_t lanes = 0;
    for (; first < PAGE; first += step) lanes |= first_lanes(first + count) & ~first_lanes(first);
    return lanes;
  }
};
