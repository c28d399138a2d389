// The part of check-report that runs in node. Arguments: BROWSER PAGE SCREENSHOT-FOLDER PDF-FILE; the last two
// can be empty.
import { mkdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import puppeteer from "puppeteer-core";

const [browserPath, page, images, paper] = process.argv.slice(2);
const address = pathToFileURL(page).href;
const desktop = { width: 1280, height: 900, deviceScaleFactor: 1 };
const phone = { width: 390, height: 844, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
const faults = [];

const browser = await puppeteer.launch({
  executablePath: browserPath,
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
  userDataDir: join(tmpdir(), `check-report-${process.pid}`),
});

async function open(viewport, scheme, script = true) {
  const tab = await browser.newPage();
  await tab.setJavaScriptEnabled(script);
  await tab.setViewport(viewport);
  await tab.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  tab.on("request", (request) => {
    if (request.url() !== address && !request.url().startsWith("blob:")) {
      faults.push(`it asks for ${request.url()}`);
    }
  });
  tab.on("pageerror", (error) => faults.push(`its script failed: ${error.message}`));
  await tab.goto(address, { waitUntil: "load" });
  return tab;
}

async function accessible(tab, what) {
  await tab.evaluate(readFileSync("node_modules/axe-core/axe.min.js", "utf8"));
  const { violations, passes } = await tab.evaluate(() => axe.run());
  for (const { id, impact, help, nodes } of violations) {
    const line = `${what}: ${impact}: ${id}: ${help} (${nodes.length}, first: ${nodes[0].html.slice(0, 120)})`;
    console.log(line);
    if (impact === "serious" || impact === "critical") faults.push(line);
  }
  console.log(`${what}: ${violations.length} accessibility rules broken, ${passes.length} kept`);
}

async function wide(tab, what) {
  const [needs, has] = await tab.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  if (needs > has) faults.push(`${what}: the page is ${needs} pixels wide and the screen ${has}`);
}

// The text of the tables, without the buttons that the script adds.
const figures = (tab) => tab.evaluate(() => [...document.querySelectorAll("td")].map((cell) => cell.textContent.trim()).join("|"));

async function sorts(tab) {
  const order = () => tab.evaluate(() => [...document.querySelector("table.sort").tBodies[0].rows].map((row) => row.cells[1].textContent).join());
  const before = await order();
  await tab.focus("table.sort thead th:nth-child(2) button");
  await tab.keyboard.press("Enter");
  await tab.keyboard.press("Enter");
  const state = await tab.evaluate(() => document.querySelector("table.sort thead th:nth-child(2)").getAttribute("aria-sort"));
  if (state !== "descending" || (await order()) === before) faults.push(`the keyboard does not sort: ${state}`);
}

for (const scheme of ["light", "dark"]) {
  const tab = await open(desktop, scheme);
  if (images) {
    mkdirSync(images, { recursive: true });
    await tab.screenshot({ path: join(images, `report-${scheme}.png`) });
  }
  await tab.evaluate(() => document.querySelectorAll("details").forEach((d) => { d.open = true; }));
  await accessible(tab, `desktop, ${scheme}`);
  await tab.close();
}

const small = await open(phone, "light");
await wide(small, "phone");
if (images) await small.screenshot({ path: join(images, "report-phone.png") });
await accessible(small, "phone");
await small.close();

const scripted = await open(desktop, "light");
const with_script = await figures(scripted);
if (images) {
  // Only the first two rows of charts, to keep the image small enough for a README.
  const box = await (await scripted.$(".charts")).boundingBox();
  const clip = { ...box, height: Math.min(box.height, 660) };
  await scripted.screenshot({ path: join(images, "report-charts.png"), clip, captureBeyondViewport: true });
}
if (paper) await scripted.pdf({ path: paper, format: "A4", printBackground: true });
if (await scripted.$("table.sort")) await sorts(scripted);
await scripted.close();

const plain = await open(desktop, "light", false);
if ((await figures(plain)) !== with_script) faults.push("without its script the page holds other figures");
await wide(plain, "desktop");
await plain.close();
await browser.close();

for (const fault of faults) console.error(`fault: ${fault}`);
console.log(faults.length ? `${faults.length} faults` : "no faults");
process.exit(faults.length ? 1 : 0);
