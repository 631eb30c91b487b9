/** Icons as strokes, in the colour of the text around them. */
const PATHS = {
  chat: "M4 5h16v11H9l-5 4z",
  documents: "M6 3h8l4 4v14H6zM14 3v4h4M9 12h6M9 16h6",
  tools: "M14.5 5.5a4 4 0 0 0 4.9 5L11 19a2.1 2.1 0 0 1-3-3l8.400-8.400",
  architectures: "M4 7l8-4 8 4-8 4zM4 12l8 4 8-4M4 17l8 4 8-4",
  operator: "M4 19V5M4 19h16M8 15l3-4 3 2 5-6",
  plus: "M12 5v14M5 12h14",
  send: "M12 19V5M6 11l6-6 6 6",
  stop: "M7 7h10v10H7z",
  menu: "M4 7h16M4 12h16M4 17h16",
  close: "M6 6l12 12M18 6L6 18",
  edit: "M4 20l1-4L16 5l3 3L8 19z",
  again: "M20 11a8 8 0 1 0-2 6M20 5v6h-6",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  left: "M15 5l-7 7 7 7",
  right: "M9 5l7 7-7 7",
  settings: "M5 8h8M17 8h2M15 6v4M5 16h2M11 16h8M9 14v4",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM20 20l-4-4",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.500 1.500M17.500 17.500L19 19M5 19l1.500-1.500M17.500 6.500L19 5",
  moon: "M20 14A8 8 0 1 1 10 4a6.500 6.500 0 0 0 10 10z",
  upload: "M12 16V4M7 9l5-5 5 5M4 20h16",
  down: "M12 4v12M7 11l5 5 5-5M4 20h16",
  thought: "M12 3a6 6 0 0 0-3 11v3h6v-3a6 6 0 0 0-3-11zM10 21h4",
  check: "M5 13l4 4L19 7",
  warn: "M12 4l9 16H3zM12 10v4M12 17v.5",
  clip: "M18 10l-7 7a3 3 0 0 1-5-4l8-8a4 4 0 0 1 6 6l-8 8",
  key: "M14 4a6 6 0 1 0 4 10M12 12l8 8M17 17l3-3",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
