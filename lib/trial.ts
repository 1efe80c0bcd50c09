// The child of trust.ts: loads the model that the first argument describes, embeds with it, reports, and ends.
import { InlayError } from "./errors.ts";
import { runJob } from "./jobs.ts";
import { FLAG, type NativeLoadOptions, native, toInlayError } from "./native.ts";
import type { TrialReport } from "./trust.ts";

/** Short, ordinary, other scripts, and longer than any context. */
const TEXTS = ["", "a", "why is the sky blue?", "日本語 한국어 العربية", "word ".repeat(50_000)];

async function trial(options: NativeLoadOptions): Promise<TrialReport> {
  try {
    const { model, info } = await native().load(options).promise;
    await runJob(TEXTS, {
      model,
      flags: FLAG.truncate | FLAG.normalize,
      dimensions: info.dimensions,
      limit: info.contextLength,
      threads: 1,
      begin: () => ({ proceed() {}, watch() {}, end() {} }),
    });
    return {};
  } catch (error) {
    const known = toInlayError(error);
    if (known instanceof InlayError) return { error: { code: known.code, message: known.message, rule: known.rule } };
    return { error: { code: "ERR_INTERNAL", message: known.message } };
  }
}

void trial(JSON.parse(process.argv[2]!)).then((report) => process.send!(report, () => process.exit(0)));
