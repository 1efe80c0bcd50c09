import { type Command, InvalidArgumentError, Option } from "commander";
import { BUILTIN_MODEL, type EmbeddingModel, loadModel } from "../index.ts";
import type { LoadOptions } from "../types.ts";
import { PRECISIONS } from "../validate.ts";

interface Flags {
  json?: boolean;
  seconds: number;
  threads?: number;
  precision?: LoadOptions["precision"];
}

interface Measure {
  work: string;
  tokensPerSecond: number;
  /** Of one call. */
  milliseconds: { p50: number; p99: number };
}

const WORDS = "the river wind stone light over under morning letter engine paper quiet signal harbour".split(" ");

/** Adds `inlay bench`. */
export function register(program: Command): void {
  program
    .command("bench")
    .description("how fast a model runs here: single texts and batches")
    .argument("[model]", "model, by name or path", BUILTIN_MODEL)
    .option("--seconds <n>", "time for each row", positive, 2)
    .option("--threads <n>", "threads to use", positive)
    .addOption(new Option("--precision <kind>", "of the model's products (default: auto)").choices(PRECISIONS))
    .option("--json", "print JSON")
    .action(run);
}

async function run(name: string, { json, seconds, threads, precision }: Flags): Promise<void> {
  const model = await loadModel(name, { threads, precision });
  const rows: Measure[] = [];
  try {
    for (const [texts, words] of [
      [1, 12],
      [1, 100],
      [32, 12],
      [32, 100],
    ] as const) {
      rows.push(await measure(model, texts, words, seconds));
    }
    if (json) process.stdout.write(`${JSON.stringify({ model: model.info, rows }, null, 2)}\n`);
    else print(model, rows);
  } finally {
    await model.dispose();
  }
}

async function measure(model: EmbeddingModel, count: number, words: number, seconds: number): Promise<Measure> {
  const times: number[] = [];
  let tokens = 0;
  let serial = 0;
  // Every text is new: identical ones would be computed once.
  const batch = () =>
    Array.from(
      { length: count },
      () => `${serial++} ${Array.from({ length: words }, (_, i) => WORDS[(i * 7 + serial) % WORDS.length]).join(" ")}`,
    );
  await model.embed(batch());
  const began = performance.now();
  while (performance.now() - began < seconds * 1000) {
    const start = performance.now();
    const result = await model.embed(batch());
    times.push(performance.now() - start);
    tokens += result.tokens.reduce((sum, one) => sum + one, 0);
  }
  const elapsed = (performance.now() - began) / 1000;
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.min(times.length - 1, Math.floor(times.length * share))]!;
  return {
    work: `${count} × ${Math.round(tokens / times.length / count)} tokens`,
    tokensPerSecond: tokens / elapsed,
    milliseconds: { p50: at(0.5), p99: at(0.99) },
  };
}

function print({ info }: EmbeddingModel, rows: Measure[]): void {
  const lines = rows.map(
    ({ work, tokensPerSecond, milliseconds: { p50, p99 } }) =>
      `${work.padEnd(16)}${tokensPerSecond.toFixed(0).padStart(10)} tokens/s${p50.toFixed(2).padStart(10)} ms p50${p99.toFixed(2).padStart(10)} ms p99`,
  );
  process.stdout.write(
    `${info.name}: ${info.engine}, ${info.isa}, ${info.precision}, ${info.threads} threads\n${lines.join("\n")}\n`,
  );
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError("expected a number above 0.");
  return value;
}
