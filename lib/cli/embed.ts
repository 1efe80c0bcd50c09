import { once } from "node:events";
import { createReadStream } from "node:fs";
import { access, stat } from "node:fs/promises";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { SingleBar } from "cli-progress";
import { type Command, InvalidArgumentError, Option } from "commander";
import { BUILTIN_MODEL, type EmbeddedText, type EmbeddingModel, type EmbedManyProgress, loadModel } from "../index.ts";
import type { LoadOptions } from "../types.ts";
import { PRECISIONS } from "../validate.ts";
import { formatOf, jsonLines, openVectorFile, type Row } from "./vector-file.ts";

interface Flags {
  model: string;
  json?: boolean;
  dimensions?: number;
  task?: string;
  truncate: boolean;
  file?: string;
  output?: string;
  resume?: boolean;
  threads?: number;
  precision?: LoadOptions["precision"];
}

/** Texts whose similarities fit a terminal. */
const MOST_IN_TABLE = 8;
/** Rows between two writes of an output file. */
const ROWS_PER_WRITE = 256;

/** Adds `inlay embed`. */
export function register(program: Command): void {
  program
    .command("embed")
    .description("embed texts: given as arguments, from a file, or from standard input (-)")
    .argument("[texts...]", "texts, or - for one text a line from standard input")
    .option("-m, --model <name>", "model, by name or path", BUILTIN_MODEL)
    .option("-f, --file <lines.txt>", "embed each line of a file")
    .option("-o, --output <file>", "write vectors to a .npy, .jsonl, .f32 or .arrow file")
    .option("--resume", "go on where the output file ends")
    .option("-d, --dimensions <n>", "keep the first n dimensions", wholeNumber)
    .option("--task <name>", "put the prefix of a task before each text: query, document, …")
    .option("--no-truncate", "fail on texts that exceed the model's context")
    .option("--threads <n>", "threads to use", wholeNumber)
    .addOption(new Option("--precision <kind>", "of the model's products (default: auto)").choices(PRECISIONS))
    .option("--json", "print one JSON object a text")
    .action(run);
}

async function run(texts: string[], flags: Flags, command: Command): Promise<void> {
  const piped = texts.length === 1 && texts[0] === "-";
  if (texts.length === 0 && !flags.file) return command.help({ error: true });
  if (flags.resume && !flags.output) command.error("--resume needs --output");
  if (flags.output) formatOf(flags.output);
  if (flags.file) await access(flags.file);
  const began = performance.now();
  const model = await loadModel(flags.model, { threads: flags.threads, precision: flags.precision });
  const loaded = performance.now() - began;
  try {
    if (!flags.file && !piped && !flags.output) await embedFew(model, texts, flags, loaded);
    else
      await embedLines(
        model,
        flags.file ? linesOf(createReadStream(flags.file)) : piped ? linesOf(process.stdin) : texts,
        flags,
      );
  } finally {
    await model.dispose();
  }
}

async function embedFew(model: EmbeddingModel, texts: string[], flags: Flags, loaded: number): Promise<void> {
  const began = performance.now();
  const { embeddings, tokens, truncated } = await model.embed(texts, flags);
  const took = performance.now() - began;
  const rows = texts.map((text, index) => ({
    index,
    text,
    embedding: embeddings[index]!,
    tokens: tokens[index]!,
    truncated: truncated.includes(index),
  }));
  if (flags.json || !process.stdout.isTTY) return await print(rows);
  process.stdout.write(`${summary(model, rows, loaded, took)}\n`);
}

/** Waits for a reader that is slower than the model, so that lines do not pile up in memory. */
async function print(rows: readonly Row[]): Promise<void> {
  if (!process.stdout.write(await jsonLines(rows))) await once(process.stdout, "drain");
}

/** What a person wants to see of a few texts. */
function summary({ info }: EmbeddingModel, rows: readonly Row[], loaded: number, took: number): string {
  const lines = [
    `${info.name}  ${info.architecture}, ${info.dimensions} dimensions, ${info.engine} engine on ${info.device} (${info.isa}, ${info.precision})`,
    `loaded in ${loaded.toFixed(0)} ms, embedded ${rows.length === 1 ? "1 text" : `${rows.length} texts`} in ${took.toFixed(1)} ms`,
    "",
  ];
  for (const [i, { text, embedding, tokens, truncated }] of rows.entries()) {
    const head = Array.from(embedding.subarray(0, 4), (value) => value.toFixed(4)).join(", ");
    lines.push(
      `${String(i + 1).padStart(2)}  ${clip(text)}  ${tokens} tokens${truncated ? ", cut" : ""}  [${head}, …]`,
    );
  }
  if (rows.length > 1 && rows.length <= MOST_IN_TABLE) lines.push("", ...similarityTable(rows));
  if (info.name === BUILTIN_MODEL) {
    lines.push(
      "",
      "The built-in model compares letters and words, not meaning; `inlay list --catalogue` shows models that do.",
    );
  }
  return lines.join("\n");
}

function similarityTable(rows: readonly Row[]): string[] {
  const cell = (value: string) => value.padStart(6);
  return [
    `cosine  ${rows.map((_, i) => cell(String(i + 1))).join("")}`,
    ...rows.map(
      (a, i) =>
        `${String(i + 1).padStart(6)}  ${rows.map((b) => cell(dot(a.embedding, b.embedding).toFixed(2))).join("")}`,
    ),
  ];
}

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}

function clip(text: string): string {
  const line = text.replaceAll(/\s+/g, " ");
  return line.length > 48 ? `${line.slice(0, 47)}…` : line;
}

async function embedLines(
  model: EmbeddingModel,
  lines: Iterable<string> | AsyncIterable<string>,
  flags: Flags,
): Promise<void> {
  const output =
    flags.output &&
    (await openVectorFile(flags.output, flags.dimensions ?? model.info.dimensions, flags.resume ?? false));
  const present = output ? output.present : 0;
  const total = flags.file && process.stderr.isTTY ? await countLines(flags.file) : undefined;
  const bar = output && process.stderr.isTTY ? progressBar(present, total) : undefined;
  const vectors = model.embedMany(lines, {
    truncate: flags.truncate,
    dimensions: flags.dimensions,
    task: flags.task,
    startIndex: present,
    onProgress: (progress) => bar?.(progress),
  });
  let cut = 0;
  try {
    cut = await writeAll(vectors, output ? (rows) => output.append(rows) : print);
  } finally {
    bar?.();
    if (output) await output.close();
  }
  if (output && cut > 0) {
    process.stderr.write(
      `${cut} ${cut === 1 ? "text was" : "texts were"} longer than the model's ${model.info.contextLength} tokens and cut\n`,
    );
  }
}

/** Returns how many texts were cut. */
async function writeAll(vectors: AsyncIterable<EmbeddedText>, write: (rows: Row[]) => Promise<void>): Promise<number> {
  let rows: Row[] = [];
  let cut = 0;
  for await (const { index, embedding, tokens, truncated } of vectors) {
    rows.push({ index, text: "", embedding, tokens, truncated });
    if (truncated) cut++;
    if (rows.length < ROWS_PER_WRITE) continue;
    await write(rows);
    rows = [];
  }
  if (rows.length > 0) await write(rows);
  return cut;
}

/** A bar over `total` texts, or a count where that is not known; called without progress it goes away. */
function progressBar(present: number, total: number | undefined): (progress?: EmbedManyProgress) => void {
  const rates = "{texts} texts/s  {tokens} tokens/s";
  const format = total
    ? `{bar} {percentage} %  {value}/{total}  ${rates}  {eta_formatted} left`
    : `{value} texts  ${rates}`;
  const bar = new SingleBar({ format, stream: process.stderr, hideCursor: true });
  bar.start(total ?? 0, present, { texts: "–", tokens: "–" });
  return (progress) => {
    if (!progress) return bar.stop();
    bar.update(present + progress.texts, {
      texts: progress.textsPerSecond.toFixed(0),
      tokens: progress.tokensPerSecond.toFixed(0),
    });
  };
}

/** Of a pipe nobody knows the lines before they have been read. */
async function countLines(path: string): Promise<number | undefined> {
  if (!(await stat(path)).isFile()) return undefined;
  let lines = 0;
  let last = 0x0a;
  for await (const block of createReadStream(path) as AsyncIterable<Buffer>) {
    for (let at = block.indexOf(0x0a); at >= 0; at = block.indexOf(0x0a, at + 1)) lines++;
    last = block.at(-1) ?? last;
  }
  return last === 0x0a ? lines : lines + 1;
}

async function* linesOf(stream: Readable): AsyncGenerator<string, void, undefined> {
  // An interface reads from the moment it is made, and an error before anyone iterates would end the process.
  yield* createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY });
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError("expected a whole number of at least 1.");
  return value;
}
