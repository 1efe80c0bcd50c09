import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { type LocalModel, listModels, resolveModel } from "../models/index.ts";
import { localModel } from "../models/local.ts";
import type { ModelInfo, ModelOptions } from "../types.ts";
import { HttpError } from "./errors.ts";
import { goJson } from "./json.ts";
import type { Located, ServedModels } from "./models.ts";
import { bareName, isModelName, withTag } from "./names.ts";
import { fieldsOf } from "./ollama.ts";
import type { ServerOptions } from "./options.ts";
import { nameRequest } from "./schemas.ts";

const JSON_TYPE = "application/json; charset=utf-8";
/** Milliseconds for which a list is good: walking the stores is not free, and some clients poll. */
const LIST_AGE = 2000;
/** What Ollama says for "never": a Go duration's greatest value from now. */
const NEVER_MS = 292 * 365 * 24 * 3600 * 1000;
const DEFAULT_KEEP_ALIVE_MS = 300_000;

/** The models on this machine, as both dialects list them. */
export class Catalogue {
  readonly #served: ServedModels;
  readonly #only: boolean;
  #list: Promise<LocalModel[]> | undefined;
  #listed = 0;

  constructor(served: ServedModels, options: ServerOptions) {
    this.#served = served;
    this.#only = options.onlyModels ?? false;
  }

  /** Newest first. Looks at files only: no model is loaded for it. */
  list(): Promise<LocalModel[]> {
    if (this.#list === undefined || performance.now() - this.#listed > LIST_AGE) {
      this.#listed = performance.now();
      this.#list = this.#read();
      this.#list.catch(() => {
        this.#list = undefined;
      });
    }
    return this.#list;
  }

  async find(name: string): Promise<LocalModel> {
    const { target } = await this.#served.locate(name);
    return { ...(await described(target)), name };
  }

  locate(name: string): Promise<Located> {
    return this.#served.locate(name);
  }

  /** What a loaded model says of itself, if it is loaded. */
  info(path: string): ModelInfo | undefined {
    return this.#served.loaded().find(({ model }) => model.path === path)?.model.info;
  }

  openAiModel = (model: LocalModel) => {
    const parts = model.name.replace(/^hf:/, "").split("/");
    const created = Math.floor(model.modified.getTime() / 1000);
    return { id: model.name, object: "model", created, owned_by: parts.length > 1 ? parts.at(-2) : "library" };
  };

  async #read(): Promise<LocalModel[]> {
    const given = await Promise.all(
      [...this.#served.given].map(async ([name, target]) => ({ ...(await described(target)), name: withTag(name) })),
    );
    const taken = new Set(this.#served.given.keys());
    const others = this.#only ? [] : (await listModels()).filter(({ name }) => !taken.has(bareName(name)));
    return [...given, ...others.map((model) => ({ ...model, name: withTag(model.name) }))]
      .filter(({ name, problem }) => problem === undefined && isModelName(name))
      .sort((a, b) => b.modified.getTime() - a.modified.getTime());
  }
}

/** Ollama's routes that list and describe models. */
export function registerCatalogue(app: FastifyInstance, served: ServedModels, catalogue: Catalogue): void {
  const send = (reply: FastifyReply, value: unknown) => reply.type(JSON_TYPE).send(goJson(value));
  app.get("/api/tags", async (_request, reply) => {
    const models = (await catalogue.list()).map((model) => ({
      ...identity(model.name),
      modified_at: model.modified.toISOString(),
      size: model.bytes,
      digest: model.sha256 ?? "",
      details: { ...details(model, catalogue.info(model.path)), ...lengths(model) },
      capabilities: ["embedding"],
    }));
    return send(reply, { models });
  });
  app.post("/api/show", async (request, reply) => send(reply, await show(catalogue, request)));
  app.get("/api/ps", (_request, reply) => send(reply, { models: running(served) }));
}

async function show(catalogue: Catalogue, request: FastifyRequest): Promise<unknown> {
  const fields = fieldsOf(nameRequest, request);
  const name = requiredName(fields);
  const model = await catalogue.find(name).catch((error) => {
    throw error?.status === 404 ? new HttpError(404, `model '${withTag(name.trim())}' not found`) : error;
  });
  const { defaults } = await catalogue.locate(name);
  const info = catalogue.info(model.path);
  const { architecture = info?.architecture ?? "unknown" } = model;
  const facts: Record<string, unknown> = { "general.architecture": architecture };
  if (info) facts["general.parameter_count"] = info.parameters;
  const length = model.contextLength ?? info?.contextLength;
  const dimensions = model.dimensions ?? info?.dimensions;
  if (length !== undefined) facts[`${architecture}.context_length`] = length;
  if (dimensions !== undefined) facts[`${architecture}.embedding_length`] = dimensions;
  if (info) facts[`${architecture}.pooling_type`] = { mean: 1, cls: 2, last: 3 }[info.pooling];
  return {
    parameters: parameters({ ...(length !== undefined && { num_ctx: length }), ...defaults }),
    details: details(model, info),
    model_info: facts,
    capabilities: ["embedding"],
    modified_at: model.modified.toISOString(),
  };
}

/** One option per line, as `ollama show` prints them. */
function parameters(options: ModelOptions): string {
  return Object.entries(options)
    .map(([name, value]) => `${name.padEnd(30)} ${typeof value === "string" ? JSON.stringify(value) : value}`)
    .join("\n");
}

export function requiredName(fields: Record<string, unknown>): string {
  const name = ((fields.model as string | undefined) || (fields.name as string | undefined)) ?? "";
  if (name === "") throw new HttpError(400, "model is required");
  return name;
}

async function described(target: string): Promise<LocalModel> {
  const { name, source, path, sha256 } = await resolveModel(target);
  return localModel(name, source, path, sha256);
}

function running(served: ServedModels): unknown[] {
  return served
    .loaded()
    .map(({ name, model }) => {
      const { info, expiresAt } = model;
      const size = info.memory.weights + info.memory.workspaces;
      const never = Date.now() + NEVER_MS;
      return {
        ...identity(withTag(name)),
        size,
        digest: info.sha256 ?? "",
        details: details({ architecture: info.architecture }, info),
        expires: expiresAt === null ? never : (expiresAt ?? Date.now() + DEFAULT_KEEP_ALIVE_MS),
        size_vram: /^(cuda|metal)/.test(info.device) ? info.memory.weights : 0,
        context_length: info.contextLength,
      };
    })
    .sort((a, b) => b.expires - a.expires)
    .map(({ expires, ...model }) => ({ ...model, expires_at: new Date(expires).toISOString() }));
}

function identity(name: string): { name: string; model: string } {
  return { name, model: name };
}

function lengths({ contextLength, dimensions }: LocalModel): Record<string, number> {
  return {
    ...(contextLength && { context_length: contextLength }),
    ...(dimensions && { embedding_length: dimensions }),
  };
}

function details({ architecture, quantization }: Partial<LocalModel>, info: ModelInfo | undefined) {
  return {
    parent_model: "",
    format: "gguf",
    family: architecture ?? "",
    families: architecture === undefined ? null : [architecture],
    parameter_size: info ? parameterSize(info.parameters) : "",
    quantization_level: quantization ?? "",
  };
}

function parameterSize(parameters: number): string {
  if (parameters >= 1e9) return `${(parameters / 1e9).toFixed(1)}B`;
  if (parameters >= 1e6) return `${(parameters / 1e6).toFixed(2).replace(/\.?0+$/, "")}M`;
  return `${(parameters / 1e3).toFixed(2).replace(/\.?0+$/, "")}K`;
}
