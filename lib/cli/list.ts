import type { Command } from "commander";
import { type CatalogueEntry, catalogue, type LocalModel, listModels } from "../models/index.ts";
import { formatBytes, formatTable } from "./table.ts";

/** Adds `inlay list`. */
export function register(program: Command): void {
  program
    .command("list")
    .description("models on this machine, from every source: built-in, Ollama's, Hugging Face's, pulled ones")
    .option("--catalogue", "models that inlay pull knows by name, instead")
    .option("--json", "print JSON")
    .action(run);
}

async function run(flags: { json?: boolean; catalogue?: boolean }): Promise<void> {
  const models = flags.catalogue ? catalogue : await listModels();
  if (flags.json) process.stdout.write(`${JSON.stringify(models, null, 2)}\n`);
  else if (flags.catalogue) process.stdout.write(catalogueTable(catalogue));
  else process.stdout.write(localTable(models as LocalModel[]));
}

function localTable(models: readonly LocalModel[]): string {
  if (models.length === 0) return "No models here. inlay list --catalogue shows some that inlay pull knows.\n";
  const rows = models.map((model) => [
    model.name,
    model.source,
    formatBytes(model.bytes),
    model.quantization ?? "",
    String(model.dimensions ?? ""),
    model.lastUsed === undefined ? "" : model.lastUsed.toISOString().slice(0, 16).replace("T", " "),
    model.problem ?? "",
  ]);
  return formatTable(["NAME", "SOURCE", "SIZE", "QUANT", "DIMS", "LAST USED", ""], rows);
}

function catalogueTable(entries: readonly CatalogueEntry[]): string {
  const rows = entries.map((entry) => [
    entry.name,
    String(entry.dimensions),
    String(entry.contextLength ?? ""),
    entry.parameters === undefined ? "" : `${entry.parameters} M`,
    entry.languages,
    entry.licence,
    `hf:${entry.repository}`,
  ]);
  return formatTable(["NAME", "DIMS", "CONTEXT", "PARAMETERS", "LANGUAGES", "LICENCE", "FROM"], rows);
}
