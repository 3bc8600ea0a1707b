// screenshots: makes the pictures of docs/images from a real fleet: `node screenshots.mjs [FOLDER]`.
// It takes some three minutes, so that the charts have something to show. CI does not run it.
import path from 'node:path';
import {Fleet, ROOT} from './fleet.mjs';
import {moments, open, startBrowser} from './page.mjs';

const SHOTS = [
  {name: 'dashboard', width: 1440, height: 1000, scale: 1, dark: false},
  {name: 'dashboard-dark', width: 1440, height: 1000, scale: 1, dark: true},
  {name: 'dashboard-phone', width: 380, height: 820, scale: 2, dark: true},
  {name: 'dashboard-4k', width: 3840, height: 2160, scale: 1, dark: false},
];
const PAUSE_MS = Number(process.env.SCENE_MS || 170000);

function jobs(n, head, more) {
  return Array.from({length: n}, (_, i) => ({id: `${head}-${String(i).padStart(4, '0')}`,
    prompt: `Summarise document ${i}`, ...more}));
}

async function scene(fleet) {
  const queues = 'interactive:10,bulk:4,nightly:1,reports:2';
  const worker = await fleet.worker({PENSTOCK_QUEUES: queues, PENSTOCK_CONCURRENCY: 24});
  await fleet.worker({PENSTOCK_QUEUES: queues, PENSTOCK_CONCURRENCY: 24});
  await fleet.worker({PENSTOCK_QUEUES: queues, PENSTOCK_CONCURRENCY: 24});
  await fleet.push('interactive', ...jobs(60, 'chat'));
  await fleet.push('bulk', ...jobs(1900, 'doc', {run: 'archive-2026'}));
  await fleet.push('nightly', ...jobs(400, 'night', {run: 'nightly-11-24'}));
  await fleet.push('reports', ...jobs(14, 'report', {delay_ms: 2400000}), ...jobs(40, 'weekly', {delay_ms: 240000}));
  await fleet.push('bulk', '{"prompt": "no end', '{"prompts":"a typing mistake"}', '{"prompt":"x","max_tokens":-1}');
  await fleet.r('SET', fleet.key('nightly', 'paused'), 'until the new prompt is reviewed');
  return worker;
}

const folder = path.resolve(process.argv[2] || path.join(ROOT, 'docs/images'));
const fleet = await Fleet.start({rpm: 400, itpm: 60000, otpm: 90000, burst_s: 20, latency: 'lognormal:1400:0.5:300:9000',
                                 fail: '400=0.002,500=0.02,529=0.01'});
const browser = await startBrowser();
try {
  const worker = await scene(fleet);
  const page = await open(browser, worker.url, SHOTS[0]);
  await page.waitForTimeout(PAUSE_MS);
  await page.context().close();
  for (const shot of SHOTS) {
    const p = await open(browser, worker.url, shot);
    await moments(p, 3);
    await p.screenshot({path: path.join(folder, shot.name + '.png'), fullPage: Boolean(process.env.FULL)});
    await p.context().close();
    console.log(shot.name);
  }
} finally {
  await browser.close();
  await fleet.stop();
}
