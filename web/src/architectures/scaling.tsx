/** Parameters against training tokens, with the line on which training is compute-optimal (Hoffmann et al. 2022, arXiv 2203.15556). */
import { short } from "../ui/format";

interface Own {
  name: string;
  active_parameters: number;
  optimal_tokens: number;
}

/** Parameters and tokens as their makers have published them. */
const KNOWN: readonly [string, number, number][] = [
  ["GPT-3", 175e9, 300e9],
  ["Chinchilla", 70e9, 1.4e12],
  ["Llama 2 7B", 7e9, 2e12],
  ["Llama 3 8B", 8e9, 15e12],
  ["SmolLM2 135M", 135e6, 2e12],
];
const [W, H, LEFT] = [640, 300, 46];
const x = (parameters: number) => LEFT + ((Math.log10(parameters) - 7.5) / 4.5) * (W - LEFT - 90);
const y = (tokens: number) => H - 30 - ((Math.log10(tokens) - 8.5) / 5) * (H - 44);

export function Scaling({ own }: { own: Own | null }) {
  const ratio = own ? own.optimal_tokens / own.active_parameters : 0;
  return (
    <section class="figure" aria-label="Scaling">
      <h2>How long to train</h2>
      <p class="dim">
        For a given amount of computing the loss is least on the line{own ? `, ${ratio} tokens for each parameter` : ""}. Models above it were trained longer, to be cheaper to run.
        {own && ` A ${own.name} would have taken ${short(own.optimal_tokens)} tokens.`}
      </p>
      <svg viewBox={`0 0 ${W} ${H}`} class="scaling" role="img" aria-label="Parameters against training tokens, both logarithmic">
        {[8, 9, 10, 11, 12].map((power) => (
          <g key={power}>
            <line x1={x(10 ** power)} y1={10} x2={x(10 ** power)} y2={H - 30} />
            <text x={x(10 ** power)} y={H - 12} text-anchor="middle">
              {short(10 ** power)}
            </text>
          </g>
        ))}
        {[9, 10, 11, 12, 13].map((power) => (
          <g key={power}>
            <line x1={LEFT} y1={y(10 ** power)} x2={W - 90} y2={y(10 ** power)} />
            <text x={LEFT - 6} y={y(10 ** power) + 4} text-anchor="end">
              {short(10 ** power)}
            </text>
          </g>
        ))}
        {own && <line class="optimal" x1={x(10 ** 7.5)} y1={y(10 ** 7.5 * ratio)} x2={x(10 ** 12)} y2={y(10 ** 12 * ratio)} />}
        {KNOWN.map(([name, parameters, tokens]) => (
          <g key={name}>
            <circle cx={x(parameters)} cy={y(tokens)} r={5} />
            <text x={x(parameters) + 9} y={y(tokens) + 4}>
              {name}
            </text>
          </g>
        ))}
      </svg>
    </section>
  );
}
