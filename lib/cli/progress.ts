import { SingleBar } from "cli-progress";
import type { PullProgress } from "../models/index.ts";
import { formatBytes } from "./table.ts";

const LABELS = { download: "fetching ", verify: "verifying" };

/** A bar for files on their way, on a terminal; nothing at all in a pipe. */
export class FileProgress {
  #bar: SingleBar | undefined;
  #phase: PullProgress["phase"] | undefined;

  constructor(enabled: boolean) {
    if (!enabled || !process.stderr.isTTY) return;
    this.#bar = new SingleBar({
      stream: process.stderr,
      format: "{label} {bar} {percentage}% | {done} of {size} | {file}",
      barCompleteChar: "█",
      barIncompleteChar: "░",
      hideCursor: true,
      clearOnComplete: true,
      etaBuffer: 100,
    });
  }

  show({ file, phase, completed, total }: PullProgress): void {
    const facts = { label: LABELS[phase], file, done: formatBytes(completed), size: formatBytes(total) };
    if (phase !== this.#phase) {
      this.#phase = phase;
      this.#bar?.start(total, completed, facts);
    } else this.#bar?.update(completed, facts);
  }

  end(): void {
    this.#bar?.stop();
    this.#phase = undefined;
  }
}
