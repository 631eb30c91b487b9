/** Numbers as people read them. */
export function bytes(count: number): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let i = 0;
  for (; count >= 1000 && i < units.length - 1; i++) count /= 1024;
  return `${count < 10 && i ? count.toFixed(1) : Math.round(count)} ${units[i]}`;
}

export function plural(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

export function short(count: number): string {
  const units = ["", "K", "M", "B", "T"];
  let i = 0;
  for (; count >= 1000 && i < units.length - 1; i++) count /= 1000;
  return `${i && count < 100 ? Number(count.toFixed(1)) : Math.round(count)}${units[i]}`;
}
