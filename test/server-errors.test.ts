import { describe, expect, it } from "vitest";
import { type ErrorCode, InlayError } from "../lib/index.ts";
import { errorBody, HttpError, publicError } from "../lib/server/errors.ts";

const CODES: readonly ErrorCode[] = [
  "ERR_MODEL_NOT_FOUND",
  "ERR_MODEL_INVALID",
  "ERR_MODEL_UNSUPPORTED",
  "ERR_INPUT_INVALID",
  "ERR_INPUT_TOO_LONG",
  "ERR_QUEUE_FULL",
  "ERR_OUT_OF_MEMORY",
  "ERR_DEVICE",
  "ERR_DISPOSED",
  "ERR_ABORTED",
  "ERR_INTERNAL",
  "ERR_ADDON_LOAD",
  "ERR_MODEL_ACCESS",
  "ERR_MODEL_CORRUPT",
  "ERR_NAME_INVALID",
  "ERR_OFFLINE",
  "ERR_DOWNLOAD",
  "ERR_DISK_FULL",
];

describe("what a client is told of a failure", () => {
  it.each(CODES)("%s: its status, and no word of the server's own message", (code) => {
    const error = new InlayError(code, "s3cret text in /srv/models/private.gguf", { index: 3, rule: "GGUF_MAGIC" });
    const told = publicError(error, "search");
    // A model that is being unloaded is one that will be back.
    expect(told.status).toBe(code === "ERR_DISPOSED" ? 503 : error.status);
    for (const dialect of ["ollama", "openai"] as const) {
      const body = errorBody(dialect, told.status, told.message);
      expect(body).not.toMatch(/s3cret|private|srv/);
      const parsed = JSON.parse(body);
      const message = dialect === "ollama" ? parsed.error : parsed.error.message;
      expect(message.length).toBeGreaterThan(5);
    }
  });

  it("is when to come again, where the queue is full", () => {
    const told = publicError(new InlayError("ERR_QUEUE_FULL", "full", { retryAfter: 2500 }));
    expect([told.status, told.message]).toEqual([
      503,
      "server busy, please try again.  maximum pending requests exceeded",
    ]);
    expect(told.headers).toEqual({ "retry-after": "3" });
  });

  it("is nothing of an error that nobody expected", () => {
    const told = publicError(new TypeError("cannot read /srv/models/private.gguf"));
    expect([told.status, told.message]).toEqual([500, "internal error; the server's log says more"]);
    expect(publicError(new HttpError(418, "for the client"))).toMatchObject({ status: 418, message: "for the client" });
  });

  it("has OpenAI's types on OpenAI's routes", () => {
    const type = (status: number) => JSON.parse(errorBody("openai", status, "x")).error.type;
    expect([400, 401, 404, 413, 500, 503].map(type)).toEqual([
      "invalid_request_error",
      "authentication_error",
      "not_found_error",
      "invalid_request_error",
      "api_error",
      "api_error",
    ]);
  });
});
