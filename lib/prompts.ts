import { InlayError } from "./errors.ts";
import { CATALOGUE } from "./models/catalogue-data.ts";

/** Prefixes that a model was trained with, by task. @internal */
export type Prompts = Readonly<Record<string, string>>;

/** How the names of a catalogue entry look inside a file's title or path, longest first. */
const KNOWN = CATALOGUE.flatMap(({ name, otherNames = [], original, prompts }) =>
  prompts ? [name, ...otherNames, original.split("/").pop()!].map((one) => ({ key: plain(one), prompts })) : [],
).sort((a, b) => b.key.length - a.key.length);

/**
 * The prompts known for a model, by task; empty where none are. The catalogue knows them by the model's name, which
 * is looked for in what the file calls itself and in the name it was loaded by. @internal
 */
export function promptsFor(info: { title: string }, name: string): Prompts {
  const texts = [info.title, name].map((text) => `-${plain(text)}-`);
  return KNOWN.find(({ key }) => texts.some((text) => text.includes(`-${key}-`)))?.prompts ?? {};
}

/** @internal */
export function promptFor(info: { title: string }, name: string, task: string): string {
  const prompts = promptsFor(info, name);
  const prompt = prompts[task];
  if (prompt !== undefined) return prompt;
  const known = Object.keys(prompts);
  throw new InlayError(
    "ERR_INPUT_INVALID",
    known.length === 0
      ? `task: no prompts are known for the model "${name}"; leave \`task\` out and put the prefix into the text.`
      : `task: the model "${name}" knows ${known.map((one) => `"${one}"`).join(", ")}, received "${task}".`,
  );
}

/** Lower case, words joined by single hyphens. */
function plain(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-|-$/g, "");
}
