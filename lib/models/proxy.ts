/** The proxy that the environment names for a URL, as curl reads `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`. */
export function proxyFor(url: URL): string | undefined {
  const secure = url.protocol === "https:";
  // Upper-case HTTP_PROXY can be a request header under CGI; this is no CGI program, and other tools set only that.
  const proxy = secure
    ? process.env.https_proxy || process.env.HTTPS_PROXY
    : process.env.http_proxy || process.env.HTTP_PROXY;
  const chosen = proxy || process.env.all_proxy || process.env.ALL_PROXY;
  if (!chosen || isExempt(url, process.env.no_proxy || process.env.NO_PROXY || "")) return undefined;
  return /^[a-z]+:\/\//i.test(chosen) ? chosen : `http://${chosen}`;
}

function isExempt(url: URL, exemptions: string): boolean {
  const host = url.hostname.toLowerCase().replace(/^\[|\]$/g, "");
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  return exemptions
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((entry) => entry !== "")
    .some((entry) => {
      if (entry === "*") return true;
      const [, name = entry, entryPort] = /^(.*?[^:]):(\d+)$/.exec(entry) ?? [];
      const bare = name.replace(/^\*?\./, "").replace(/^\[|\]$/g, "");
      if (entryPort !== undefined && entryPort !== port) return false;
      return host === bare || host.endsWith(`.${bare}`);
    });
}
