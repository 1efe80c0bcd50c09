import { describe, expect, it } from "vitest";
import { runCli } from "./support/child.ts";

describe("inlay doctor", () => {
  it("says versions, kernels, threads and why, memory, and where models are looked for", async () => {
    const { code, stdout, stderr } = await runCli(["doctor"], { env: { INLAY_THREADS: "2" } });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain(`✓ inlay `);
    expect(stdout).toContain(`Node ${process.versions.node}, ${process.platform}-${process.arch}`);
    expect(stdout).toMatch(/llama\.cpp \d+\.\d+/);
    expect(stdout).toMatch(/kernels: f32 [\w-]+, bf16 [\w-]+, int8 [\w-]+ \(this CPU has .*scalar.*\)/);
    expect(stdout).toMatch(/threads: 2 \(INLAY_THREADS/);
    expect(stdout).toMatch(/memory: [\d.]+ GiB for models \(.+\)/);
    expect(stdout).toContain("✓ where models are looked for");
    expect(stdout).toMatch(/✓ the built-in model embeds a text\n {4}256 dimensions in \d+ ms/);
  });

  it("prints the same as JSON", async () => {
    const { code, stdout, stderr } = await runCli(["doctor", "--json"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const facts = JSON.parse(stdout);
    expect(facts).toMatchObject({ node: process.versions.node, platform: `${process.platform}-${process.arch}` });
    expect(facts.threads).toBeGreaterThanOrEqual(1);
    expect(facts.machine.isas).toContain("scalar");
    expect(facts.checks.map(({ problem }: { problem: string }) => problem)).toEqual(["", "", ""]);
  });

  it("says what is wrong, what to do, and exits with 1, where the addon cannot be loaded", async () => {
    const { code, stdout, stderr } = await runCli(["doctor"], { env: { INLAY_ADDON: "/no/such/addon.node" } });
    expect({ code, stderr }).toEqual({ code: 1, stderr: "" });
    expect(stdout).toMatch(/✗ inlay .*\n {4}inlay's native addon could not be loaded/);
    expect(stdout).toContain("/no/such/addon.node");
  });
});
