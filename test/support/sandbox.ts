import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const VARIABLES = [
  "HOME",
  "XDG_CACHE_HOME",
  "XDG_CONFIG_HOME",
  "INLAY_CACHE",
  "INLAY_ALIASES",
  "INLAY_OFFLINE",
  "OLLAMA_MODELS",
  "HF_HOME",
  "HF_HUB_CACHE",
  "HUGGINGFACE_HUB_CACHE",
  "HF_ENDPOINT",
  "HF_TOKEN",
  "HF_TOKEN_PATH",
  "HUGGING_FACE_HUB_TOKEN",
  "HF_HUB_OFFLINE",
  "HF_HUB_DOWNLOAD_TIMEOUT",
  "HTTP_PROXY",
  "HTTPS_PROXY",
  "ALL_PROXY",
  "NO_PROXY",
  "http_proxy",
  "https_proxy",
  "all_proxy",
  "no_proxy",
];

/** A home folder of its own for one test: every place where models are looked for lies below it. */
export interface Sandbox {
  home: string;
  path(...parts: string[]): string;
  /** Writes a file below the home folder, with its folders. */
  write(path: string, content: string | Uint8Array): string;
  remove(): void;
}

export function sandbox(): Sandbox {
  const home = realpathSync(mkdtempSync(join(tmpdir(), "inlay-home-")));
  const saved = VARIABLES.map((name) => [name, process.env[name]] as const);
  for (const name of VARIABLES) delete process.env[name];
  process.env.HOME = home;
  const path = (...parts: string[]) => join(home, ...parts);
  return {
    home,
    path,
    write(relative, content) {
      const file = path(relative);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, content);
      return file;
    },
    remove() {
      for (const [name, value] of saved) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
      rmSync(home, { recursive: true, force: true });
    },
  };
}

/** The metadata of a GGUF without tensors: enough for what a list shows. */
export function ggufBytes(entries: Record<string, string | number | string[]>): Buffer {
  const parts: Buffer[] = [Buffer.from("GGUF"), u32(3), u64(0), u64(Object.keys(entries).length)];
  for (const [key, value] of Object.entries(entries)) {
    parts.push(text(key));
    if (typeof value === "number") parts.push(u32(4), u32(value));
    else if (typeof value === "string") parts.push(u32(8), text(value));
    else parts.push(u32(9), u32(8), u64(value.length), ...value.map(text));
  }
  return Buffer.concat(parts);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64(bytes.length), bytes]);
}
