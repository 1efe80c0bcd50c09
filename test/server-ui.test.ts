import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Running, startServer } from "./support/server-client.ts";

const executablePath = [
  process.env.CHROMIUM_PATH,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
].find((path) => path !== undefined && existsSync(path));
if (executablePath === undefined)
  console.log("The page is not tested: there is no Chromium (CHROMIUM_PATH names one).");

/** Where pictures of the page go, for people to look at. */
const pictures = process.env.INLAY_SCREENSHOTS;

describe.skipIf(executablePath === undefined)("the page for people", () => {
  let running: Running;
  let browser: Browser;

  beforeAll(async () => {
    running = await startServer();
    browser = await chromium.launch({
      executablePath,
      args: [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    });
  });
  afterAll(async () => {
    await browser?.close();
    await running?.server.close();
  });

  interface Opened {
    page: Page;
    /** What the browser complained of, and every address it asked. */
    complaints: string[];
    addresses: string[];
  }

  async function open(options: Parameters<Browser["newContext"]>[0] = {}, path = "/ui"): Promise<Opened> {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    const complaints: string[] = [];
    const addresses: string[] = [];
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    page.on("request", (request) => addresses.push(request.url()));
    await page.goto(running.url + path);
    return { page, complaints, addresses };
  }

  async function compare(page: Page, texts: string): Promise<void> {
    await page.locator("#model option").first().waitFor({ state: "attached" });
    await page.fill("#texts", texts);
    await page.click("#run");
    await page.locator("#status", { hasText: "Done" }).waitFor();
  }

  async function picture(page: Page, name: string): Promise<void> {
    if (pictures === undefined) return;
    mkdirSync(pictures, { recursive: true });
    await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
  }

  it("compares texts: matrix, map, tokens and timings, from nothing but this server", async () => {
    const { page, complaints, addresses } = await open({ viewport: { width: 1200, height: 900 } });
    const texts = (await page.inputValue("#texts")).split("\n");
    expect(texts.length).toBeGreaterThan(3);
    await compare(page, texts.join("\n"));
    expect(await page.locator("#matrix tr").count()).toBe(texts.length + 1);
    expect(await page.locator("#matrix tr:nth-child(2) td:nth-child(2)").textContent()).toBe("1.00");
    expect(await page.locator("#map circle").count()).toBe(texts.length);
    expect(await page.locator("#list tr").count()).toBe(texts.length + 1);
    const [tokens, milliseconds] = await page
      .locator("#list tr:nth-child(2) td.number")
      .allTextContents()
      .then((cells) => cells.slice(1));
    expect(Number(tokens)).toBeGreaterThan(0);
    expect(Number(milliseconds)).toBeGreaterThan(0);
    await expect.poll(() => page.textContent("#texts-total")).toMatch(/^[\d,]+$/);
    await picture(page, "light");
    expect(addresses.filter((address) => !address.startsWith(running.url) && !address.startsWith("data:"))).toEqual([]);
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  it("fits a phone, in the dark, and shows what was cut", async () => {
    const { page, complaints } = await open({
      viewport: { width: 360, height: 740 },
      colorScheme: "dark",
      isMobile: true,
      hasTouch: true,
    });
    await compare(page, `a short text\n${"long ".repeat(4000)}\nanother one`);
    expect(await page.locator(".cut").textContent()).toMatch(/^of [\d,]+, cut$/);
    expect(await page.locator("#summary").textContent()).toMatch(/1 text was cut/);
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(360);
    const small = await page.evaluate(
      "[...document.querySelectorAll('button, select, input')].filter((e) => e.offsetParent && e.offsetHeight < 40).length",
    );
    expect(small).toBe(0);
    await picture(page, "phone-dark");
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  it("can be worked with the keyboard alone, every field by its label", async () => {
    const { page } = await open();
    await page.locator("#model option").first().waitFor({ state: "attached" });
    for (const label of ["Texts", "Model", "Dimensions", "Texts are separated by"]) {
      expect(await page.getByLabel(label, { exact: true }).count()).toBe(1);
    }
    await page.getByLabel("Texts", { exact: true }).fill("one\ntwo");
    for (let i = 0; i < 4; i++) await page.keyboard.press("Tab");
    expect(await page.evaluate("document.activeElement.id")).toBe("run");
    await page.keyboard.press("Enter");
    await page.locator("#status", { hasText: "Done" }).waitFor();
    expect(await page.evaluate("document.activeElement.id")).toBe("results");
    await page.context().close();
  });

  it("shows text as text, whatever it is", async () => {
    const { page, complaints } = await open();
    await compare(page, "<img src=x onerror=alert(1)>\n<script>document.title='pwned'</script>");
    expect(await page.locator("#list img, #list script").count()).toBe(0);
    expect(await page.title()).toBe("inlay: compare texts");
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  it("says what is wrong: an option that is refused, no text at all", async () => {
    const { page } = await open();
    await page.route("**/api/embed", (route) => route.fulfill({ status: 503, json: { error: "server busy" } }));
    await page.locator("#model option").first().waitFor({ state: "attached" });
    await page.click("#run");
    await page.locator("#status.bad", { hasText: "server busy" }).waitFor();
    await page.context().close();
  });

  it("stands at the root for a browser, and beside it the page of the API", async () => {
    const { page } = await open({}, "/");
    expect(await page.title()).toBe("inlay: compare texts");
    await page.click("nav a[href='/docs']");
    expect(await page.textContent("h1")).toBe("inlay: HTTP API");
    expect(await page.locator("article").count()).toBeGreaterThan(12);
    await picture(page, "docs");
    await page.context().close();
  });

  it("asks for the key where there is one", async () => {
    const own = await startServer({ apiKey: "s3cret" });
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`${own.url}/ui`);
    await page.getByLabel("API key").waitFor();
    await page.getByLabel("API key").fill("s3cret");
    await page.getByLabel("API key").blur();
    await compare(page, "one\ntwo");
    await context.close();
    await own.server.close();
  });
});
