import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

interface Layer {
  mediaType: string;
  digest: string;
  size: number;
}

export interface StoredModel {
  /** `host/namespace/model/tag`, as folders below `manifests`. */
  manifest: string;
  /** Content of each layer by the last part of its media type, such as `model` or `params`. */
  layers?: readonly (readonly [type: string, content: string | Uint8Array])[];
  config?: Record<string, unknown>;
  /** What stands between `sha256` and the digest in blob names; `:` in very old stores. */
  separator?: "-" | ":";
}

/** Lays a store out on disk as Ollama does. Returns the path of each blob, in the order of the layers. */
export function storeModel(root: string, model: StoredModel): { manifest: string; blobs: string[] } {
  const separator = model.separator ?? "-";
  const layers = (model.layers ?? []).map(([type, content]) =>
    storeBlob(root, `application/vnd.ollama.image.${type}`, content, separator),
  );
  const config = storeBlob(
    root,
    "application/vnd.docker.container.image.v1+json",
    JSON.stringify({ model_format: "gguf", model_family: "bert", ...model.config }),
    separator,
  );
  const manifest = join(root, "manifests", ...model.manifest.split("/"));
  mkdirSync(dirname(manifest), { recursive: true });
  writeFileSync(
    manifest,
    JSON.stringify({
      schemaVersion: 2,
      mediaType: "application/vnd.docker.distribution.manifest.v2+json",
      config,
      layers,
    }),
  );
  return { manifest, blobs: layers.map(({ digest }) => blobPath(root, digest, separator)) };
}

function storeBlob(root: string, mediaType: string, content: string | Uint8Array, separator: string): Layer {
  const digest = `sha256:${createHash("sha256").update(content).digest("hex")}`;
  const path = blobPath(root, digest, separator);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  return { mediaType, digest, size: Buffer.byteLength(content) };
}

function blobPath(root: string, digest: string, separator: string): string {
  return join(root, "blobs", digest.replace(":", separator));
}
