import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { MODEL_NAMES, type ModelName } from "./models.ts";
import { PEERS } from "./peers/index.ts";

export interface Options {
  models: ModelName[];
  peers: string[];
  threads: number;
  rounds: number;
  /** Of one measurement. */
  milliseconds: number;
  lengths: number[];
  batches: number[];
  scenarios: boolean;
  /** Texts of the bulk job that single texts are measured under. */
  bulk: number;
  json?: string;
}

const HELP = `Measures inlay and its peers on the same texts, in one run.

  npm run bench -- [options]

  --quick            MiniLM-L6 only, fewer cells, short measurements
  --models LIST      of ${MODEL_NAMES.join(", ")}
  --only LIST        peers: ${PEERS.map(({ name }) => name).join(", ")}
  --threads N        threads of every peer (default: 2, or the cores there are)
  --rounds N         rounds over all peers; medians are reported (default 3)
  --seconds N        length of one measurement (default 2)
  --bulk N           texts of 128 tokens in the bulk job that single texts meet (default 5000, quick 320)
  --no-scenarios     leave out bulk-and-interactive, thread pool, mixed lengths, scaling, busy neighbour
  --json FILE        write all results there (default: bench/.cache/results.json)
`;

function list<T extends string>(
  name: string,
  value: string | undefined,
  known: readonly T[],
  standard: readonly T[],
): T[] {
  if (value === undefined) return [...standard];
  const names = value.split(",").map((part) => part.trim());
  const wrong = names.find((part) => !known.includes(part as T));
  if (wrong !== undefined) fail(`--${name}: ${wrong} is not one of ${known.join(", ")}`);
  return known.filter((part) => names.includes(part));
}

function positive(name: string, value: string | undefined, standard: number): number {
  const number = value === undefined ? standard : Number(value);
  if (!(number > 0)) fail(`--${name}: expected a number above 0, got ${value}`);
  return number;
}

function fail(message: string): never {
  console.error(message);
  process.exit(2);
}

export function readOptions(): Options {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse();
  } catch (error) {
    return fail(`${(error as Error).message}\n\n${HELP}`);
  }
  const { values } = parsed;
  if (values.help) {
    console.log(HELP);
    process.exit(0);
  }
  const quick = values.quick === true;
  return {
    models: list("models", values.models, MODEL_NAMES, quick ? ["minilm-l6"] : MODEL_NAMES),
    peers: list(
      "only",
      values.only,
      PEERS.map(({ name }) => name),
      PEERS.map(({ name }) => name),
    ),
    threads: Math.round(positive("threads", values.threads, Math.min(2, availableParallelism()))),
    rounds: Math.round(positive("rounds", values.rounds, quick ? 1 : 3)),
    milliseconds: 1000 * positive("seconds", values.seconds, quick ? 0.4 : 2),
    lengths: quick ? [16, 128] : [16, 128, 512],
    batches: [1, 32],
    scenarios: values["no-scenarios"] !== true,
    bulk: Math.ceil(positive("bulk", values.bulk, quick ? 320 : 5000)),
    ...(values.json !== undefined && { json: values.json }),
  };
}

const parse = () =>
  parseArgs({
    options: {
      quick: { type: "boolean" },
      models: { type: "string" },
      only: { type: "string" },
      threads: { type: "string" },
      rounds: { type: "string" },
      seconds: { type: "string" },
      bulk: { type: "string" },
      "no-scenarios": { type: "boolean" },
      json: { type: "string" },
      help: { type: "boolean", short: "h" },
    },
  });
