/** Runs work that Ctrl-C aborts; the exit code is then 130, as shells have it. */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T | undefined> {
  const abort = new AbortController();
  const onSignal = () => abort.abort();
  process.once("SIGINT", onSignal).once("SIGTERM", onSignal);
  try {
    return await work(abort.signal);
  } catch (error) {
    if (!abort.signal.aborted) throw error;
    process.stderr.write("inlay: interrupted; what has arrived is kept, the same command goes on with it\n");
    process.exitCode = 130;
    return undefined;
  } finally {
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
  }
}
