/** Who may look at whom: the kinds of attention, as models/spec.py has them and as papers draw them. */
export interface Pattern {
  name: string;
  told: string;
  /** Whether token `i` may look at token `j`, of `n`. */
  sees: (i: number, j: number, n: number) => boolean;
  /** How many heads look, of three, where they differ. */
  heads?: (i: number, j: number) => number;
}

const WINDOW = 5;
const BLOCK = 4;
const SIZES = [3, 6, 12];

/** Blocks that a block looks at in Big Bird, the same each time: its own, its neighbours, the first, and one by a hash. */
const randomBlock = (block: number, blocks: number) => (block * 7 + 3) % blocks;

export const PATTERNS: readonly Pattern[] = [
  { name: "Causal", told: "All that stands before, and itself: GPT, Llama.", sees: (i, j) => j <= i },
  { name: "Sliding window", told: `The last ${WINDOW} tokens: Mistral; memory stops growing. Layers above reach further, window by window.`, sees: (i, j) => j <= i && i - j < WINDOW },
  {
    name: "Grouped window",
    told: "Groups of heads have windows of their own, here of 3, 6 and 12 tokens: the darker, the more of them look.",
    sees: (i, j) => j <= i && i - j < Math.max(...SIZES),
    heads: (i, j) => SIZES.filter((size) => i - j < size).length,
  },
  { name: "Strided", told: "The tokens near by, and every fourth one further back: Sparse Transformer.", sees: (i, j) => j <= i && (i - j < BLOCK || (i - j) % BLOCK === 0) },
  { name: "Local and global", told: "A window to both sides, and two tokens that see all and that all see: Longformer.", sees: (i, j) => Math.abs(i - j) < 3 || i < 2 || j < 2 },
  {
    name: "Random blocks",
    told: "Blocks of four: the own one, its neighbours, the first, and a random one: Big Bird.",
    sees: (i, j, n) => {
      const [a, b] = [Math.floor(i / BLOCK), Math.floor(j / BLOCK)];
      return Math.abs(a - b) <= 1 || a === 0 || b === 0 || b === randomBlock(a, Math.ceil(n / BLOCK));
    },
  },
  { name: "Bidirectional", told: "Everything, before and after: BERT, and the encoders of T5 and Whisper.", sees: () => true },
  { name: "Cross", told: "A decoder's token (row) looks at all that the encoder has read (columns), and at none of its own.", sees: () => true },
];
