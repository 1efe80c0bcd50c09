import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Answer, get, post, type Running, startServer } from "./support/server-client.ts";

const MODEL = "builtin";
let running: Running;
let embedUrl: string;

beforeAll(async () => {
  running = await startServer();
  embedUrl = `${running.url}/api/embed`;
});
afterAll(() => running.server.close());

const embed = (body: unknown): Promise<Answer> => post(embedUrl, body);

describe("POST /api/embed", () => {
  it("answers with Ollama's fields in Ollama's order", async () => {
    const { status, headers, json } = await embed({ model: MODEL, input: ["why is the sky blue?", "grass"] });
    expect(status).toBe(200);
    expect(headers.get("content-type")).toBe("application/json; charset=utf-8");
    expect(Object.keys(json)).toEqual(["model", "embeddings", "total_duration", "load_duration", "prompt_eval_count"]);
    expect(json.embeddings).toHaveLength(2);
    for (const counter of ["total_duration", "load_duration", "prompt_eval_count"]) {
      expect(Number.isInteger(json[counter])).toBe(true);
      expect(json[counter]).toBeGreaterThan(0);
    }
    expect(json.load_duration).toBeLessThanOrEqual(json.total_duration);
    for (const vector of json.embeddings) expect(Math.hypot(...vector)).toBeCloseTo(1, 5);
  });

  it("repeats the model's name exactly as it came", async () => {
    for (const name of [MODEL, `${MODEL}:latest`, ` ${MODEL} `, MODEL.toUpperCase()]) {
      const { status, json } = await embed({ model: name, input: "x" });
      expect(status).toBe(200);
      expect(json.model).toBe(name);
    }
  });

  it("writes floats as the shortest decimals that read back as the same float32", async () => {
    const { text, json } = await embed({ model: MODEL, input: "shortest" });
    const written = /"embeddings":\[\[([^\]]*)\]\]/.exec(text)![1]!.split(",");
    expect(written).toHaveLength(json.embeddings[0].length);
    for (const number of written) {
      const value = Number(number);
      const digits = number.replace(/^-?0?\.?0*|e.*$|\./g, "").length;
      expect(digits).toBeLessThanOrEqual(9);
      for (let precision = 1; precision < digits; precision++) {
        expect(Math.fround(Number(Math.fround(value).toPrecision(precision)))).not.toBe(Math.fround(value));
      }
    }
  });

  it("loads the model for an empty input and says nothing more", async () => {
    for (const body of [{}, { input: null }, { input: "" }, { input: [] }]) {
      const { status, text } = await embed({ model: MODEL, ...body });
      expect(status).toBe(200);
      expect(text).toBe(`{"model":"${MODEL}","embeddings":[]}`);
    }
  });

  it("embeds empty strings that stand in a list", async () => {
    const { json } = await embed({ model: MODEL, input: ["a", ""] });
    expect(json.embeddings).toHaveLength(2);
  });

  it("cuts to the dimensions asked for and normalises again; other sizes are ignored", async () => {
    const full = (await embed({ model: MODEL, input: "cut" })).json.embeddings[0] as number[];
    const cut = (await embed({ model: MODEL, input: "cut", dimensions: 4 })).json.embeddings[0] as number[];
    const norm = Math.hypot(...full.slice(0, 4));
    expect(cut).toHaveLength(4);
    for (const [index, value] of cut.entries()) expect(value).toBeCloseTo(full[index]! / norm, 5);
    for (const dimensions of [0, -1, full.length, full.length + 1, null]) {
      const { status, json } = await embed({ model: MODEL, input: "cut", dimensions });
      expect(status).toBe(200);
      expect(json.embeddings[0]).toEqual(full);
    }
  });

  it("cuts long texts by default and says which", async () => {
    const long = "word ".repeat(9000);
    const { status, json } = await embed({ model: MODEL, input: ["short", long] });
    expect(status).toBe(200);
    expect(json.truncated).toEqual([1]);
    const limit = (await post(`${running.url}/api/tokenize`, { model: MODEL, input: "x" })).json.context_length;
    expect(json.prompt_eval_count).toBeLessThanOrEqual(2 * limit);
  });

  it("obeys num_ctx without loading the model anew", async () => {
    const text = "one two three four five six seven eight nine ten";
    const { json } = await embed({ model: MODEL, input: [text, text], options: { num_ctx: 4 } });
    expect(json.prompt_eval_count).toBe(8);
    expect(json.truncated).toEqual([0, 1]);
    expect((await get(`${running.url}/api/ps`)).json.models).toHaveLength(1);
  });

  it("carries the fingerprint and where the time went in headers", async () => {
    const { headers } = await embed({ model: MODEL, input: "x" });
    expect(headers.get("x-inlay-fingerprint")).toBeTruthy();
    expect(Number(headers.get("x-inlay-queue-ms"))).toBeGreaterThanOrEqual(0);
    expect(headers.get("server-timing")).toMatch(/^load;dur=[\d.]+, embed;dur=[\d.]+$/);
    expect(headers.get("x-request-id")).toBeTruthy();
  });

  it("reads field names in any case, the last of several, and nothing after the first value", async () => {
    expect((await embed(`{"MODEL":"${MODEL}","Input":"x"}`)).json.embeddings).toHaveLength(1);
    expect((await embed(`{"model":"nope","model":"${MODEL}","input":"x"}`)).status).toBe(200);
    expect((await embed(`{"model":"${MODEL}","input":"x"} trailing`)).status).toBe(200);
  });

  it("ignores fields it does not know", async () => {
    const body = { model: MODEL, prompt: "x", stream: true, format: { a: { b: 1 } }, encoding_format: "base64" };
    const { status, json } = await embed(body);
    expect(status).toBe(200);
    expect(json.embeddings).toEqual([]);
  });
});

const MODEL_OF = (rest: string) => `{"model":"${MODEL}","input":"x",${rest}}`;

/** Request body, status, exact words. */
const BAD_INPUT: readonly [body: unknown, status: number, error: string][] = [
  ["", 400, "missing request body"],
  ["xyz", 400, "invalid character 'x' looking for beginning of value"],
  ["'a'", 400, "invalid character '\\'' looking for beginning of value"],
  ['{"model":tru}', 400, "invalid character '}' in literal true (expecting 'e')"],
  ['{"model":"a",}', 400, "invalid character '}' looking for beginning of object key string"],
  ['{"model" "a"}', 400, "invalid character '\"' after object key"],
  ['{"input":["a" "b"]}', 400, "invalid character '\"' after array element"],
  ['{"input":"a" "b"}', 400, "invalid character '\"' after object key:value pair"],
  ['{"dimensions":-x}', 400, "invalid character 'x' in numeric literal"],
  ['{"input":"\\q"}', 400, "invalid character 'q' in string escape code"],
  ['{"model":"builtin","input":"x"', 400, "unexpected EOF"],
  ['{"model":"builtin","input":"x', 400, "unexpected EOF"],
  ["[]", 400, "json: cannot unmarshal array into Go value of type api.EmbedRequest"],
  ["5", 400, "json: cannot unmarshal number into Go value of type api.EmbedRequest"],
  ['"text"', 400, "json: cannot unmarshal string into Go value of type api.EmbedRequest"],
  ["true", 400, "json: cannot unmarshal bool into Go value of type api.EmbedRequest"],
  ["null", 404, "model '' not found"],
  [{ input: "x" }, 404, "model '' not found"],
  [{ model: "", input: "x" }, 404, "model '' not found"],
  [{ model: "  ", input: "x" }, 404, "model '  ' not found"],
  [{ model: "a b", input: "x" }, 400, "invalid model name"],
  [{ model: `${MODEL}${" ".repeat(5000)}`, input: "x" }, 400, "invalid model name"],
  [{ model: "..", input: "x" }, 400, "invalid model name"],
  [{ model: "a//b", input: "x" }, 400, "invalid model name"],
  [{ model: "a:", input: "x" }, 400, "invalid model name"],
  [{ model: "/etc/passwd", input: "x" }, 400, "invalid model name"],
  [{ model: "../secret.gguf", input: "x" }, 400, "invalid model name"],
  [{ model: "model.gguf", input: "x" }, 400, "invalid model name"],
  [{ model: "file:///etc/passwd", input: "x" }, 400, "invalid model name"],
  [{ model: "https://10.0.0.1/m.gguf", input: "x" }, 400, "invalid model name"],
  [{ model: "a:local:cloud", input: "x" }, 400, 'use either :local or :cloud, not both: "a:local:cloud"'],
  [
    { model: 5, input: "x" },
    400,
    "json: cannot unmarshal number into Go struct field EmbedRequest.model of type string",
  ],
  [{ model: "nope", input: "x" }, 404, 'model "nope" not found, try pulling it first'],
  [{ model: "Nope:v1", input: [] }, 404, 'model "Nope:v1" not found, try pulling it first'],
  [{ model: MODEL, input: 5 }, 400, "invalid input type"],
  [{ model: MODEL, input: true }, 400, "invalid input type"],
  [{ model: MODEL, input: {} }, 400, "invalid input type"],
  [{ model: MODEL, input: ["a", 5] }, 400, "invalid input type"],
  [{ model: MODEL, input: ["a", null] }, 400, "invalid input type"],
  [{ model: MODEL, input: [["a"]] }, 400, "invalid input type"],
  [{ model: MODEL, input: [1, 2, 3] }, 400, "invalid input type"],
  [{ model: "nope", input: 5 }, 400, "invalid input type"],
  [
    MODEL_OF('"truncate":"yes"'),
    400,
    "json: cannot unmarshal string into Go struct field EmbedRequest.truncate of type bool",
  ],
  [
    MODEL_OF('"dimensions":"8"'),
    400,
    "json: cannot unmarshal string into Go struct field EmbedRequest.dimensions of type int",
  ],
  ...["3.5", "256.0", "1e3"].map((number): [string, number, string] => [
    MODEL_OF(`"dimensions":${number}`),
    400,
    `json: cannot unmarshal number ${number} into Go struct field EmbedRequest.dimensions of type int`,
  ]),
  [MODEL_OF('"keep_alive":"abc"'), 400, 'time: invalid duration "abc"'],
  [MODEL_OF('"keep_alive":"5"'), 400, 'time: missing unit in duration "5"'],
  [MODEL_OF('"keep_alive":"5d"'), 400, 'time: unknown unit "d" in duration "5d"'],
  [MODEL_OF('"keep_alive":""'), 400, 'time: invalid duration ""'],
  [MODEL_OF('"keep_alive":true'), 400, "Unsupported type: 'bool'"],
  [MODEL_OF('"keep_alive":[]'), 400, "Unsupported type: '[]interface {}'"],
  [MODEL_OF('"keep_alive":{}'), 400, "Unsupported type: 'map[string]interface {}'"],
  [
    MODEL_OF('"options":"x"'),
    400,
    "json: cannot unmarshal string into Go struct field EmbedRequest.options of type map[string]interface {}",
  ],
  [MODEL_OF('"options":{"num_ctx":"8192"}'), 500, 'option "num_ctx" must be of type integer'],
  [MODEL_OF('"options":{"use_mmap":1}'), 500, 'option "use_mmap" must be of type boolean'],
  [MODEL_OF('"options":{"temperature":"hot"}'), 500, 'option "temperature" must be of type float32'],
  [MODEL_OF('"options":{"stop":5}'), 500, 'option "stop" must be of type array'],
  [MODEL_OF('"options":{"stop":[1]}'), 500, 'option "stop" must be of an array of strings'],
  [{ model: "nope", input: "x", options: { num_ctx: "1" } }, 404, 'model "nope" not found, try pulling it first'],
  [MODEL_OF('"options":{"num_ctx":1}'), 400, "input after truncation exceeds maximum context length"],
  [MODEL_OF('"options":{"num_ctx":2}'), 400, "input after truncation exceeds maximum context length"],
  [MODEL_OF('"options":{"num_ctx":0}'), 400, "input exceeds maximum context length and cannot be truncated further"],
  [
    { model: MODEL, input: ["x", "word ".repeat(9000)], truncate: false },
    400,
    "the input length exceeds the context length",
  ],
  [
    { model: MODEL, input: "one two three four five", truncate: false, options: { num_ctx: 4 } },
    400,
    "the input length exceeds the context length",
  ],
];

describe("POST /api/embed, bad input", () => {
  it.each(BAD_INPUT)("%j → %i", async (body, status, error) => {
    const answer = await embed(body);
    expect(answer.json).toEqual({ error });
    expect(answer.status).toBe(status);
    expect(answer.headers.get("content-type")).toBe("application/json; charset=utf-8");
  });

  it.each([
    '"dimensions":0',
    '"dimensions":-5',
    '"dimensions":100000',
    '"options":{"unknown_option":{"a":1}}',
    '"options":{"num_ctx":256.7}',
    '"options":{"num_ctx":null}',
    '"options":{"num_gpu":0,"num_thread":1,"low_vram":true,"mirostat":2}',
    '"options":null',
    '"options":{"stop":"x"}',
    '"options":{"stop":["x"]}',
    '"truncate":null',
    '"keep_alive":null',
    '"keep_alive":0.5',
    '"keep_alive":-1',
    '"keep_alive":"-1s"',
    '"keep_alive":"1h2m3.5s"',
    '"keep_alive":"300ms"',
  ])("accepts %s", async (rest) => {
    expect((await embed(MODEL_OF(rest))).status).toBe(200);
  });

  it("names the text of HTML in an error with escapes, as Go does", async () => {
    const { text } = await embed({ model: "<b>", input: "x" });
    expect(text).toBe('{"error":"invalid model name"}');
    const echoed = await embed(MODEL_OF('"keep_alive":"<i>"'));
    expect(echoed.text).toBe('{"error":"time: invalid duration \\"\\u003ci\\u003e\\""}');
  });
});

describe("POST /api/embeddings", () => {
  const url = () => `${running.url}/api/embeddings`;

  it("embeds one prompt", async () => {
    const { status, json } = await post(url(), { model: MODEL, prompt: "x" });
    expect(status).toBe(200);
    expect(Object.keys(json)).toEqual(["embedding"]);
    expect(json.embedding).toEqual((await embed({ model: MODEL, input: "x" })).json.embeddings[0]);
  });

  it("loads the model where there is no prompt", async () => {
    expect((await post(url(), { model: MODEL, input: "x" })).text).toBe('{"embedding":[]}');
    expect((await post(url(), { model: MODEL, prompt: "" })).text).toBe('{"embedding":[]}');
  });

  it.each([
    [{ prompt: "x" }, 400, "model is required"],
    [{ model: "a b" }, 400, "invalid model name"],
    [{ model: "nope", prompt: "x" }, 404, 'model "nope" not found, try pulling it first'],
    [
      { model: MODEL, prompt: 5 },
      400,
      "json: cannot unmarshal number into Go struct field EmbeddingRequest.prompt of type string",
    ],
    [{ model: MODEL, prompt: "word ".repeat(9000) }, 500, "the input length exceeds the context length"],
  ])("%j → %i", async (body, status, error) => {
    const answer = await post(url(), body);
    expect(answer.json).toEqual({ error });
    expect(answer.status).toBe(status);
  });
});

describe("keep_alive", () => {
  const loaded = async () => (await get(`${running.url}/api/ps`)).json.models as { name: string; expires_at: string }[];

  it("unloads at 0, through /api/embed and through /api/generate as clients do", async () => {
    await embed({ model: MODEL, keep_alive: "5m" });
    expect(await loaded()).toHaveLength(1);
    await embed({ model: MODEL, input: "x", keep_alive: 0 });
    await expect.poll(loaded).toHaveLength(0);
    await embed({ model: MODEL, keep_alive: "5m" });
    const { status, json } = await post(`${running.url}/api/generate`, { model: MODEL, keep_alive: 0 });
    expect(status).toBe(200);
    expect(json).toMatchObject({ model: MODEL, response: "", done: true, done_reason: "unload" });
    await expect.poll(loaded).toHaveLength(0);
  });

  it("is sticky: a request that says nothing keeps what an earlier one said", async () => {
    await embed({ model: MODEL, input: "x", keep_alive: -1 });
    await embed({ model: MODEL, input: "x" });
    const [model] = await loaded();
    expect(new Date(model!.expires_at).getTime()).toBeGreaterThan(Date.now() + 100 * 365 * 24 * 3600 * 1000);
    await embed({ model: MODEL, input: "x", keep_alive: "5m" });
    const [again] = await loaded();
    expect(new Date(again!.expires_at).getTime()).toBeLessThan(Date.now() + 301_000);
  });
});

describe("the routes around it", () => {
  it("says that Ollama is running, to GET and HEAD", async () => {
    const { status, text, headers } = await get(`${running.url}/`);
    expect([status, text, headers.get("content-type")]).toEqual([
      200,
      "Ollama is running",
      "text/plain; charset=utf-8",
    ]);
    const head = await fetch(`${running.url}/`, { method: "HEAD" });
    expect(head.status).toBe(200);
    expect((await fetch(`${running.url}/api/version`, { method: "HEAD" })).status).toBe(200);
    expect((await fetch(`${running.url}/api/tags`, { method: "HEAD" })).status).toBe(200);
  });

  it("lists models with their tags, and shows one by either key", async () => {
    const { json } = await get(`${running.url}/api/tags`);
    const model = json.models.find(({ name }: { name: string }) => name === "builtin:latest");
    expect(model).toMatchObject({ model: "builtin:latest", capabilities: ["embedding"] });
    for (const body of [{ model: "builtin:latest" }, { name: MODEL }]) {
      const shown = await post(`${running.url}/api/show`, body);
      expect(shown.status).toBe(200);
      const family = shown.json.model_info["general.architecture"];
      const { embeddings } = (await embed({ model: MODEL, input: ["x"] })).json;
      expect(shown.json.model_info[`${family}.embedding_length`]).toBe(embeddings[0].length);
      expect(shown.json.capabilities).toEqual(["embedding"]);
      expect(shown.json.parameters).toMatch(/^num_ctx {23} +\d+$/);
    }
    expect((await post(`${running.url}/api/show`, {})).json).toEqual({ error: "model is required" });
    expect((await post(`${running.url}/api/show`, "")).status).toBe(400);
    const unknown = await post(`${running.url}/api/show`, { model: "nope" });
    expect([unknown.status, unknown.json.error]).toEqual([404, "model 'nope:latest' not found"]);
  });

  it("answers success for a pull of what is here, in lines or in one", async () => {
    expect((await post(`${running.url}/api/pull`, { name: MODEL, stream: false })).text).toBe('{"status":"success"}');
    const streamed = await post(`${running.url}/api/pull`, { model: MODEL });
    expect(streamed.headers.get("content-type")).toBe("application/x-ndjson");
    expect(streamed.text).toBe('{"status":"success"}\n');
    const refused = await post(`${running.url}/api/pull`, { model: "nope" });
    expect(refused.status).toBe(501);
    expect(refused.json.error).toMatch(/does not download/);
  });

  it("says that embedding models neither generate nor chat", async () => {
    const generated = await post(`${running.url}/api/generate`, { model: MODEL, prompt: "hi" });
    expect([generated.status, generated.json.error]).toEqual([400, `"${MODEL}" does not support generate`]);
    const messages = [{ role: "user", content: "hi" }];
    const chatted = await post(`${running.url}/api/chat`, { model: MODEL, messages });
    expect([chatted.status, chatted.json.error]).toEqual([400, `"${MODEL}" does not support chat`]);
    expect((await post(`${running.url}/api/create`, { model: "x" })).status).toBe(501);
  });

  it("says 404 and 405 in Ollama's plain text", async () => {
    const missing = await get(`${running.url}/api/nothing`);
    expect([missing.status, missing.text]).toEqual([404, "404 page not found"]);
    const method = await get(`${running.url}/api/embed`);
    expect([method.status, method.text]).toEqual([405, "405 method not allowed"]);
  });

  it("counts tokens", async () => {
    const { json } = await post(`${running.url}/api/tokenize`, { model: MODEL, input: ["a b c", ""] });
    expect(json.counts).toEqual(json.tokens.map((ids: number[]) => ids.length));
    const bare = await post(`${running.url}/api/tokenize`, { model: MODEL, input: "a b c", add_special: false });
    expect(bare.json.counts[0]).toBeLessThan(json.counts[0]);
    const { prompt_eval_count } = (await embed({ model: MODEL, input: ["a b c", ""] })).json;
    expect(prompt_eval_count).toBe(json.counts[0] + json.counts[1]);
  });

  it("compares a text with others", async () => {
    const { json } = await post(`${running.url}/api/similarity`, {
      model: MODEL,
      source: "cat",
      input: ["cat", "dog"],
    });
    expect(json.similarities[0]).toBeCloseTo(1, 5);
    expect(json.similarities[1]).toBeLessThan(1);
    expect((await post(`${running.url}/api/similarity`, { model: MODEL, input: ["x"] })).status).toBe(400);
  });
});
