import { fastembedPeers } from "./fastembed.ts";
import { inlayPeers } from "./inlay.ts";
import { nodeLlamaPeers } from "./node-llama-cpp.ts";
import { onnxPeers } from "./onnxruntime.ts";
import type { Peer } from "./peer.ts";
import { transformersPeers } from "./transformers.ts";

/** In the order of the table. */
export const PEERS: Peer[] = [...inlayPeers, ...onnxPeers, ...transformersPeers, ...fastembedPeers, ...nodeLlamaPeers];
