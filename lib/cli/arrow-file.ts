import { type FileHandle, open } from "node:fs/promises";
import { InlayError } from "../errors.ts";
import type { Row, VectorFile } from "./vector-file.ts";

/** Arrow's IPC stream, written with Arrow's own package, which the user installs. */
export async function openArrowFile(path: string, dimensions: number, resume: boolean): Promise<VectorFile> {
  if (resume) {
    throw new InlayError(
      "ERR_INPUT_INVALID",
      "--resume works with .npy, .jsonl and .f32; an Arrow stream cannot be gone on with.",
    );
  }
  const arrow = await loadArrow();
  const item = new arrow.Field("item", new arrow.Float32(), false);
  const schema = new arrow.Schema([
    new arrow.Field("index", new arrow.Int32(), false),
    new arrow.Field("tokens", new arrow.Int32(), false),
    new arrow.Field("embedding", new arrow.FixedSizeList(dimensions, item), false),
  ]);
  const writer = new arrow.RecordBatchStreamWriter();
  writer.reset(undefined, schema);
  const file = await open(path, "w");
  const written = drain(writer[Symbol.asyncIterator](), file);
  return {
    present: 0,
    async append(rows: readonly Row[]) {
      const values = new Float32Array(rows.length * dimensions);
      for (const [i, { embedding }] of rows.entries()) values.set(embedding, i * dimensions);
      const children = [
        arrow.makeData({ type: new arrow.Int32(), data: Int32Array.from(rows, ({ index }) => index) }),
        arrow.makeData({ type: new arrow.Int32(), data: Int32Array.from(rows, ({ tokens }) => tokens) }),
        arrow.makeData({
          type: new arrow.FixedSizeList(dimensions, item),
          length: rows.length,
          nullCount: 0,
          child: arrow.makeData({ type: new arrow.Float32(), data: values }),
        }),
      ];
      const data = arrow.makeData({
        type: new arrow.Struct(schema.fields),
        length: rows.length,
        nullCount: 0,
        children,
      });
      writer.write(new arrow.RecordBatch(schema, data));
    },
    async close() {
      writer.finish();
      await written;
      await file.close();
    },
  };
}

async function drain(chunks: AsyncIterator<Uint8Array>, file: FileHandle): Promise<void> {
  for (let step = await chunks.next(); !step.done; step = await chunks.next()) await file.appendFile(step.value);
}

async function loadArrow(): Promise<typeof import("apache-arrow")> {
  try {
    return await import("apache-arrow");
  } catch (cause) {
    throw new InlayError("ERR_INPUT_INVALID", "Writing Arrow needs Arrow's own package: npm install apache-arrow.", {
      cause,
    });
  }
}
