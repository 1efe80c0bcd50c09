#!/usr/bin/env node
// The command line of a checkout: makes what is missing, then is `inlay`.
import { createRequire } from "node:module";
import { join } from "node:path";
import { prepare, root } from "./prepare.mjs";

prepare();
createRequire(import.meta.url)(join(root, "dist", "cli", "main.js"));
