import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

test("the committed Unicode tables are what the generator writes from the same version of Unicode", () => {
  const committed = readFileSync("native/tokenizer/unicode_tables.inc", "utf8");
  const version = /unicode_version\[\] = "(.+)"/.exec(committed)?.[1];
  expect(version).toBeDefined();
  const written = execFileSync(process.execPath, ["native/scripts/unicode-tables.mjs"], { encoding: "utf8" });
  if (process.versions.unicode === version) expect(written === committed).toBe(true);
  else expect(written).toContain(`unicode_version[] = "${process.versions.unicode}"`);
});
