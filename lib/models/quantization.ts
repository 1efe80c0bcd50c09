import { InlayError } from "../errors.ts";

/**
 * Which file of a repository to take where the name does not say, best first: vectors that agree with the original's
 * to 0.999 in the fewest bytes (Q8_0), then exact ones, then ever coarser ones.
 */
const PREFERENCE = [
  "Q8_0",
  "F16",
  "BF16",
  "F32",
  "Q6_K_L",
  "Q6_K",
  "Q5_K_L",
  "Q5_K_M",
  "Q5_K_S",
  "Q5_1",
  "Q5_0",
  "Q4_K_L",
  "Q4_K_M",
  "Q4_K_S",
  "Q4_1",
  "IQ4_NL",
  "Q4_0",
  "IQ4_XS",
  "Q3_K_XL",
  "Q3_K_L",
  "Q3_K_M",
  "Q3_K_S",
  "IQ3_M",
  "IQ3_S",
  "IQ3_XS",
  "IQ3_XXS",
  "Q2_K_L",
  "Q2_K",
  "Q2_K_S",
  "IQ2_M",
  "IQ2_S",
  "IQ2_XS",
  "IQ2_XXS",
  "IQ1_M",
  "IQ1_S",
];

const TOKEN = /(?:^|[-._])((?:i?q|tq)[1-8]_(?:[01k]|k_(?:xs|s|m|l|xl)|xxs|xs|s|m|nl)|b?f16|f32|fp16|fp32)(?=$|[-.])/gi;
const SPLIT = /-\d{5}-of-\d{5}\.gguf$/i;

/** The quantisation that a file's name states, such as `Q4_K_M`. */
export function quantizationOf(file: string): string | undefined {
  const base = file
    .split(/[\\/]/)
    .at(-1)!
    .replace(/\.gguf$/i, "");
  const token = [...base.matchAll(TOKEN)].at(-1)?.[1];
  return token === undefined ? undefined : canonical(token);
}

/**
 * Chooses among a repository's files by quantisation, or by {@link PREFERENCE} where none is asked for.
 *
 * @throws ERR_MODEL_NOT_FOUND when none is of the quantisation, ERR_MODEL_UNSUPPORTED when only files in parts are left
 */
export function chooseFile(files: readonly string[], repo: string, quantization?: string): string {
  const whole = files.filter((file) => isModelFile(file) && !SPLIT.test(file));
  if (whole.length === 0) {
    if (files.some((file) => SPLIT.test(file))) {
      throw new InlayError(
        "ERR_MODEL_UNSUPPORTED",
        `${repo} holds its model in parts. Merge them into one file with llama-gguf-split --merge and give its path.`,
      );
    }
    throw new InlayError("ERR_MODEL_NOT_FOUND", `${repo} holds no GGUF file. Name a repository that does.`);
  }
  const wanted = quantization === undefined ? whole : whole.filter((file) => isOf(file, quantization));
  const best = wanted.sort((a, b) => rank(a) - rank(b) || a.length - b.length || (a < b ? -1 : 1))[0];
  if (best !== undefined) return best;
  const offered = [...new Set(whole.map((file) => quantizationOf(file) ?? file))].join(", ");
  throw new InlayError(
    "ERR_MODEL_NOT_FOUND",
    `${repo} has no file of quantisation ${quantization}. It has: ${offered}.`,
  );
}

/** Whether a repository's file can be an embedding model: not a vision projector, an imatrix or a draft model. */
function isModelFile(file: string): boolean {
  return /\.gguf$/i.test(file) && !/(^|[-._/])(mmproj|imatrix|draft)[-._]/i.test(file);
}

function isOf(file: string, quantization: string): boolean {
  const base = file
    .split("/")
    .at(-1)!
    .replace(/\.gguf$/i, "")
    .toLowerCase();
  return quantizationOf(file) === canonical(quantization) || base === quantization.toLowerCase();
}

function rank(file: string): number {
  const index = PREFERENCE.indexOf(quantizationOf(file) ?? "");
  return index === -1 ? PREFERENCE.length : index;
}

function canonical(token: string): string {
  return token.toUpperCase().replace(/^FP(16|32)$/, "F$1");
}
