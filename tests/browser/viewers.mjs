// viewers: so many dashboards in Chromium, until standard input ends: `node viewers.mjs URL COUNT`. For
// scripts/bench pages --chromium.
import {moments, open, startBrowser} from './page.mjs';

const [url, count] = process.argv.slice(2);
const browser = await startBrowser();
const pages = await Promise.all(Array.from({length: Number(count)}, () => open(browser, url)));
await Promise.all(pages.map(page => moments(page, 1)));
console.log(`${pages.length} dashboards are open`);
process.stdin.resume();
process.stdin.on('end', () => browser.close());
