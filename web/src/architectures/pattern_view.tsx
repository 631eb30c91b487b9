/** Attention patterns, alive: the token under the mouse, or chosen by the arrow keys, and what it may attend to. */
import { useSignal } from "@preact/signals";
import { PATTERNS } from "./patterns";

const TOKENS = "The quick brown fox jumps over the lazy dog while the old cat sleeps in the warm sun and dreams of mice".split(" ");
const N = TOKENS.length;
const CELL = 14;

export function PatternView() {
  const chosen = useSignal(0);
  const token = useSignal(N - 5);
  const { name, told, sees, heads } = PATTERNS[chosen.value]!;
  const i = token.value;
  const seen = TOKENS.map((_, j) => sees(i, j, N));
  const all = TOKENS.reduce((sum, _, row) => sum + TOKENS.filter((__, j) => sees(row, j, N)).length, 0);
  const onKey = (event: KeyboardEvent) => {
    const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    token.value = Math.min(N - 1, Math.max(0, i + by));
  };
  return (
    <section class="figure" aria-label="Attention patterns">
      <h2>Who looks at whom</h2>
      <div class="row" role="group" aria-label="Kinds of attention">
        {PATTERNS.map((pattern, at) => (
          <button key={pattern.name} type="button" class={at === chosen.value ? "chip on" : "chip"} aria-pressed={at === chosen.value} onClick={() => (chosen.value = at)}>
            {pattern.name}
          </button>
        ))}
      </div>
      <p class="dim">{told}</p>
      <div class="pattern">
        <svg
          viewBox={`0 0 ${N * CELL} ${N * CELL}`}
          role="slider"
          tabindex={0}
          aria-label={`${name}: the token that looks`}
          aria-valuemin={1}
          aria-valuemax={N}
          aria-valuenow={i + 1}
          aria-valuetext={`“${TOKENS[i]}” sees ${seen.filter(Boolean).length} tokens`}
          onKeyDown={onKey}
          onPointerMove={(event) => {
            const box = event.currentTarget.getBoundingClientRect();
            token.value = Math.min(N - 1, Math.max(0, Math.floor(((event.clientY - box.top) / box.height) * N)));
          }}
        >
          {TOKENS.map((_, row) =>
            TOKENS.map((__, j) => (
              <rect key={j} x={j * CELL + 1} y={row * CELL + 1} width={CELL - 2} height={CELL - 2} rx={3} class={`cell${sees(row, j, N) ? ` sees level-${heads?.(row, j) ?? 3}` : ""}${row === i ? " here" : ""}`} />
            )),
          )}
        </svg>
        <div class="grow">
          <p class="sentence">
            {TOKENS.map((word, j) => (
              <span key={j} class={`word${seen[j] ? " sees" : ""}${i === j && name !== "Cross" ? " here" : ""}`} onPointerEnter={() => (token.value = j)}>
                {word}
              </span>
            ))}
          </p>
          <p class="dim">
            “{TOKENS[i]}” may attend to {seen.filter(Boolean).length} of {N} tokens; all together that is {all} of {N * N} pairs ({Math.round((100 * all) / (N * N))} %).
          </p>
        </div>
      </div>
    </section>
  );
}
