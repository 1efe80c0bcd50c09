import { describe, expect, it } from "vitest";
import { version } from "../lib/index.ts";
import { runCli } from "./support/child.ts";

const COMMANDS = ["embed", "serve", "pull", "list", "show", "rm", "verify", "bench", "doctor"];

describe("inlay", () => {
  it("lists its commands", async () => {
    const { code, stdout, stderr } = await runCli(["--help"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    for (const command of COMMANDS) expect(stdout).toMatch(new RegExp(`^ {2}${command} `, "m"));
  });

  it.each(COMMANDS)("explains %s", async (command) => {
    const { code, stdout, stderr } = await runCli([command, "--help"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(new RegExp(`^Usage: inlay ${command} `));
  });

  it("tells its version", async () => {
    expect(await runCli(["--version"])).toEqual({ code: 0, signal: null, stdout: `${version}\n`, stderr: "" });
  });

  it.each([
    { args: [], says: /^Usage: inlay/ },
    { args: ["frobnicate"], says: /unknown command 'frobnicate'/ },
    { args: ["embed", "--frobnicate", "text"], says: /unknown option '--frobnicate'/ },
    { args: ["embed"], says: /^Usage: inlay embed/ },
    { args: ["embed", "-d", "0", "text"], says: /whole number of at least 1/ },
    { args: ["embed", "-d", "257", "text"], says: /1 to 256.*ERR_INPUT_INVALID/ },
    { args: ["embed", "-o", "vectors.csv", "text"], says: /\.npy, \.jsonl, \.f32, \.arrow/ },
    { args: ["embed", "--task", "no such task", "text"], says: /ERR_INPUT_INVALID/ },
  ])("exits with 2 and a sentence on stderr: $args", async ({ args, says }) => {
    const { code, stdout, stderr } = await runCli(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(says);
  });

  it.each([
    { args: ["embed", "--file", "/no/such/file"], says: /ENOENT.*\/no\/such\/file/ },
    { args: ["embed", "--file", "/", "--output", "/no/such/folder/x.npy"], says: /ENOENT.*\/no\/such\/folder/ },
    { args: ["embed", "--file", "/"], says: /EISDIR/ },
    { args: ["embed", "--model", "/no/such.gguf", "text"], says: /ERR_MODEL_NOT_FOUND/ },
  ])("exits with 1 and one sentence on stderr: $args", async ({ args, says }) => {
    const { code, stdout, stderr } = await runCli(args);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(says);
    expect(stderr).toMatch(/^inlay: [^\n]*\n$/);
  });
});
