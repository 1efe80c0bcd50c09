import { InlayError } from "./errors.ts";

/** Prefixes that a family of models was trained with, by task. */
interface Family {
  /** Matches the file's own title or the name it was loaded by. */
  match: RegExp;
  prompts: Record<string, string>;
}

// Each from the model card of the family; a family that takes no prefix is not listed.
const FAMILIES: Family[] = [
  {
    match: /nomic-embed/i,
    prompts: {
      query: "search_query: ",
      document: "search_document: ",
      clustering: "clustering: ",
      classification: "classification: ",
    },
  },
  {
    match: /embedding-?gemma/i,
    prompts: {
      query: "task: search result | query: ",
      document: "title: none | text: ",
      question: "task: question answering | query: ",
      factcheck: "task: fact checking | query: ",
      classification: "task: classification | query: ",
      clustering: "task: clustering | query: ",
      similarity: "task: sentence similarity | query: ",
      code: "task: code retrieval | query: ",
    },
  },
  {
    match: /qwen3-embedding/i,
    prompts: {
      query: "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:",
      document: "",
    },
  },
  { match: /e5-(small|base|large)/i, prompts: { query: "query: ", document: "passage: " } },
  {
    match: /mxbai-embed/i,
    prompts: { query: "Represent this sentence for searching relevant passages: ", document: "" },
  },
  {
    match: /bge-(small|base|large)-en/i,
    prompts: { query: "Represent this sentence for searching relevant passages: ", document: "" },
  },
  { match: /arctic-embed.*v2|arctic-embed2/i, prompts: { query: "query: ", document: "" } },
  {
    match: /arctic-embed/i,
    prompts: { query: "Represent this sentence for searching relevant passages: ", document: "" },
  },
];

/** The prompts known for a model, by task; empty where none are. @internal */
export function promptsFor(info: { title: string }, name: string): Record<string, string> {
  return FAMILIES.find(({ match }) => match.test(info.title) || match.test(name))?.prompts ?? {};
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
