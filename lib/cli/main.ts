#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import { InlayError } from "../errors.ts";
import { version } from "../package.ts";

/** Each command's file is loaded only for the command that runs, and for help. */
const COMMANDS = {
  embed: () => import("./embed.ts"),
  serve: () => import("./serve.ts"),
  pull: () => import("./pull.ts"),
  list: () => import("./list.ts"),
  show: () => import("./show.ts"),
  rm: () => import("./rm.ts"),
  verify: () => import("./verify.ts"),
  bench: () => import("./bench.ts"),
  doctor: () => import("./doctor.ts"),
};

/** 0 done, 1 it failed, 2 the command line cannot be understood, 130 interrupted. */
async function main(args: string[]): Promise<number> {
  const program = new Command("inlay")
    .description("Embeddings inside your Node process, and on its command line.")
    .version(version, "-V, --version")
    .showHelpAfterError("(`inlay --help` lists the commands)")
    .exitOverride();
  const wanted = Object.entries(COMMANDS).filter(([name]) => name === args[0]);
  for (const [, load] of wanted.length > 0 ? wanted : Object.entries(COMMANDS)) (await load()).register(program);
  for (const command of program.commands) command.exitOverride();
  try {
    await program.parseAsync(args, { from: "user" });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    process.stderr.write(`${explain(error)}\n`);
    return error instanceof InlayError && error.code === "ERR_INPUT_INVALID" ? 2 : 1;
  }
}

function explain(error: unknown): string {
  if (error instanceof InlayError) return `inlay: ${error.message} (${error.code})`;
  return process.env.INLAY_LOG === "debug" ? String((error as Error).stack) : `inlay: ${(error as Error).message}`;
}

// A closed pipe (`inlay embed … | head`) is the reader's wish, not an error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

void main(process.argv.slice(2)).then((code) => {
  process.exitCode = code;
});
