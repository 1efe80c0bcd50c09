import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { runCli } from "./support/child.ts";

describe("inlay show", () => {
  it("prints what a model is as JSON", async () => {
    const { code, stdout, stderr } = await runCli(["show", "builtin", "--json"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const facts = JSON.parse(stdout);
    expect(facts).toMatchObject({ name: "builtin", architecture: "bert", dimensions: 256, contextLength: 2048 });
    expect(facts).toMatchObject({ pooling: "cls", engine: "fused", device: "cpu", source: "builtin" });
    expect(facts.memory.weights).toBeGreaterThan(0);
    expect(facts.path).toMatch(/builtin\.gguf$/);
  });

  it("prints it as a table for people, the built-in model where none is named", async () => {
    const { code, stdout, stderr } = await runCli(["show"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^name +builtin$/m);
    expect(stdout).toMatch(/^dimensions +256$/m);
    expect(stdout).toMatch(/^pooling +cls$/m);
    expect(stdout).toMatch(/^weights +[\d.]+ MiB$/m);
  });

  it("fails with a sentence on a model that is not there", async () => {
    const { code, stdout, stderr } = await runCli(["show", "/no/such/model.gguf"]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^inlay: .*\/no\/such\/model\.gguf.*\(ERR_MODEL_NOT_FOUND\)\n$/);
  });

  it("fails with a sentence on a file that is no model", async () => {
    const folder = mkdtempSync(join(tmpdir(), "inlay-show-"));
    writeFileSync(join(folder, "notes.gguf"), "These are notes.");
    const { code, stdout, stderr } = await runCli(["show", join(folder, "notes.gguf")]);
    rmSync(folder, { recursive: true });
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^inlay: .*not a GGUF file.*\(ERR_MODEL_INVALID\)\n$/);
  });
});
