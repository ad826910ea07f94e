// A browser before the proxy. Usage: browser.mjs NODE_DIR CHROMIUM JSON
// JSON: { documents: [url], pages: [{ url, script }], images: [url] }
// Prints what became of each as JSON.
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [directory, executablePath, text] = process.argv.slice(2);
const { chromium } = createRequire(join(directory, 'index.js'))('playwright-core');
const wanted = JSON.parse(text);
const browser = await chromium.launch({
  executablePath,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
  ],
});
const found = { documents: {}, pages: {}, images: {} };
const context = await browser.newContext();

// Documents that would change their title if a script of theirs ran.
for (const url of wanted.documents ?? []) {
  const page = await context.newPage();
  const response = await page.goto(url, { waitUntil: 'networkidle' }).catch((error) => ({ error }));
  found.documents[url] = {
    status: response?.error ? String(response.error) : response.status(),
    title: await page.title(),
    text: await page.evaluate(() => document.documentElement?.textContent ?? '').catch(String),
  };
  await page.close();
}

// Scripts of a page: an expression that gives a promise.
for (const { url, script } of wanted.pages ?? []) {
  const page = await context.newPage();
  await page.goto(url);
  found.pages[`${url} ${script}`] = await page.evaluate(script).catch((error) => `failed: ${error.message}`);
  await page.close();
}

for (const url of wanted.images ?? []) {
  const page = await context.newPage();
  await page.goto(url);
  found.images[url] = await page.evaluate(() => document.images[0]?.naturalWidth ?? 0);
  await page.close();
}

await browser.close();
console.log(JSON.stringify(found));
