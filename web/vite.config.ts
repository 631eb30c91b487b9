import { defineConfig } from "vite";

/** pdf.js asks for its decoders by name. */
const assetFileNames = ({ names }: { names: string[] }): string => (names[0]?.includes("nowasm_fallback") ? "assets/pdf/[name][extname]" : "assets/[name]-[hash][extname]");

export default defineConfig({
  base: "./",
  build: { outDir: "../server/api/system/built_page", emptyOutDir: true, target: "es2023", assetsInlineLimit: 0, modulePreload: { polyfill: false }, rolldownOptions: { output: { assetFileNames } } },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  test: { include: ["tests/*.test.ts"] },
} as never);
