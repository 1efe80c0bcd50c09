import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { openApiDocument } from "../../lib/server/openapi.ts";
import type { Schema } from "../../lib/server/schema.ts";

interface Content {
  content?: Record<string, { schema: Schema }>;
}
interface Operation {
  requestBody?: Content;
  responses: Record<string, Content>;
}

const document = openApiDocument({ apiKey: "any" }) as { paths: Record<string, Record<string, Operation>> };
const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: false });
const compiled = new Map<Schema, ValidateFunction>();

/** What the published document says of a request's body. */
export function requestSchema(path: string): Schema {
  return document.paths[path]!.post!.requestBody!.content!["application/json"]!.schema;
}

export function isValid(schema: Schema, value: unknown): boolean {
  return validator(schema)(value) as boolean;
}

/** Throws for an answer of a documented route that the document does not announce. */
export function checkAnswer(
  method: string,
  path: string,
  answer: { status: number; headers: Headers; text: string; json: unknown },
): void {
  const operation = document.paths[path.replace(/^\/v1\/models\/.+/, "/v1/models/{model}")]?.[method];
  if (operation === undefined) return;
  const announced = operation.responses[answer.status];
  const where = `${method.toUpperCase()} ${path} → ${answer.status} ${answer.text.slice(0, 300)}`;
  if (announced === undefined) throw new Error(`${where}: the document knows no such status`);
  if (announced.content === undefined) {
    if (answer.text !== "") throw new Error(`${where}: the document announces no body`);
    return;
  }
  const type = answer.headers.get("content-type") ?? "";
  const name = Object.keys(announced.content).find((known) => type.startsWith(known.split(";")[0]!));
  if (name === undefined) {
    // The page for people, where a browser asks for it.
    if (path === "/" && type.startsWith("text/html")) return;
    throw new Error(`${where}: the document announces no ${type}`);
  }
  if (answer.json === undefined) return;
  const validate = validator(announced.content[name]!.schema);
  if (!validate(answer.json)) throw new Error(`${where}: ${ajv.errorsText(validate.errors)}`);
}

function validator(schema: Schema): ValidateFunction {
  let validate = compiled.get(schema);
  if (validate === undefined) {
    validate = ajv.compile(schema);
    compiled.set(schema, validate);
  }
  return validate;
}
