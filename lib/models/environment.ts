import { homedir } from "node:os";
import { join } from "node:path";

/** The folder for what this package downloads: `INLAY_CACHE`, else the system's place for caches. */
export function cacheFolder(): string {
  const set = process.env.INLAY_CACHE;
  if (set) return set;
  switch (process.platform) {
    case "win32":
      return join(process.env.LOCALAPPDATA || join(homedir(), "AppData", "Local"), "inlay", "cache");
    case "darwin":
      return join(homedir(), "Library", "Caches", "inlay");
    default:
      return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "inlay");
  }
}

/** The folder for settings that people write. */
export function configFolder(): string {
  switch (process.platform) {
    case "win32":
      return join(process.env.APPDATA || join(homedir(), "AppData", "Roaming"), "inlay");
    case "darwin":
      return join(homedir(), "Library", "Application Support", "inlay");
    default:
      return join(process.env.XDG_CONFIG_HOME || join(homedir(), ".config"), "inlay");
  }
}

/** Whether the environment forbids the network, and which variable does. */
export function offlineBy(): string | undefined {
  return ["INLAY_OFFLINE", "HF_HUB_OFFLINE"].find((variable) => isOn(process.env[variable]));
}

/** As huggingface_hub reads its switches. */
function isOn(value: string | undefined): boolean {
  return value !== undefined && ["1", "on", "yes", "true"].includes(value.toLowerCase());
}
