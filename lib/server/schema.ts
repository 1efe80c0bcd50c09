import { HttpError } from "./errors.ts";
import type { ParsedBody } from "./json.ts";

/** The part of JSON Schema 2020-12 that describes this server's bodies. */
export interface Schema {
  type?: string | readonly string[];
  description?: string;
  default?: unknown;
  enum?: readonly unknown[];
  const?: unknown;
  format?: string;
  minimum?: number;
  maximum?: number;
  minItems?: number;
  pattern?: string;
  items?: Schema;
  properties?: Readonly<Record<string, Schema>>;
  required?: readonly string[];
  additionalProperties?: boolean | Schema;
  oneOf?: readonly Schema[];
  anyOf?: readonly Schema[];
  $ref?: string;
  examples?: readonly unknown[];
}

/** A request's schema; `title` is the name of Ollama's own type, which its messages carry. */
export interface RequestSchema extends Schema {
  title: string;
  properties: Readonly<Record<string, Schema>>;
}

export const text = (description: string): Schema => ({ type: "string", description });
export const integer = (description: string): Schema => ({ type: "integer", description });
export const flag = (description: string): Schema => ({ type: "boolean", description });
export const object = (description: string): Schema => ({ type: "object", description });
export const list = (items: Schema, description: string): Schema => ({ type: "array", items, description });

/** `null` counts as absent, as in Go. */
export function optional(schema: Schema): Schema {
  if (schema.oneOf) return { ...schema, oneOf: [...schema.oneOf, { type: "null" }] };
  return { ...schema, type: [schema.type as string, "null"] };
}

const GO_TYPES: Readonly<Record<string, string>> = {
  string: "string",
  boolean: "bool",
  integer: "int",
  object: "map[string]interface {}",
};

/**
 * Reads the fields that `schema` names from a body, as Go reads a struct: unknown fields are passed over, names match
 * whatever their case, the last of several wins, null is absence, and the first field of the wrong type is reported.
 * Fields whose schema offers several types are left for the caller to judge.
 */
export function decode(schema: RequestSchema, body: ParsedBody): Record<string, unknown> {
  const { value } = body;
  const fields: Record<string, unknown> = Object.create(null);
  if (value === null) return fields;
  if (typeof value !== "object" || Array.isArray(value)) {
    throw new HttpError(400, `json: cannot unmarshal ${goKind(value)} into Go value of type api.${schema.title}`);
  }
  let error: HttpError | undefined;
  for (const key of Object.keys(value)) {
    const name = Object.hasOwn(schema.properties, key) ? key : key.toLowerCase();
    if (!Object.hasOwn(schema.properties, name)) continue;
    const given = (value as Record<string, unknown>)[key];
    if (given === null) continue;
    error ??= typeError(schema, name, given, body.numbers.get(key));
    fields[name] = given;
  }
  if (error) throw error;
  return fields;
}

function typeError(
  schema: RequestSchema,
  name: string,
  value: unknown,
  written: string | undefined,
): HttpError | undefined {
  const { type } = schema.properties[name]!;
  const wanted = Array.isArray(type) ? type[0] : type;
  const goType = GO_TYPES[wanted as string];
  if (goType === undefined) return undefined;
  let kind = goKind(value);
  if (wanted === "integer" && typeof value === "number") {
    if (Number.isSafeInteger(value) && (written === undefined || /^-?\d+$/.test(written))) return undefined;
    kind = `number ${(written ?? String(value)).slice(0, 40)}`;
  } else if (kind === wanted || (kind === "bool" && wanted === "boolean")) return undefined;
  return new HttpError(
    400,
    `json: cannot unmarshal ${kind} into Go struct field ${schema.title}.${name} of type ${goType}`,
  );
}

function goKind(value: unknown): string {
  if (Array.isArray(value)) return "array";
  if (typeof value === "boolean") return "bool";
  return value === null ? "null" : typeof value;
}
