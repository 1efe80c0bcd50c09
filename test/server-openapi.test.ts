import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Schema } from "../lib/server/schema.ts";
import { get, type Running, read, startServer } from "./support/server-client.ts";
import { isValid, requestSchema } from "./support/server-document.ts";

const MODEL = "builtin";
const RUNS = { numRuns: 300 };
let running: Running;

beforeAll(async () => {
  running = await startServer();
});
afterAll(() => running.server.close());

/** Without a port; every answer is checked against the document on its way. */
function send(path: string, body: string) {
  const headers = { "content-type": "application/json" };
  return read(new Request(`http://inlay${path}`, { method: "POST", headers, body }), (request) =>
    running.server.fetch(request),
  );
}

// What docs.ollama.com publishes for POST /api/embed.
const PUBLISHED_REQUEST: Schema = {
  type: "object",
  required: ["model", "input"],
  properties: {
    model: { type: "string" },
    input: { oneOf: [{ type: "string" }, { type: "array", items: { type: "string" } }] },
    truncate: { type: "boolean" },
    dimensions: { type: "integer" },
    keep_alive: { type: "string" },
    options: {
      type: "object",
      properties: {
        seed: { type: "integer" },
        temperature: { type: "number" },
        top_k: { type: "integer" },
        top_p: { type: "number" },
        min_p: { type: "number" },
        stop: { oneOf: [{ type: "string" }, { type: "array", items: { type: "string" } }] },
        num_ctx: { type: "integer" },
        num_predict: { type: "integer" },
      },
      additionalProperties: true,
    },
  },
};
const PUBLISHED_RESPONSE: Schema = {
  type: "object",
  properties: {
    model: { type: "string" },
    embeddings: { type: "array", items: { type: "array", items: { type: "number" } } },
    total_duration: { type: "integer" },
    load_duration: { type: "integer" },
    prompt_eval_count: { type: "integer" },
  },
};

const duration = fc
  .array(fc.tuple(fc.nat(999), fc.constantFrom("ns", "us", "µs", "ms", "s", "m", "h")), { minLength: 1, maxLength: 3 })
  .map((parts) => parts.map(([number, unit]) => `${number}${unit}`).join(""));
const texts = fc.oneof(fc.string({ unit: "binary" }), fc.array(fc.string({ unit: "binary" }), { maxLength: 4 }));
const publishedOptions = fc.record(
  {
    seed: fc.integer(),
    temperature: fc.double({ noNaN: true, noDefaultInfinity: true }),
    top_k: fc.integer(),
    stop: fc.oneof(fc.string(), fc.array(fc.string())),
    num_ctx: fc.integer({ min: 3, max: 2 ** 40 }),
    other: fc.jsonValue({ maxDepth: 2 }),
  },
  { requiredKeys: [] },
);
/** Requests of the published schema that mean something: a model that is there, a duration, a context that holds a token. */
const published = fc.record(
  {
    model: fc.constant(MODEL),
    input: texts,
    truncate: fc.boolean(),
    dimensions: fc.integer(),
    keep_alive: duration,
    options: publishedOptions,
  },
  { requiredKeys: ["model", "input"] },
);

const anything = fc.oneof(
  { weight: 3, arbitrary: fc.jsonValue({ maxDepth: 2 }) },
  fc.constantFrom(null, "", [], {}, 0, -1, 1.5, "5m", "x", ["x"], [1], [[1]], true),
);
/** Requests whose fields are of any type, about half of them right. */
const wild = (known: Record<string, fc.Arbitrary<unknown>>) =>
  fc.record(
    Object.fromEntries(
      Object.entries(known).map(([name, right]) => [name, fc.oneof({ weight: 2, arbitrary: right }, anything)]),
    ),
    { requiredKeys: [] },
  );

const STATUSES = [200, 400, 404, 413, 500];

describe("the published schema of POST /api/embed", () => {
  it("is part of this server's own, request and answer", async () => {
    const document = (await get(`${running.url}/openapi.json`)).json;
    const operation = document.paths["/api/embed"].post;
    const own = operation.requestBody.content["application/json"].schema as Schema;
    expect(PUBLISHED_REQUEST.required).toEqual(expect.arrayContaining([...own.required!]));
    for (const name of Object.keys(PUBLISHED_REQUEST.properties!)) expect(own.properties).toHaveProperty(name);
    const answer = operation.responses[200].content["application/json"].schema as Schema;
    for (const [name, schema] of Object.entries(PUBLISHED_RESPONSE.properties!)) {
      expect(answer.properties![name]).toMatchObject(schema);
    }
  });

  it("admits nothing that this server does not answer", async () => {
    const own = requestSchema("/api/embed");
    await fc.assert(
      fc.asyncProperty(published, async (body) => {
        expect(isValid(PUBLISHED_REQUEST, body)).toBe(true);
        expect(isValid(own, body)).toBe(true);
        const { status, json } = await send("/api/embed", JSON.stringify(body));
        if (body.truncate === false && status === 400) {
          expect(json.error).toBe("the input length exceeds the context length");
          return;
        }
        expect(status).toBe(200);
        expect(isValid(PUBLISHED_RESPONSE, json)).toBe(true);
        const expected = Array.isArray(body.input) ? body.input.length : Number(body.input !== "");
        expect(json.embeddings).toHaveLength(expected);
      }),
      RUNS,
    );
  });
});

describe("requests of any shape", () => {
  it("to /api/embed are answered as the document says, and what is answered is of its schema", async () => {
    const own = requestSchema("/api/embed");
    const body = wild({
      model: fc.constantFrom(MODEL, "nope"),
      input: texts,
      truncate: fc.boolean(),
      dimensions: fc.integer(),
      keep_alive: duration,
      options: publishedOptions,
    });
    await fc.assert(
      fc.asyncProperty(body, async (value) => {
        const { status } = await send("/api/embed", JSON.stringify(value));
        expect(STATUSES).toContain(status);
        if (status === 200) expect(isValid(own, value)).toBe(true);
        if (!isValid(own, value)) expect(status).toBeGreaterThanOrEqual(400);
      }),
      RUNS,
    );
  });

  it("to /v1/embeddings likewise", async () => {
    const own = requestSchema("/v1/embeddings");
    const ids = fc.array(fc.nat(200), { minLength: 1, maxLength: 5 });
    const body = wild({
      model: fc.constantFrom(MODEL, "nope"),
      input: fc.oneof(texts, ids, fc.array(ids, { minLength: 1, maxLength: 3 })),
      encoding_format: fc.constantFrom("float", "base64", "Base64", ""),
      dimensions: fc.integer(),
      user: fc.string(),
    });
    await fc.assert(
      fc.asyncProperty(body, async (value) => {
        const { status, json } = await send("/v1/embeddings", JSON.stringify(value));
        expect(STATUSES).toContain(status);
        if (status === 200) expect(isValid(own, value)).toBe(true);
        else expect(typeof json.error.message).toBe("string");
      }),
      RUNS,
    );
  });

  it("to the other routes likewise", async () => {
    const paths = ["/api/embeddings", "/api/tokenize", "/api/similarity", "/api/show", "/api/generate", "/api/chat"];
    const body = wild({
      model: fc.constantFrom(MODEL, "nope"),
      name: fc.constant(MODEL),
      prompt: fc.string(),
      input: texts,
      source: fc.string(),
      keep_alive: duration,
    });
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...paths), body, async (path, value) => {
        const { status } = await send(path, JSON.stringify(value));
        expect(STATUSES).toContain(status);
      }),
      RUNS,
    );
  });

  it("and bytes of any kind are refused in words, never with a fault of the server", async () => {
    const scraps = fc.constantFrom(
      "{",
      "}",
      "[",
      "]",
      '"',
      ":",
      ",",
      "1",
      "-",
      "e",
      ".",
      "true",
      "nul",
      "\\",
      "\\u12",
      " ",
      "\0",
      '"a"',
    );
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.array(scraps).map((parts) => parts.join("")),
    );
    await fc.assert(
      fc.asyncProperty(text, async (body) => {
        const { status, json } = await send("/api/embed", body);
        expect([400, 404]).toContain(status);
        expect(json.error).toBeTruthy();
        // Where JSON's own parser sees no fault, there is none to be named, and the other way round.
        const parses = (() => {
          try {
            JSON.parse(body);
            return true;
          } catch {
            return false;
          }
        })();
        if (parses) expect(json.error).toMatch(/^(json: cannot unmarshal|model '' not found)/);
      }),
      { numRuns: 1000 },
    );
  });
});

describe("the document", () => {
  it("describes every route that answers, and only those", async () => {
    const { paths } = (await get(`${running.url}/openapi.json`)).json as {
      paths: Record<string, Record<string, unknown>>;
    };
    for (const [path, operations] of Object.entries(paths)) {
      for (const method of Object.keys(operations)) {
        const url = `http://inlay${path.replace("{model}", MODEL)}`;
        const headers = { "content-type": "application/json" };
        const request =
          method === "post" ? new Request(url, { method: "POST", headers, body: "{}" }) : new Request(url);
        const { status } = await read(request, (sent) => running.server.fetch(sent));
        expect([path, status === 404 && method === "get", status === 405]).toEqual([path, false, false]);
      }
    }
  });

  it("gives every operation a name of its own", async () => {
    const { paths } = (await get(`${running.url}/openapi.json`)).json as {
      paths: Record<string, Record<string, { operationId: string }>>;
    };
    const names = Object.values(paths).flatMap((operations) =>
      Object.values(operations).map(({ operationId }) => operationId),
    );
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(name).toMatch(/^[a-z][A-Za-z0-9]*$/);
  });
});
