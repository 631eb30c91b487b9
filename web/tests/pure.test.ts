import { quoteRuns } from "../src/documents/quote_runs";
import { describe, expect, test } from "vitest";
import { after, EMPTY } from "../src/api/answer";
import { takeEvents } from "../src/api/sse";
import { assistantText, cite, message } from "./made";
import { sourcesOf, withMarks } from "../src/chat/sources";
import { parse } from "../src/chat/transfer_format";
import { alternatives, openApprovals, titleOf, turns } from "../src/chat/tree";
import { PATTERNS } from "../src/architectures/patterns";
import { divisors } from "../src/architectures/configs";
import { labelled, mean, parse as parseMetrics, rate, total } from "../src/operator/metrics";
import { fromText, toFilter, toText } from "../src/documents/attributes";
import { split, windowAround } from "../src/documents/reading_window";
import { bytes, short } from "../src/ui/format";

test("events come in pieces", () => {
  const { events, rest } = takeEvents('event: a\r\ndata: {"type": "a"}\r\n\r\ndata: {"type":\ndata: "b"}\n\ndata: [DONE]\n\ndata: {"ty');
  expect(events.map(({ type }) => type)).toEqual(["a", "b"]);
  expect(rest).toBe('data: {"ty');
});

test("an answer grows by its events", () => {
  const events = [
    { type: "response.created", response: { id: "resp_1" } },
    { type: "response.output_item.added", output_index: 0, item: { type: "message", id: "m", role: "assistant", content: [] } },
    { type: "response.output_text.delta", output_index: 0, delta: "He" },
    { type: "response.output_text.delta", output_index: 0, delta: "llo" },
    { type: "response.output_text.annotation.added", output_index: 0, annotation: cite(5, 0, 3) },
  ];
  const answer = events.reduce((found, event, i) => after(found, event, 10 * i), EMPTY);
  expect(answer).toMatchObject({ id: "resp_1", first: 20, last: 40, items: [{ content: [{ text: "Hello", annotations: [{ index: 5 }] }] }] });
  const end = after(answer, { type: "response.failed", response: { id: "resp_1", status: "failed", output: [], usage: null, error: { message: "no" } } }, 50);
  expect(end).toMatchObject({ status: "failed", error: "no" });
});

describe("branches", () => {
  const [a, b, c, d] = [message("a"), assistantText("b"), assistantText("c"), message("d")];
  const branches = [
    { id: "1", items: [a, b], updated: 1 },
    { id: "2", items: [a, c], updated: 2 },
    { id: "3", items: [d, b], updated: 3 },
    { id: "4", items: [a, c, d], updated: 4 },
  ];
  test("part where their items do", () => {
    expect(alternatives(branches, branches[0]!, 0).map(({ id }) => id)).toEqual(["1", "3"]);
    expect(alternatives(branches, branches[0]!, 1).map(({ id }) => id)).toEqual(["1", "4"]);
    expect(alternatives(branches, branches[1]!, 1).map(({ id }) => id)).toEqual(["1", "2"]);
  });
  test("are made of turns", () => {
    expect(turns([b, a, b, c, d]).map(({ start, answer }) => [start, answer.length])).toEqual([[0, 1], [1, 2], [4, 0]]);
  });
  test("wait for approvals once", () => {
    const request = { type: "mcp_approval_request" as const, id: "r", server_label: "s", name: "n", arguments: "{}" };
    expect(openApprovals([request])).toEqual([request]);
    expect(openApprovals([request, { type: "mcp_approval_response", approval_request_id: "r", approve: false }])).toEqual([]);
  });
  test("have short titles", () => {
    expect(titleOf("  **Hello**\nworld ")).toBe("Hello");
    expect(titleOf("x".repeat(99)).length).toBe(58);
  });
});

test("citations of one place are one source, and stand where code points say", () => {
  const citations = [cite(2, 0, 3), cite(4, 5, 9), cite(4, 0, 3)];
  const sources = sourcesOf(citations);
  expect(sources.length).toBe(2);
  expect(withMarks("🐧a b", citations, sources, (number) => `[${number}]`)).toBe("🐧a[1] b[2][1]");
});

test("attributes and filters are lines of text", () => {
  expect(fromText("year = 2026, team = a b, draft = true")).toEqual({ year: 2026, team: "a b", draft: true });
  expect(toText({ year: 2026, draft: false })).toBe("year = 2026, draft = false");
  expect(() => fromText("year")).toThrow("name = value");
  expect(toFilter("year >= 2025, team != x")).toEqual({ type: "and", filters: [{ type: "gte", key: "year", value: 2025 }, { type: "ne", key: "team", value: "x" }] });
  expect(toFilter(" ")).toBeNull();
  expect(() => toFilter("year ~ 3")).toThrow("no filter");
});

test("a passage is cut out of the text around it by code points", () => {
  expect(split("🐧 penguins swim", 10, { start: 12, end: 20 })).toEqual(["🐧 ", "penguins", " swim"]);
  expect(windowAround({ start: 10, end: 20 }, 100)).toEqual({ start: 0, end: 100 });
});

test("only files of ours are imported", () => {
  expect(() => parse("{")).toThrow("JSON");
  expect(() => parse('{"format": "other"}')).toThrow("no chats");
});

test("numbers are short", () => {
  expect([bytes(53), bytes(1586), bytes(93e6), short(135e6), short(999)]).toEqual(["53 B", "1.5 KB", "89 MB", "135M", "999"]);
});

test("kinds of attention see what they say", () => {
  const row = (name: string, i: number) => [...Array(12).keys()].filter((j) => PATTERNS.find((one) => one.name === name)!.sees(i, j, 12));
  expect(row("Causal", 2)).toEqual([0, 1, 2]);
  expect(row("Sliding window", 9)).toEqual([5, 6, 7, 8, 9]);
  expect(row("Strided", 9)).toEqual([1, 5, 6, 7, 8, 9]);
  expect(row("Local and global", 9)).toEqual([0, 1, 7, 8, 9, 10, 11]);
  expect(PATTERNS.every(({ sees }) => [...Array(12).keys()].every((i) => sees(i, i, 12)))).toBe(true);
  expect(divisors(12)).toEqual([1, 2, 3, 4, 6, 12]);
});

test("metrics are read, and their growth", () => {
  const text = (count: number) => `# HELP x\nx_total{route="/a b",status="200"} ${count}\nx_total{route="/c",status="404"} 1\nt_sum ${count}\nt_count ${2 * count}\n`;
  const [before, now] = [5, 9].map((count, at) => ({ at: 2 * at, samples: parseMetrics(text(count)) })) as [Parameters<typeof rate>[0], Parameters<typeof rate>[0]];
  expect(total(now.samples, "x_total")).toBe(10);
  expect(labelled(now.samples, "x_total")[0]).toEqual({ labels: { route: "/a b", status: "200" }, value: 9 });
  expect([rate(before, now, "x_total"), rate(now, before, "x_total"), mean(before, now, "t"), mean(now, now, "t")]).toEqual([2, 0, 0.5, null]);
});

test("a quote is found in the runs of a page, however they break and space it", () => {
  const runs = ["Travel needs form T-17, signed by the de-", " ", "partment’s head. Enjoy."];
  const found = quoteRuns(runs, "form T-17, signed by the department's head.");
  expect(found.map(({ run }) => run)).toEqual([0, 2]);
  expect(runs[0]!.slice(Math.round(found[0]!.from * runs[0]!.length))).toBe("form T-17, signed by the de-");
  expect(found[1]).toEqual({ run: 2, from: 0, to: 15 / 23 });
  expect(quoteRuns(runs, "not a word of it\nsigned by the department's\nnor of this one").map(({ run }) => run)).toEqual([0, 2]);
  expect([quoteRuns(runs, "nothing of it"), quoteRuns(runs, ""), quoteRuns([], "form")]).toEqual([[], [], []]);
  expect(quoteRuns(["🐧", "ﬁne 𝒳"], "fine X")).toEqual([{ run: 1, from: 0, to: 1 }]);
});
