import type { Operation } from "./openapi.ts";
import type { Schema } from "./schema.ts";

/** The API's page for people: every route with its fields, from the schemas that check requests. */
export function docsPage(operations: readonly Operation[]): string {
  const tags = [...new Set(operations.map(({ tag }) => tag))];
  const sections = tags.map((tag) => {
    const routes = operations.filter((operation) => operation.tag === tag).map(route);
    return `<section aria-labelledby="${tag}"><h2 id="${tag}">${tag}</h2>${routes.join("")}</section>`;
  });
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>inlay: HTTP API</title>
<link rel="stylesheet" href="/ui/style.css">
</head>
<body>
<header><h1>inlay: HTTP API</h1><nav><a href="/ui">Try it</a> <a href="/openapi.json">OpenAPI</a></nav></header>
<main class="docs">${sections.join("")}</main>
</body>
</html>
`;
}

function route({ method, path, summary, request, response }: Operation): string {
  const parts = [`<h3><code>${method.toUpperCase()} ${escapeHtml(path)}</code></h3><p>${escapeHtml(summary)}.</p>`];
  if (request) parts.push(fields("Request", request));
  if (response !== "text" && response.properties) parts.push(fields("Response", response));
  return `<article>${parts.join("")}</article>`;
}

function fields(caption: string, schema: Schema): string {
  const rows = Object.entries(schema.properties ?? {}).map(([name, field]) => {
    const needed = schema.required?.includes(name) ? "" : " (optional)";
    const what = field.description ?? (field.const === undefined ? "" : `always ${JSON.stringify(field.const)}`);
    const fallback = field.default === undefined ? "" : `; default ${JSON.stringify(field.default)}`;
    return `<tr><th scope="row"><code>${escapeHtml(name)}</code></th><td>${escapeHtml(typeOf(field))}</td><td>${escapeHtml(what + needed + fallback)}</td></tr>`;
  });
  return `<div class="scroll"><table><caption>${caption}</caption><tbody>${rows.join("")}</tbody></table></div>`;
}

function typeOf(schema: Schema): string {
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices) return [...new Set(choices.map(typeOf))].filter((type) => type !== "null").join(" or ");
  if (schema.const !== undefined) return typeof schema.const;
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  if (type === "array") return `${schema.items ? typeOf(schema.items) : "any"}[]`;
  return (type as string | undefined) ?? "any";
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);
}
