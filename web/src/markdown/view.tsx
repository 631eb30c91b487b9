/** A markdown text. While it grows, the blocks that are done are left alone. */
import { memo } from "preact/compat";
import { askToOpen } from "../ui/dialogs";
import { closed } from "./growing";
import { type Block, blockHtml, blocks } from "./render";

interface Props {
  text: string;
  growing?: boolean;
  onCite?: (number: number) => void;
}

export function Markdown({ text, growing = false, onCite }: Props) {
  const click = (event: MouseEvent) => {
    const button = (event.target as Element).closest("button");
    if (!button) return;
    if (button.dataset["href"]) askToOpen(button.dataset["href"]);
    if (button.dataset["cite"]) onCite?.(Number(button.dataset["cite"]));
    if ("copy" in button.dataset) void copyCode(button);
  };
  return (
    <div class={`markdown${growing ? " growing" : ""}`} onClick={click}>
      {blocks(growing ? closed(text) : text).map((block, i) => (
        <BlockView key={i} block={block} />
      ))}
    </div>
  );
}

const BlockView = memo(
  ({ block }: { block: Block }) => <div class="block" dangerouslySetInnerHTML={{ __html: blockHtml(block) }} />,
  (before, now) => before.block.raw === now.block.raw,
);

async function copyCode(button: HTMLButtonElement): Promise<void> {
  await navigator.clipboard.writeText(button.closest(".code")?.querySelector("code")?.textContent ?? "");
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy"), 1500);
}
