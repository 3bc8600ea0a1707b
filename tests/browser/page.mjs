// page: the dashboard in Chromium. Every page that a test opens is watched: an error in it, or a
// breach of the content policy, fails the test that closes it.
import assert from 'node:assert/strict';
import {chromium} from 'playwright-core';
import {SLACK} from './fleet.mjs';

export const CHROMIUM = process.env.PENSTOCK_CHROMIUM || '/usr/bin/chromium';
const PATIENCE_MS = 30000 * SLACK;

export async function startBrowser() {
  return chromium.launch({executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu',
    '--disable-background-networking', '--disable-dev-shm-usage', '--font-render-hinting=none']});
}

// open gives a page that shows the dashboard; page.faults is what went wrong in it.
export async function open(browser, url, {width = 1440, height = 900, dark = false, path = '/', expect = 1,
                                          scale = 1} = {}) {
  const context = await browser.newContext({viewport: {width, height}, deviceScaleFactor: scale,
    colorScheme: dark ? 'dark' : 'light', reducedMotion: 'reduce', locale: 'en-GB'});
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  page.faults = [];
  page.requestsMade = [];
  page.on('pageerror', e => page.faults.push(String(e)));
  page.on('console', m => { if (m.type() === 'error') page.faults.push(m.text()); });
  page.on('request', r => page.requestsMade.push(r.url()));
  await page.goto(url + path);
  if (expect) await moments(page, expect).catch(e => { throw new Error(`${e.message}\n${page.faults.join('\n')}`); });
  return page;
}

// moments waits until so many more moments of /events have been shown.
export async function moments(page, n = 2) {
  const had = await page.evaluate(() => Number(document.body.dataset.moments || 0));
  await page.waitForFunction(want => Number(document.body.dataset.moments || 0) >= want, had + n);
}

// reads waits until the text of a part of the page fits.
export async function reads(page, where, pattern) {
  const locator = page.locator(where);
  const end = Date.now() + PATIENCE_MS;
  let last = '';
  while (Date.now() < end) {
    last = (await locator.allInnerTexts()).join('\n');
    if (pattern.test(last)) return last;
    await new Promise(done => setTimeout(done, 50));
  }
  throw new assert.AssertionError({message: `${where} never read ${pattern}; it reads: ${last.slice(0, 600)}`});
}

export async function close(page, {faults = 0} = {}) {
  const seen = page.faults;
  await page.context().close();
  if (faults === 0) assert.deepEqual(seen, []);
}
