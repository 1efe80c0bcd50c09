import { models as loadedModels, loadModel } from "../index.ts";
import { resolveModel } from "../models/index.ts";
import type { EmbeddingModel, LoadedModel, LoadOptions, ModelOptions } from "../types.ts";
import { parseKeepAliveVariable } from "./duration.ts";
import { HttpError, notFound } from "./errors.ts";
import { bareName, isModelName } from "./names.ts";
import type { ServerOptions } from "./options.ts";

/** Names as asked that were found, remembered so that a busy one is not looked up for every request. */
const MAX_REMEMBERED = 1024;
/** With the white space around it. */
const LONGEST_NAME = 4096;
const DEFAULT_KEEP_ALIVE = 300;

/** What a name leads to. */
export interface Located {
  /** For {@link ServedModels.load}. */
  target: string;
  /** Options that the model's source attaches to it; a request's own win. */
  defaults: ModelOptions;
}

/** What the last request that said so wants of a model's stay. */
interface Stay {
  /** Seconds; negative: for ever. */
  keepAlive: number;
  /** Milliseconds, on the monotonic clock. */
  lastUsed: number;
}

/** The models that this server's clients may name. */
export class ServedModels {
  /** Name in lower case, without `:latest` → name or path to load. */
  readonly given: ReadonlyMap<string, string>;
  readonly #only: boolean;
  readonly #keepAlive: number;
  readonly #precision: LoadOptions["precision"];
  readonly #stays = new Map<string, Stay>();
  readonly #located = new Map<string, Located>();

  constructor(options: ServerOptions) {
    this.given = new Map(Object.entries(options.models ?? {}).map(([name, target]) => [bareName(name), target]));
    this.#only = options.onlyModels ?? false;
    this.#precision = options.precision;
    this.#keepAlive =
      options.keepAlive ?? parseKeepAliveVariable(process.env.INLAY_KEEP_ALIVE ?? "") ?? DEFAULT_KEEP_ALIVE;
  }

  /** What a name that a request gives leads to; throws Ollama's errors for names that lead nowhere. */
  async locate(asked: string, signal?: AbortSignal): Promise<Located> {
    const known = this.#located.get(asked);
    if (known !== undefined) return known;
    if (asked.length > LONGEST_NAME) throw new HttpError(400, "invalid model name");
    const name = asked.trim();
    if (name === "") throw new HttpError(404, `model '${asked}' not found`);
    const wanted = withoutLocal(name);
    if (!isModelName(wanted)) throw new HttpError(400, "invalid model name");
    const given = this.given.get(bareName(wanted));
    if (given === undefined && this.#only) throw notFound(asked);
    const target = given ?? (bareName(wanted) === "builtin" ? "builtin" : wanted);
    const { defaults = {} } = await resolveModel(target, { signal, allowPaths: given !== undefined });
    if (this.#located.size >= MAX_REMEMBERED) this.#located.clear();
    const located = { target, defaults };
    this.#located.set(asked, located);
    return located;
  }

  /** A handle on the model that {@link locate} found. `keepAlive` is in seconds. */
  async load(target: string, options: LoadOptions, keepAlive: number | undefined): Promise<EmbeddingModel> {
    try {
      const stay = this.#stay(target, keepAlive);
      return await loadModel(target, { ...options, precision: this.#precision, keepAlive: stay });
    } catch (error) {
      // The file may have gone since it was found.
      this.#located.clear();
      throw error;
    }
  }

  /** Loads a model that the operator names, so by path too, and lets it stay as after a request. */
  async preload(name: string): Promise<void> {
    await (await this.load(this.given.get(bareName(name)) ?? name, {}, undefined)).dispose();
  }

  /** Unloads a model that is loaded once the requests under way have their answers. */
  async unload(target: string): Promise<void> {
    if (!loadedModels().some(({ names }) => names.includes(target))) return;
    await (await this.load(target, {}, 0)).dispose();
  }

  /** Models in memory, under the names that this server's clients know. */
  loaded(): { name: string; model: LoadedModel }[] {
    const names = new Map([...this.given].map(([name, target]) => [target, name]));
    return loadedModels().map((model) => {
      const known = model.names.map((name) => names.get(name) ?? name).find(isModelName);
      return { name: known ?? "unnamed", model };
    });
  }

  /** A request that says nothing keeps what an earlier one said, for as long as the model has not gone since. */
  #stay(target: string, asked: number | undefined): number {
    const now = performance.now();
    const before = this.#stays.get(target);
    const gone = before === undefined || (before.keepAlive >= 0 && now - before.lastUsed > before.keepAlive * 1000);
    const keepAlive = asked ?? (gone ? this.#keepAlive : before.keepAlive);
    if (this.#stays.size >= MAX_REMEMBERED) this.#stays.clear();
    if (keepAlive === 0) this.#stays.delete(target);
    else this.#stays.set(target, { keepAlive, lastUsed: now });
    return keepAlive;
  }
}

function withoutLocal(name: string): string {
  const match = /:(local|cloud)((?::|-)(?:local|cloud))?$/i.exec(name);
  if (match?.[2] !== undefined && match[2].slice(1).toLowerCase() !== match[1]!.toLowerCase()) {
    throw new HttpError(400, `use either :local or :cloud, not both: ${JSON.stringify(name)}`);
  }
  return name.replace(/:local$/i, "");
}
