// Unmodified clients against the real server, each doing what its own documentation shows first. They are installed by
// `npm ci --prefix test/clients`; without them the tests are skipped, unless INLAY_REQUIRE_CLIENTS=1 asks for a failure.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { goldenModel, goldenNames, hasReference } from "./support/golden.ts";
import { cosine, post, type Running, startServer } from "./support/server-client.ts";

const folder = join(__dirname, "clients");
const present = existsSync(join(folder, "node_modules"));
if (!present) {
  const sentence = "The clients are not installed (npm ci --prefix test/clients)";
  if (process.env.INLAY_REQUIRE_CLIENTS === "1") throw new Error(`${sentence}, and INLAY_REQUIRE_CLIENTS is set.`);
  console.warn(`${sentence}: their tests are skipped.`);
}
// biome-ignore lint/suspicious/noExplicitAny: the clients' types are not installed with this package
const client = (name: string): any => createRequire(join(folder, "package.json"))(name);

const TEXTS = [
  "The sky is blue because of Rayleigh scattering",
  "Grass is green because of chlorophyll",
  "naïve 日本語",
];

/** Names that the clients use by themselves, and what stands behind them here. */
const DEFAULT_NAMES = [
  "mxbai-embed-large",
  "chroma/all-minilm-l6-v2-f32",
  "nomic-embed-text",
  "text-embedding-3-small",
];

const golden = hasReference ? goldenModel(goldenNames[0]!) : undefined;
const stages = [
  { stage: "the built-in model", target: "builtin" },
  ...(golden ? [{ stage: `the reference model ${golden.name}`, target: golden.path }] : []),
];

describe.skipIf(!present).each(stages)("clients, with $stage:", ({ target }) => {
  let running: Running;
  let expected: number[][];

  beforeAll(async () => {
    running = await startServer({
      models: Object.fromEntries([...DEFAULT_NAMES, "embedder"].map((name) => [name, target])),
    });
    const { json } = await post(`${running.url}/api/embed`, { model: "embedder", input: TEXTS });
    expected = json.embeddings;
    expect(expected).toHaveLength(TEXTS.length);
  });
  afterAll(() => running.server.close());

  /** Float32 for float32: what reaches the client is what the server computed. */
  function expectVectors(vectors: readonly ArrayLike<number>[], wanted: readonly number[][] = expected): void {
    expect(vectors).toHaveLength(wanted.length);
    vectors.forEach((vector, index) => {
      expect(Array.from(vector, Math.fround)).toEqual(wanted[index]!.map(Math.fround));
    });
  }

  describe("ollama", () => {
    const ollama = () => new (client("ollama").Ollama)({ host: running.url });

    it("embeds, one text and several", async () => {
      const response = await ollama().embed({ model: "embedder", input: TEXTS });
      expectVectors(response.embeddings);
      expect(response.model).toBe("embedder");
      expect(response.prompt_eval_count).toBeGreaterThan(TEXTS.length);
      expect(response.total_duration).toBeGreaterThan(response.load_duration);
      expectVectors((await ollama().embed({ model: "embedder", input: TEXTS[0] })).embeddings, expected.slice(0, 1));
      expectVectors(
        [(await ollama().embeddings({ model: "embedder", prompt: TEXTS[0] })).embedding],
        expected.slice(0, 1),
      );
    });

    it("lists, shows, pulls and asks for the version", async () => {
      const { models } = await ollama().list();
      expect(models.map(({ name }: { name: string }) => name)).toContain("embedder:latest");
      const shown = await ollama().show({ model: "embedder" });
      const family = shown.model_info["general.architecture"];
      expect(shown.model_info[`${family}.embedding_length`]).toBe(expected[0]!.length);
      expect(await ollama().pull({ model: "embedder" })).toEqual({ status: "success" });
      const steps = [];
      for await (const step of await ollama().pull({ model: "embedder", stream: true })) steps.push(step);
      expect(steps.at(-1)).toEqual({ status: "success" });
      expect((await ollama().version()).version).toMatch(/^\d+\.\d+\.\d+$/);
      const running = await ollama().ps();
      expect(running.models.length).toBeGreaterThan(0);
    });

    it("gets errors as sentences with their status", async () => {
      await expect(ollama().embed({ model: "nope", input: "x" })).rejects.toMatchObject({
        status_code: 404,
        message: 'model "nope" not found, try pulling it first',
      });
      const input = "word ".repeat(20_000);
      await expect(ollama().embed({ model: "embedder", input, truncate: false })).rejects.toMatchObject({
        status_code: 400,
        message: "the input length exceeds the context length",
      });
    });
  });

  describe("openai", () => {
    const openai = () =>
      new (client("openai").OpenAI)({ baseURL: `${running.url}/v1`, apiKey: "unused", maxRetries: 0 });

    it("embeds by way of base64, as it does by itself", async () => {
      const response = await openai().embeddings.create({ model: "text-embedding-3-small", input: TEXTS });
      expectVectors(response.data.map(({ embedding }: { embedding: number[] }) => embedding));
      expect(response.usage.total_tokens).toBeGreaterThan(0);
    });

    it("embeds by way of floats, and to fewer dimensions", async () => {
      const input = TEXTS[0];
      const response = await openai().embeddings.create({ model: "embedder", input, encoding_format: "float" });
      expectVectors([response.data[0].embedding], expected.slice(0, 1));
      const cut = await openai().embeddings.create({ model: "embedder", input, dimensions: 8 });
      expect(cut.data[0].embedding).toHaveLength(8);
      expect(cosine(cut.data[0].embedding, expected[0]!.slice(0, 8))).toBeGreaterThan(0.999999);
    });

    it("lists models, and gets errors as its own classes", async () => {
      const models = [];
      for await (const model of await openai().models.list()) models.push(model.id);
      expect(models).toContain("embedder:latest");
      expect((await openai().models.retrieve("embedder")).id).toBe("embedder");
      const { NotFoundError, BadRequestError } = client("openai");
      await expect(openai().embeddings.create({ model: "nope", input: "x" })).rejects.toBeInstanceOf(NotFoundError);
      await expect(openai().embeddings.create({ model: "embedder", input: [] })).rejects.toBeInstanceOf(
        BadRequestError,
      );
    });
  });

  it("@langchain/ollama embeds documents and a query", async () => {
    const { OllamaEmbeddings } = client("@langchain/ollama");
    const embeddings = new OllamaEmbeddings({ baseUrl: running.url });
    expect(embeddings.model).toBe("mxbai-embed-large");
    expectVectors(await embeddings.embedDocuments(TEXTS));
    expectVectors([await embeddings.embedQuery(TEXTS[0])], expected.slice(0, 1));
  });

  it("@langchain/openai embeds documents and a query", async () => {
    const { OpenAIEmbeddings } = client("@langchain/openai");
    const embeddings = new OpenAIEmbeddings({
      model: "text-embedding-3-small",
      apiKey: "unused",
      configuration: { baseURL: `${running.url}/v1` },
    });
    expectVectors(await embeddings.embedDocuments(TEXTS));
    expectVectors([await embeddings.embedQuery(TEXTS[0])], expected.slice(0, 1));
  });

  it("@ai-sdk/openai-compatible embeds one and many", async () => {
    const { createOpenAICompatible } = client("@ai-sdk/openai-compatible");
    const { embed, embedMany } = client("ai");
    const provider = createOpenAICompatible({ name: "inlay", baseURL: `${running.url}/v1` });
    const model = provider.textEmbeddingModel("embedder");
    expectVectors((await embedMany({ model, values: TEXTS })).embeddings);
    const one = await embed({ model, value: TEXTS[0] });
    expectVectors([one.embedding], expected.slice(0, 1));
    expect(one.usage.tokens).toBeGreaterThan(0);
  });

  it("ollama-ai-provider-v2 embeds many", async () => {
    const { createOllama } = client("ollama-ai-provider-v2");
    const { embedMany } = client("ai");
    const ollama = createOllama({ baseURL: `${running.url}/api` });
    const { embeddings } = await embedMany({ model: ollama.embedding("nomic-embed-text"), values: TEXTS });
    expectVectors(embeddings);
  });

  it("chromadb's embedding function generates", async () => {
    const { OllamaEmbeddingFunction } = client("@chroma-core/ollama");
    const embedder = new OllamaEmbeddingFunction({ url: running.url, model: "chroma/all-minilm-l6-v2-f32" });
    expectVectors(await embedder.generate(TEXTS));
  });

  it("llamaindex embeds a text and nodes", async () => {
    const { OllamaEmbedding } = client("@llamaindex/ollama");
    const embedding = new OllamaEmbedding({ model: "nomic-embed-text", config: { host: running.url } });
    expectVectors([await embedding.getTextEmbedding(TEXTS[0])], expected.slice(0, 1));
    expectVectors(await embedding.getTextEmbeddingsBatch(TEXTS));
  });
});

describe.skipIf(!present || golden === undefined)("the reference model over HTTP", () => {
  it("gives every golden vector to both dialects", async () => {
    const { path, texts } = golden!;
    const running = await startServer({ models: { reference: path } });
    const input = texts.map(({ text }) => text);
    const ollama = new (client("ollama").Ollama)({ host: running.url });
    const { embeddings } = await ollama.embed({ model: "reference", input });
    const openai = new (client("openai").OpenAI)({ baseURL: `${running.url}/v1`, apiKey: "unused" });
    const { data } = await openai.embeddings.create({ model: "reference", input });
    texts.forEach((text, index) => {
      const wanted = text.embedding_hf ?? text.embedding;
      expect(cosine(embeddings[index], wanted)).toBeGreaterThan(0.999);
      expect(cosine(data[index].embedding, wanted)).toBeGreaterThan(0.999);
    });
    await running.server.close();
  });
});
