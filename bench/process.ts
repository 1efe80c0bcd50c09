import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import type { CommandName, Commands, Reply } from "./protocol.ts";

const START_MS = 300_000;

/** A peer in a process of its own. Calls are answered in turn. */
export class PeerProcess {
  readonly #child: ChildProcess;
  #output = "";

  constructor(readonly name: string) {
    this.#child = fork(join(__dirname, "child.cjs"), {
      serialization: "advanced",
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      stream.on("data", (chunk) => {
        this.#output = (this.#output + chunk).slice(-2000);
      });
    }
  }

  call<Name extends CommandName>(command: Name, request: Commands[Name]["request"]): Promise<Commands[Name]["reply"]> {
    return new Promise((resolve, reject) => {
      const settle = () => {
        clearTimeout(timer);
        this.#child.off("message", onMessage).off("exit", onExit);
      };
      const onMessage = (reply: Reply) => {
        settle();
        if ("error" in reply) reject(new Error(reply.error));
        else resolve(reply.value as Commands[Name]["reply"]);
      };
      const onExit = (code: number | null, signal: string | null) => {
        settle();
        reject(new Error(`the process ended with ${signal ?? code}: ${this.#output.trim().split("\n").pop() ?? ""}`));
      };
      const timer = setTimeout(() => {
        settle();
        this.#child.kill("SIGKILL");
        reject(new Error(`no answer to ${command} within ${START_MS / 1000} s`));
      }, START_MS);
      if (this.#child.exitCode !== null || this.#child.signalCode !== null || !this.#child.connected) {
        return onExit(this.#child.exitCode, this.#child.signalCode);
      }
      this.#child.on("message", onMessage).on("exit", onExit);
      this.#child.send({ command, ...request });
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) return resolve();
      this.#child.on("exit", () => resolve());
      this.#child.kill("SIGKILL");
    });
  }
}
