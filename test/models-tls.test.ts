import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { pullModel } from "../lib/models/index.ts";
import { HubServer, sha256 } from "./support/hub-server.ts";
import { type Sandbox, sandbox } from "./support/sandbox.ts";

const OPENSSL = spawnSync("openssl", ["version"]).status === 0;
const CONTENT = Buffer.from("a model");

describe.runIf(OPENSSL)("over TLS", () => {
  let box: Sandbox;
  let plain: HubServer;
  let server: ReturnType<typeof createServer>;
  let answer: (url: string) => { status: number; headers?: Record<string, string>; body?: Buffer };
  let origin: string;
  beforeEach(async () => {
    box = sandbox();
    plain = await HubServer.start();
    const [key, cert] = [box.path("key.pem"), box.path("cert.pem")];
    const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
    const form = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    execFileSync("openssl", [...form, "-keyout", key, "-out", cert, ...subject], { stdio: "ignore" });
    server = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (request, response) => {
      const { status, headers, body } = answer(request.url!);
      response.writeHead(status, { "content-length": body?.length ?? 0, ...headers }).end(body);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    origin = `https://localhost:${(server.address() as AddressInfo).port}`;
  });
  afterEach(async () => {
    delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    server.closeAllConnections();
    server.close();
    await plain.stop();
    box.remove();
  });

  const pull = () => pullModel(`${origin}/m.gguf#sha256=${sha256(CONTENT)}`);

  it("a certificate that nobody trusts is an error, at once", async () => {
    answer = () => ({ status: 200, body: CONTENT });
    const start = Date.now();
    await expect(pull()).rejects.toMatchObject({ code: "ERR_DOWNLOAD" });
    expect(Date.now() - start).toBeLessThan(2000);
  });

  it("a file arrives, but not from a redirect to plain http", async () => {
    // The test's own certificate is trusted by nobody; what a redirect may do is another matter.
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
    answer = () => ({ status: 200, body: CONTENT });
    expect(readFileSync((await pull()).path).equals(CONTENT)).toBe(true);
    answer = () => ({ status: 302, headers: { location: `${plain.fileServer}/m.gguf` } });
    await expect(pullModel(`${origin}/m.gguf#sha256=${sha256(Buffer.from("other"))}`)).rejects.toThrow(
      /redirects away from https/,
    );
    expect(plain.requests).toEqual([]);
  });
});
