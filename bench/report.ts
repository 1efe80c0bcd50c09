// The tables on the terminal.
import type { Latency } from "./measure.ts";
import type { Ceiling, Cell, ModelResult, PeerResult, Results, ScenarioResult } from "./results.ts";

const NONE = "–";

function table(head: string[], rows: string[][]): string {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  const line = (cells: string[]) =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  ");
  return [line(head), widths.map((width) => "─".repeat(width)).join("  "), ...rows.map(line)].join("\n");
}

const rate = (value: Cell | undefined) =>
  typeof value !== "number" ? NONE : value >= 10_000 ? `${(value / 1000).toFixed(1)}k` : value.toFixed(0);
const time = (ms: number | undefined) => (ms === undefined ? NONE : ms < 10 ? ms.toFixed(2) : ms.toFixed(0));
const megabytes = (bytes: number | undefined) => (bytes === undefined ? NONE : (bytes / 1e6).toFixed(0));
const ratio = (a: number | undefined, b: number | undefined) =>
  a === undefined || b === undefined ? NONE : `${(a / b).toFixed(2)}×`;
const pair = (latency: Latency | { missing: string } | undefined) =>
  latency === undefined || "missing" in latency ? [NONE, NONE] : [time(latency.p50), time(latency.p99)];

function gap(peer: PeerResult): number | undefined {
  const gaps = peer.throughput.map(({ longestGap }) => longestGap).filter((value) => typeof value === "number");
  return gaps.length > 0 ? Math.max(...gaps) : undefined;
}

function throughputTable({ model, peers }: ModelResult): string {
  const running = peers.filter(({ failure }) => failure === undefined);
  const cells = running[0]?.throughput.map(({ length, batch }) => `${batch}×${length}`) ?? [];
  const rows = running.map((peer) => [
    peer.peer,
    ...peer.throughput.map(({ tokensPerSecond }) => rate(tokensPerSecond)),
    ...pair(peer.latency),
    time(peer.load),
    megabytes(peer.memory),
    time(gap(peer)),
    typeof peer.agreement === "number" ? peer.agreement.toFixed(5) : NONE,
  ]);
  const head = ["tokens/s", ...cells, "p50 ms", "p99 ms", "load ms", "RSS MB", "gap ms", "cosine"];
  return [`${model}`, table(head, rows), ...reasons(peers)].join("\n");
}

function reasons(peers: PeerResult[]): string[] {
  return peers.flatMap(({ peer, failure, throughput, latency }) => {
    if (failure !== undefined) return [`  ${peer}: ${failure}`];
    const missing = throughput.flatMap(({ length, batch, tokensPerSecond }) =>
      typeof tokensPerSecond === "number" ? [] : [`  ${peer} ${batch}×${length}: ${tokensPerSecond.missing}`],
    );
    if (latency !== undefined && "missing" in latency) missing.push(`  ${peer} latency: ${latency.missing}`);
    return missing;
  });
}

function descriptions(peers: PeerResult[]): string {
  return peers
    .filter(({ failure }) => failure === undefined)
    .map(({ peer, note, description }) => `  ${peer}: ${note}${description ? ` [${description}]` : ""}`)
    .join("\n");
}

/** GFLOP/s of inlay's row, and its share of the ceiling measured in the same run. */
function hardwareTable({ flops, peers }: ModelResult, ceiling: Ceiling | undefined): string | undefined {
  const inlay = peers.find(({ peer, failure }) => peer === "inlay" && failure === undefined);
  if (!inlay) return undefined;
  const rows = inlay.throughput.flatMap(({ length, batch, tokensPerSecond }) => {
    if (typeof tokensPerSecond !== "number") return [];
    const gflops = (tokensPerSecond * flops[length]!) / 1e9;
    const share = ceiling === undefined ? NONE : `${((100 * gflops) / ceiling.gflops).toFixed(0)} %`;
    return [[`inlay ${batch}×${length}`, gflops.toFixed(0), share]];
  });
  return table(["", "GFLOP/s", "of ceiling"], rows);
}

function scenarioTable(scenarios: ScenarioResult[]): string {
  const rows = scenarios.map((one) => [
    one.peer,
    ...pair(one.latencyAlone),
    ...pair(one.latencyUnderBulk),
    pair(one.poolIdle?.stat)[1]!,
    pair(one.poolBusy?.stat)[1]!,
    pair(one.poolIdle?.pbkdf2)[1]!,
    pair(one.poolBusy?.pbkdf2)[1]!,
    ratio(one.mixed, one.uniform),
    ratio(one.allThreads, one.oneThread),
    ratio(one.busyNeighbour, one.allThreads),
  ]);
  const head = ["", "alone p50", "p99", "in bulk p50", "p99", "stat p99", "busy", "pbkdf2 p99", "busy"];
  head.push("mixed/uniform", "threads/1", "neighbour/none");
  const failures = scenarios.flatMap(({ peer, failures: all }) => all.map((failure) => `  ${peer}: ${failure}`));
  return [table(head, rows), ...failures].join("\n");
}

export function modelReport(model: ModelResult, ceiling: Ceiling | undefined): string {
  const parts = [throughputTable(model), descriptions(model.peers), hardwareTable(model, ceiling)];
  if (model.scenarios.length > 0) parts.push(scenarioTable(model.scenarios));
  return parts.filter((part) => part !== undefined).join("\n\n");
}

export function sizeReport({ sizes }: Results): string {
  const rows = Object.entries(sizes).map(([name, bytes]) => [name, megabytes(bytes)]);
  return table(["installed", "MB"], rows);
}
