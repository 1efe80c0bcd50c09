import { channel } from "node:diagnostics_channel";

/**
 * Channels of `node:diagnostics_channel` that this package publishes on. Field names follow OpenTelemetry's semantic
 * conventions where one exists. Nothing is built where nobody subscribes. @internal
 */
const channels = {
  load: channel("inlay:load"),
  unload: channel("inlay:unload"),
  job: channel("inlay:job"),
  error: channel("inlay:error"),
};

/** @internal */
export function publish(name: keyof typeof channels, message: () => Record<string, unknown>): void {
  if (channels[name].hasSubscribers) channels[name].publish(message());
}
