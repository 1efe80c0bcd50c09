// The one table of errors: code → HTTP status. native/failure.h lists the codes that come from C++, in this order.
const STATUS = {
  ERR_MODEL_NOT_FOUND: 404,
  ERR_MODEL_INVALID: 422,
  ERR_MODEL_UNSUPPORTED: 422,
  ERR_INPUT_INVALID: 400,
  ERR_INPUT_TOO_LONG: 400,
  ERR_QUEUE_FULL: 503,
  ERR_OUT_OF_MEMORY: 507,
  ERR_DEVICE: 500,
  ERR_DISPOSED: 409,
  ERR_ABORTED: 499,
  ERR_INTERNAL: 500,
  // From here on raised by JavaScript only.
  ERR_ADDON_LOAD: 500,
  ERR_MODEL_ACCESS: 403,
  ERR_MODEL_CORRUPT: 422,
  ERR_NAME_INVALID: 400,
  ERR_OFFLINE: 503,
  ERR_DOWNLOAD: 502,
  ERR_DISK_FULL: 507,
} as const;

/** Every code an {@link InlayError} can carry. Codes are API: they change only with a major version. */
export type ErrorCode = keyof typeof STATUS;

/** Facts about an error beyond its sentence; which are present depends on the code. */
export interface ErrorDetails {
  /** Index of the input at fault, from 0. */
  index?: number;
  /** `ERR_INPUT_TOO_LONG`: tokens of that input, specials included. */
  tokens?: number;
  /** `ERR_INPUT_TOO_LONG`: tokens that fit. */
  limit?: number;
  /** `ERR_QUEUE_FULL`: milliseconds after which trying again makes sense. */
  retryAfter?: number;
  /** `ERR_MODEL_INVALID`: the rule that the file breaks, such as `GGUF_MAGIC`. */
  rule?: string;
  cause?: unknown;
}

/** The one error class of this package. `code` is for programs, `message` for people. */
export class InlayError extends Error {
  override readonly name = "InlayError";
  readonly code: ErrorCode;
  declare readonly index?: number;
  declare readonly tokens?: number;
  declare readonly limit?: number;
  declare readonly retryAfter?: number;
  declare readonly rule?: string;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    const { cause, ...facts } = details;
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    for (const [key, value] of Object.entries(facts)) {
      if (value !== undefined) Object.defineProperty(this, key, { value, enumerable: true });
    }
  }

  /** The HTTP status that this error becomes in `inlay serve`. */
  get status(): number {
    return STATUS[this.code];
  }
}

const NATIVE_CODES = Object.keys(STATUS).slice(0, 11) as ErrorCode[];

/** What the addon reports of a failure; see native/failure.h. @internal */
export interface NativeFailure extends ErrorDetails {
  code: number;
  message: string;
}

/** @internal */
export function fromNative(failure: NativeFailure): InlayError {
  const { code, message, ...details } = failure;
  return new InlayError(NATIVE_CODES[code] ?? "ERR_INTERNAL", message, details);
}
