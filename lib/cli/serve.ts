import { existsSync } from "node:fs";
import { type Command, InvalidArgumentError, Option } from "commander";
import { destination, type Logger, pino } from "pino";
import { parseKeepAliveVariable } from "../server/duration.ts";
import { createServer, type InlayServer, type Limits, type Place, type ServerOptions } from "../server/index.ts";
import type { LoadOptions } from "../types.ts";
import { PRECISIONS } from "../validate.ts";

const DEFAULT_PORT = 11434;
const LOG_LEVELS = ["fatal", "error", "warn", "info", "debug", "silent"];

interface Flags {
  host: string;
  port?: number;
  socket?: string;
  models?: string;
  serve: Record<string, string>;
  only: boolean;
  preload: string[];
  apiKey?: string;
  insecure: boolean;
  allowHost: string[];
  origins: string[];
  keepAlive?: number;
  precision?: LoadOptions["precision"];
  pull: boolean;
  maxQueue?: number;
  maxQueueBytes?: number;
  maxBody?: number;
  maxInputs?: number;
  maxConnections?: number;
  timeout?: number;
  drain: number;
  log: string;
}

/** Adds `inlay serve`. */
export function register(program: Command): void {
  const command = program
    .command("serve")
    .description("answer Ollama's and OpenAI's embedding requests over HTTP")
    .addHelpText(
      "after",
      "\nEach option has its environment variable; an option given on the command line goes first.",
    );
  const add = (flags: string, description: string, variable: string, configure?: (option: Option) => void) => {
    const option = new Option(flags, description).env(variable);
    configure?.(option);
    command.addOption(option);
  };
  const whole = (option: Option) => option.argParser(wholeNumber);

  add("--host <host>", "address to listen on, as host, host:port or URL (also OLLAMA_HOST)", "INLAY_HOST");
  add("--port <port>", `port to listen on (default: ${DEFAULT_PORT})`, "INLAY_PORT", (option) =>
    option.argParser(port),
  );
  add("--socket <path>", "listen on a unix socket (Windows: named pipe) instead", "INLAY_SOCKET");
  add("--models <folder>", "Ollama's model store (also OLLAMA_MODELS)", "INLAY_MODELS");
  add(
    "--serve <name=model>",
    "serve a model, by name or path, under a name; may be repeated",
    "INLAY_SERVE",
    (option) => option.argParser(pair).default({}),
  );
  add("--only", "serve the models of --serve and no others", "INLAY_ONLY", (option) => option.default(false));
  add("--preload <name>", "load a model at the start; may be repeated", "INLAY_PRELOAD", (option) =>
    option.argParser(items).default([]),
  );
  add("--api-key <key>", "secret that requests must carry; better given by the variable", "INLAY_API_KEY");
  add("--insecure", "listen on other addresses than loopback without a key", "INLAY_INSECURE", (option) =>
    option.default(false),
  );
  add(
    "--allow-host <name>",
    "further name that the Host header may carry; may be repeated",
    "INLAY_ALLOW_HOST",
    (option) => option.argParser(items).default([]),
  );
  add("--origins <list>", "origins whose pages may call (also OLLAMA_ORIGINS)", "INLAY_ORIGINS", (option) =>
    option.argParser(items).default([]),
  );
  add("--keep-alive <time>", "how long models stay loaded (also OLLAMA_KEEP_ALIVE)", "INLAY_KEEP_ALIVE", (option) =>
    option.argParser(keepAlive),
  );
  add("--precision <kind>", "of every model's products (default: auto)", "INLAY_PRECISION", (option) =>
    option.choices(PRECISIONS),
  );
  add("--pull", "let clients download models", "INLAY_PULL", (option) => option.default(false));
  add("--max-queue <n>", "requests taken in at a time (default: 4096)", "INLAY_MAX_QUEUE", whole);
  add("--max-queue-bytes <n>", "bytes held for requests (default: 512 MiB)", "INLAY_MAX_QUEUE_BYTES", whole);
  add("--max-body <n>", "bytes of one request (default: 32 MiB)", "INLAY_MAX_BODY", whole);
  add("--max-inputs <n>", "texts in one request (default: 16384)", "INLAY_MAX_INPUTS", whole);
  add("--max-connections <n>", "connections at a time (default: 8192)", "INLAY_MAX_CONNECTIONS", whole);
  add("--timeout <seconds>", "time in which a request is answered (default: 3600)", "INLAY_TIMEOUT", whole);
  add("--drain <seconds>", "time for requests under way when told to end", "INLAY_DRAIN", (option) =>
    option.argParser(wholeNumber).default(30),
  );
  add("--log <level>", "what to log, as lines of JSON on stderr", "INLAY_LOG", (option) =>
    option.choices(LOG_LEVELS).default("info"),
  );
  command.action((flags: Flags) => serve(withoutOff(flags, command)));
}

/** A switch's variable that says no is no. */
function withoutOff(flags: Flags, command: Command): Flags {
  const switches = { only: "INLAY_ONLY", insecure: "INLAY_INSECURE", pull: "INLAY_PULL" } as const;
  const result = { ...flags };
  for (const [name, variable] of Object.entries(switches) as [keyof typeof switches, string][]) {
    const given = command.getOptionValueSource(name);
    if (given === "env" && /^(0|false|no|off|)$/i.test(process.env[variable] ?? "")) result[name] = false;
  }
  return result;
}

async function serve(flags: Flags): Promise<void> {
  const store = flags.models;
  if (store !== undefined) {
    if (!existsSync(store)) throw new Error(`the folder of --models, ${store}, is not there`);
    process.env.OLLAMA_MODELS = store;
  }
  const lines = destination({ dest: 2, sync: false, minLength: 4096, periodicFlush: 250 });
  const logger = pino({ level: flags.log, base: undefined }, lines);
  const place = placeOf(flags);
  const server = createServer({ ...optionsOf(flags), logger });
  const address = await server.listen(place).catch((error: NodeJS.ErrnoException) => {
    throw new Error(listenSentence(error, place), { cause: error });
  });
  endOnSignal(server, flags.drain * 1000, logger, lines);
  logger.info({ address }, "listening");
  if (flags.preload.length === 0) return;
  try {
    await server.preload(flags.preload);
  } catch (error) {
    await server.close();
    throw error;
  }
  logger.info({ models: flags.preload }, "preloaded");
}

function optionsOf(flags: Flags): ServerOptions {
  const fallback = process.env.OLLAMA_KEEP_ALIVE;
  const limits: Partial<Limits> = {};
  if (flags.maxQueue !== undefined) limits.queueRequests = flags.maxQueue;
  if (flags.maxQueueBytes !== undefined) limits.queueBytes = flags.maxQueueBytes;
  if (flags.maxBody !== undefined) limits.bodyBytes = flags.maxBody;
  if (flags.maxInputs !== undefined) limits.inputs = flags.maxInputs;
  if (flags.maxConnections !== undefined) limits.maxConnections = flags.maxConnections;
  if (flags.timeout !== undefined) limits.deadline = flags.timeout * 1000;
  return {
    apiKey: flags.apiKey || undefined,
    allowedHosts: flags.allowHost,
    allowedOrigins: flags.origins.length > 0 ? flags.origins : items(unquoted(process.env.OLLAMA_ORIGINS)),
    models: flags.serve,
    onlyModels: flags.only,
    keepAlive: flags.keepAlive ?? (fallback === undefined ? undefined : parseKeepAliveVariable(unquoted(fallback))),
    precision: flags.precision,
    pull: flags.pull,
    limits,
  };
}

/** The address of `--host` and `--port`, else of OLLAMA_HOST, in all the spellings that Ollama takes. */
function placeOf(flags: Flags): Place {
  if (flags.socket !== undefined) return { path: flags.socket };
  const given = parseHost(unquoted(flags.host ?? process.env.OLLAMA_HOST ?? ""));
  return { host: given.host, port: flags.port ?? given.port, insecure: flags.insecure };
}

/** `[scheme://]host[:port][/path]`; a port that is none is the default's. */
export function parseHost(text: string): { host: string; port: number } {
  const [, scheme = "", rest = ""] = /^(?:([a-z]+):\/\/)?([^/]*)/i.exec(text.trim())!;
  const usual = { http: 80, https: 443 }[scheme.toLowerCase()] ?? DEFAULT_PORT;
  const match = /^(\[[^\]]*\]|[^:]*)(?::([^:]*))?$/.exec(rest);
  // Several colons and no brackets: an IPv6 address by itself.
  if (match === null) return { host: rest, port: usual };
  const host = match[1]!.replace(/^\[|\]$/g, "");
  const number = Number(match[2]);
  const valid = match[2] !== undefined && /^\d+$/.test(match[2]) && number <= 65_535;
  return { host: host === "" ? "127.0.0.1" : host, port: valid ? number : usual };
}

function listenSentence(error: NodeJS.ErrnoException, place: Place): string {
  const where = "path" in place ? place.path : `port ${place.port} on ${place.host}`;
  switch (error.code) {
    case "EADDRINUSE":
      return "path" in place
        ? `${where} is taken by another server, or left over from one: remove it, or choose another --socket`
        : `${where} is taken, perhaps by Ollama itself: stop that, or choose another with --port`;
    case "EACCES":
      return `${where} may not be opened by this user: choose another with --port`;
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return `${where} is no address of this machine: choose one with --host`;
    default:
      return error.message.replace(/; set one.*/, ": give one in INLAY_API_KEY, or say --insecure");
  }
}

/** The first signal lets requests under way finish; the second ends at once. */
function endOnSignal(server: InlayServer, deadline: number, logger: Logger, lines: { flushSync(): void }): void {
  let ending = false;
  const end = async (signal: NodeJS.Signals) => {
    if (ending) {
      lines.flushSync();
      process.exit(1);
    }
    ending = true;
    logger.info({ signal }, "draining");
    await server.close({ deadline });
    logger.info("ended");
    lines.flushSync();
    process.exit(0);
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, (name) => void end(name));
}

function wholeNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError("a whole number is wanted.");
  return Number(text);
}

function port(text: string): number {
  const number = wholeNumber(text);
  if (number > 65_535) throw new InvalidArgumentError("a port is a number up to 65535.");
  return number;
}

function keepAlive(text: string): number {
  const seconds = parseKeepAliveVariable(text);
  if (seconds === undefined)
    throw new InvalidArgumentError('a time such as "5m", "1.5h" or a number of seconds is wanted.');
  return seconds;
}

function items(text: string | undefined, before: string[] = []): string[] {
  const added = (text ?? "").split(",").map((item) => item.trim());
  return [...before, ...added.filter((item) => item !== "")];
}

function pair(text: string, before: Record<string, string> = {}): Record<string, string> {
  const pairs = items(text).map((item) => {
    const equals = item.indexOf("=");
    if (equals < 1) throw new InvalidArgumentError("name=model is wanted, such as search=./search.gguf.");
    return [item.slice(0, equals), item.slice(equals + 1)];
  });
  return { ...before, ...Object.fromEntries(pairs) };
}

/** As Ollama reads its variables: without spaces and quotes around the value. */
function unquoted(text: string | undefined): string {
  return (text ?? "").trim().replace(/^["']|["']$/g, "");
}
