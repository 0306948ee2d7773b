// Chromium for a test in Python: a line of JSON on stdin is a command, a line on stdout what came of it.
//
//     node browser.mjs PLAYWRIGHT_CORE AXE
//
// Selectors are Playwright's. `troubles` gives what no page should cause: errors of scripts, violations of the policy,
// dialogs, requests to elsewhere.

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const [, , playwright, axe] = process.argv;
const { chromium } = createRequire(import.meta.url)(playwright);
const axeSource = readFileSync(axe, "utf8");
const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: flags });
const LIMIT = 60000;
let context, page, troubles = [];

async function open({ url, scheme = "light", width = 1280, height = 900, permissions = [] }) {
  if (context) await context.close();
  context = await browser.newContext({ colorScheme: scheme, viewport: { width, height }, permissions, timezoneId: "Europe/Berlin", locale: "en-GB", reducedMotion: "reduce" });
  context.setDefaultTimeout(LIMIT);
  const origin = new URL(url).origin;
  await context.exposeBinding("toldOfViolation", (source, text) => { troubles.push(`policy: ${text}`); });
  await context.addInitScript(() => document.addEventListener("securitypolicyviolation", event => window.toldOfViolation(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`)));
  page = await context.newPage();
  page.on("pageerror", error => troubles.push(`error: ${error.stack || error.message}`));
  page.on("dialog", dialog => { troubles.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", request => { if (!/^(data|blob):/.test(request.url()) && new URL(request.url()).origin !== origin) troubles.push(`request: ${request.url()}`); });
  page.on("console", message => { if (/Content Security Policy|Trusted/.test(message.text())) troubles.push(`console: ${message.text()}`); });
  await page.goto(url);
}

const commands = {
  open,
  goto: ({ url }) => page.goto(url),
  click: ({ what }) => page.locator(what).first().click(),
  fill: ({ what, text }) => page.locator(what).first().fill(text),
  press: ({ what, key }) => page.locator(what).first().press(key),
  key: ({ key, times = 1 }) => (async () => { for (let i = 0; i < times; i++) await page.keyboard.press(key); })(),
  write: ({ text }) => page.keyboard.type(text),
  wait: ({ what, text }) => (text === undefined ? page.locator(what) : page.locator(what).filter({ hasText: text })).first().waitFor({ state: "attached" }),
  gone: ({ what }) => page.locator(what).first().waitFor({ state: "detached" }),
  text: ({ what }) => page.locator(what).first().innerText(),
  texts: ({ what }) => page.locator(what).allInnerTexts(),
  count: ({ what }) => page.locator(what).count(),
  attribute: ({ what, name }) => page.locator(what).first().getAttribute(name),
  evaluate: ({ code }) => page.evaluate(code),
  async until({ code }) { // the page's policy forbids the evaluation that waitForFunction does in it
    for (const end = Date.now() + LIMIT; !await page.evaluate(code);) {
      if (Date.now() > end) throw new Error(`waited ${LIMIT / 1000} s for ${code}`);
      await new Promise(done => setTimeout(done, 100));
    }
  },
  size: ({ width, height }) => page.setViewportSize({ width, height }),
  shot: ({ path, whole = false }) => page.screenshot({ path, fullPage: whole }).then(() => path),
  scheme: ({ scheme }) => page.emulateMedia({ colorScheme: scheme }),
  async axe() {
    await page.evaluate(axeSource);
    const found = await page.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
    return found.violations.map(v => `${v.id}: ${v.help}; ${v.nodes.slice(0, 3).map(node => `${node.html.slice(0, 160)} [${(node.any[0] || node.all[0] || node.none[0] || {}).message || ""}]`).join(" | ")}`);
  },
  troubles: () => troubles,
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  let answer;
  try {
    answer = { value: await commands[command.do](command) };
  } catch (error) {
    const seen = page && await page.locator("main").innerText({ timeout: 2000 }).catch(() => "");
    answer = { error: `${error.message}\nthe page shows: ${String(seen).slice(0, 1500)}` };
  }
  process.stdout.write(JSON.stringify({ value: null, ...answer }) + "\n");
}
await browser.close();
