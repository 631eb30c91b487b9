import { defineConfig } from "vite";

export default defineConfig({
  base: "./",
  build: { outDir: "../server/api/system/built_page", emptyOutDir: true, target: "es2023", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  test: { include: ["tests/*.test.ts"] },
} as never);
