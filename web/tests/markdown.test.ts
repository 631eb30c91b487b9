import { describe, expect, test } from "vitest";
import { closed } from "../src/markdown/growing";

describe("what a growing text is shown as", () => {
  test.each([
    ["a **bold", "a **bold**"],
    ["a **bold** word", "a **bold** word"],
    ["a *", "a "],
    ["call `f(", "call `f(`"],
    ["see [the docs](https://exam", "see the docs"],
    ["```python\nx = 2 ** 3", "```python\nx = 2 ** 3"],
    ["**done.**\n\nand `co", "**done.**\n\nand `co`"],
    ["2 * 3", "2 * 3"],
  ])("%j", (text, shown) => expect(closed(text)).toBe(shown));
});
