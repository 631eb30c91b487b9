/** Light or dark: as the system says, until somebody chooses. */
import { signal } from "@preact/signals";

const KEY = "stoa.theme";
export type Theme = "light" | "dark";
const asked = matchMedia("(prefers-color-scheme: dark)");
export const theme = signal<Theme>((localStorage.getItem(KEY) as Theme | null) ?? (asked.matches ? "dark" : "light"));

export function showTheme(): void {
  document.documentElement.dataset["theme"] = theme.value;
}

export function switchTheme(): void {
  theme.value = theme.value === "dark" ? "light" : "dark";
  localStorage.setItem(KEY, theme.value);
  showTheme();
}

asked.addEventListener("change", (event) => {
  if (localStorage.getItem(KEY)) return;
  theme.value = event.matches ? "dark" : "light";
  showTheme();
});
