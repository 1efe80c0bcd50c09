import type { FastifyInstance, FastifyReply } from "fastify";
import { PAGE } from "./ui/page.ts";
import { SCRIPT } from "./ui/script.ts";
import { STYLE } from "./ui/style.ts";

/** Nothing from elsewhere, nothing inline: what a page shows cannot become what it runs. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** The page for people, and what clients look for at the root. */
export function registerPages(app: FastifyInstance): void {
  const asset = (reply: FastifyReply, type: string, body: string) => {
    reply.header("cache-control", "no-cache").header("content-security-policy", POLICY);
    reply.header("referrer-policy", "no-referrer");
    return reply.type(`${type}; charset=utf-8`).send(body);
  };
  app.get("/ui", (_request, reply) => asset(reply, "text/html", PAGE));
  app.get("/ui/app.js", (_request, reply) => asset(reply, "text/javascript", SCRIPT));
  app.get("/ui/style.css", (_request, reply) => asset(reply, "text/css", STYLE));
  app.get("/", (request, reply) => {
    reply.header("vary", "Accept");
    if (/\btext\/html\b/.test(request.headers.accept ?? "")) return asset(reply, "text/html", PAGE);
    return reply.type("text/plain; charset=utf-8").send("Ollama is running");
  });
}
