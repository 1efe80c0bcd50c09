import { aliasPlaces } from "./aliases.ts";
import { builtinPlaces, listBuiltin } from "./builtin.ts";
import { httpsPlaces, listHttps } from "./https.ts";
import { huggingFacePlaces, listHuggingFace } from "./huggingface.ts";
import { listOllama, ollamaPlaces } from "./ollama.ts";
import type { LocalModel, SearchedPlace } from "./types.ts";

/** The models of every source on this machine: built-in, Ollama's, Hugging Face's, those pulled from URLs. */
export async function listModels(): Promise<LocalModel[]> {
  const sources = await Promise.all([listBuiltin(), listOllama(), listHuggingFace(), listHttps()]);
  return sources.flat();
}

/** Where names are looked up, in that order. */
export async function searchedPlaces(): Promise<SearchedPlace[]> {
  const sources = [aliasPlaces(), builtinPlaces(), ollamaPlaces(), huggingFacePlaces(), httpsPlaces()];
  return (await Promise.all(sources)).flat();
}
