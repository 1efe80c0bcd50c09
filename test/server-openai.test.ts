import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { get, post, type Running, startServer } from "./support/server-client.ts";

const MODEL = "builtin";
let running: Running;
const embed = (body: unknown) => post(`${running.url}/v1/embeddings`, body);

beforeAll(async () => {
  running = await startServer();
});
afterAll(() => running.server.close());

describe("POST /v1/embeddings", () => {
  it("answers with OpenAI's fields in OpenAI's order", async () => {
    const { status, headers, json } = await embed({ model: MODEL, input: ["a", "b c"], user: "someone" });
    expect([status, headers.get("content-type")]).toEqual([200, "application/json"]);
    expect(Object.keys(json)).toEqual(["object", "data", "model", "usage"]);
    expect(json.object).toBe("list");
    expect(json.data.map((item: { index: number }) => item.index)).toEqual([0, 1]);
    for (const item of json.data) expect(Object.keys(item)).toEqual(["object", "embedding", "index"]);
    expect(json.usage.prompt_tokens).toBeGreaterThan(2);
    expect(json.usage.total_tokens).toBe(json.usage.prompt_tokens);
  });

  it("gives the same vectors as /api/embed", async () => {
    const ollama = await post(`${running.url}/api/embed`, { model: MODEL, input: ["a", "b c"] });
    const { json } = await embed({ model: MODEL, input: ["a", "b c"] });
    expect(json.data.map(({ embedding }: { embedding: number[] }) => embedding)).toEqual(ollama.json.embeddings);
  });

  it("packs float32 in base64 where asked, in any case", async () => {
    const floats = (await embed({ model: MODEL, input: "x" })).json.data[0].embedding as number[];
    for (const encoding_format of ["base64", "BASE64"]) {
      const { json } = await embed({ model: MODEL, input: "x", encoding_format });
      const bytes = Buffer.from(json.data[0].embedding, "base64");
      const packed = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
      expect(Array.from(packed)).toEqual(floats.map(Math.fround));
    }
    for (const encoding_format of ["float", "", null]) {
      expect((await embed({ model: MODEL, input: "x", encoding_format })).json.data[0].embedding).toEqual(floats);
    }
  });

  it("takes an empty text, and cuts to dimensions", async () => {
    expect((await embed({ model: MODEL, input: "" })).json.data).toHaveLength(1);
    expect((await embed({ model: MODEL, input: "x", dimensions: 3 })).json.data[0].embedding).toHaveLength(3);
  });

  it("takes token ids, as one list or several", async () => {
    const url = `${running.url}/api/tokenize`;
    const { json } = await post(url, { model: MODEL, input: ["hello world", "sky"], add_special: false });
    const [first, second] = json.tokens as number[][];
    const texts = (await embed({ model: MODEL, input: ["hello world", "sky"] })).json;
    const both = (await embed({ model: MODEL, input: [first, second] })).json;
    expect(both.usage).toEqual(texts.usage);
    const vectors = ({ data }: { data: { embedding: number[] }[] }) => data.map(({ embedding }) => embedding);
    expect(vectors(both)).toEqual(vectors(texts));
    expect(vectors((await embed({ model: MODEL, input: first })).json)).toEqual([vectors(texts)[0]]);
  });

  it.each([
    ["", 400, "missing request body", "invalid_request_error"],
    ["{", 400, "unexpected EOF", "invalid_request_error"],
    [{ model: MODEL }, 400, "invalid input", "invalid_request_error"],
    [{ model: MODEL, input: null }, 400, "invalid input", "invalid_request_error"],
    [{ model: MODEL, input: [] }, 400, "invalid input", "invalid_request_error"],
    [{ model: MODEL, input: [[]] }, 400, "invalid input", "invalid_request_error"],
    [{ model: MODEL, input: 5 }, 400, "invalid input type", "invalid_request_error"],
    [{ model: MODEL, input: ["a", 5] }, 400, "invalid input type", "invalid_request_error"],
    [{ model: MODEL, input: [5, "a"] }, 400, "invalid input type", "invalid_request_error"],
    [{ model: MODEL, input: [1.5] }, 400, "invalid input type", "invalid_request_error"],
    [{ model: MODEL, input: [[[1]]] }, 400, "invalid input type", "invalid_request_error"],
    [
      { model: MODEL, input: "x", encoding_format: "hex" },
      400,
      "Invalid value for 'encoding_format' = hex. Supported values: ['float', 'base64'].",
      "invalid_request_error",
    ],
    [{ input: "x" }, 404, "model '' not found", "not_found_error"],
    [{ model: "nope", input: "x" }, 404, 'model "nope" not found, try pulling it first', "not_found_error"],
    [{ model: "a b", input: "x" }, 400, "invalid model name", "invalid_request_error"],
  ])("%j → %i %s", async (body, status, message, type) => {
    const answer = await embed(body);
    expect(answer.json).toEqual({ error: { message, type, param: null, code: null } });
    expect(answer.status).toBe(status);
  });

  it("refuses token ids that the model lacks, by index", async () => {
    const { status, json } = await embed({ model: MODEL, input: [[1], [99_999_999]] });
    expect(status).toBe(400);
    expect(json.error.message).toMatch(/^input 1 holds a token id that the model lacks; it has 0 to \d+$/);
    expect((await embed({ model: MODEL, input: [-1] })).status).toBe(400);
  });
});

describe("GET /v1/models", () => {
  it("lists what there is, and shows one by its name", async () => {
    const { json } = await get(`${running.url}/v1/models`);
    expect(json.object).toBe("list");
    const model = json.data.find(({ id }: { id: string }) => id === "builtin:latest");
    expect(model).toMatchObject({ object: "model", owned_by: "library" });
    expect(Number.isInteger(model.created)).toBe(true);
    expect((await get(`${running.url}/v1/models/${MODEL}`)).json).toMatchObject({ id: MODEL, object: "model" });
    const unknown = await get(`${running.url}/v1/models/some/nope`);
    expect(unknown.status).toBe(404);
    expect(unknown.json.error.type).toBe("not_found_error");
  });

  it("speaks OpenAI's dialect where there is nothing, too", async () => {
    for (const [path, status] of [
      ["/v1/nothing", 404],
      ["/v1/embeddings", 405],
    ] as const) {
      const answer = await get(running.url + path);
      expect(answer.status).toBe(status);
      expect(typeof answer.json.error.message).toBe("string");
    }
    expect((await post(`${running.url}/v1/chat/completions`, { model: MODEL })).status).toBe(501);
  });
});
