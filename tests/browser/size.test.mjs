// Large fleets and small screens.
import assert from 'node:assert/strict';
import {after, before, test} from 'node:test';
import {Fleet, until} from './fleet.mjs';
import {close, moments, open, reads, startBrowser} from './page.mjs';

let browser, fleet, worker;
const QUEUES = Array.from({length: 1000}, (_, i) => `team-${String(i).padStart(3, '0')}`);

async function addWorkers() {
  const now = Date.now();
  for (let i = 0; i < 99; i++) {
    const id = `host-${String(i).padStart(2, '0')}-abcd`;
    await fleet.r('HSET', `penstock:worker:${id}`, 'started', now - 3600000, 'seen', now, 'queues', 'team-000:1,'.repeat(20),
                  'in_flight', i, 'version', '0.1.0');
    await fleet.r('ZADD', 'penstock:workers', now + i, id);
  }
}

before(async () => {
  browser = await startBrowser();
  fleet = await Fleet.start();
  worker = await fleet.worker({PENSTOCK_QUEUES: QUEUES.join(',')});
  await addWorkers();
  await fleet.push('team-777', {id: 'x', prompt: 'x', delay_ms: 3000000, run: 'a-run-with-a-rather-long-name-of-fifty-characters-x'});
  await fleet.push('team-002', '{no job', ...Array.from({length: 30}, () => '[]'));
  await fleet.push('team-003', {id: 'a'.repeat(128), prompt: 'x'});
});
after(async () => {
  await browser?.close();
  await fleet?.stop();
});

test('of 1,000 queues those that need a look come first; any is found by name', async () => {
  const page = await open(browser, worker.url);
  await reads(page, '#queues-note', /1,000 queues; shown: the 40/);
  await reads(page, '#queues-table', /team-777\s+delayed/);
  await page.locator('#queues-filter').fill('team-55');
  await reads(page, '#queues-table', /team-550[^]+team-559/);
  assert.equal(await page.locator('#queues-table tbody tr').count(), 10);
  await page.locator('#queues-filter').fill('');
  await page.getByRole('button', {name: 'All by name'}).click();
  await reads(page, '#queues-pages', /1 to 50/);
  await page.getByRole('button', {name: 'Further'}).click();
  await reads(page, '#queues-table', /team-099/);
  await close(page);
});

test('100 workers are listed, and a moment costs the browser little', async () => {
  const page = await open(browser, worker.url);
  await reads(page, '#workers-note', /100 alive/);
  const client = await page.context().newCDPSession(page);
  await client.send('Performance.enable');
  const busy = async () => (await client.send('Performance.getMetrics')).metrics.find(m => m.name === 'TaskDuration').value;
  const had = await busy(), first = await page.evaluate(() => Number(document.body.dataset.moments));
  await moments(page, 4);
  const each = (await busy() - had) / (await page.evaluate(() => Number(document.body.dataset.moments)) - first);
  console.log(`a moment takes ${(each * 1000).toFixed(0)} ms of the page's thread`);
  assert.ok(each < 0.5, `a moment took ${each} s`); // 15 to 40 ms on a quiet machine
  await close(page);
});

// overlaps gives the pairs of texts that stand over each other, or side by side without a gap.
function overlaps(page) {
  return page.evaluate(() => {
    const walk = document.createTreeWalker(document.getElementById('board'), NodeFilter.SHOW_TEXT), all = [];
    for (let n; (n = walk.nextNode());) {
      const of = n.parentElement, range = document.createRange();
      if (!n.textContent.trim() || of.closest('.uplot, .hidden, .clip, option') || !of.getClientRects().length) continue;
      range.selectNodeContents(n);
      const at = of.closest('.scroll, .runs')?.getBoundingClientRect();
      for (const r of range.getClientRects())
        if (!at || (r.bottom <= at.bottom && r.top >= at.top)) all.push({r, of, text: n.textContent.trim()});
    }
    const row = of => of.closest('.wait-row > *, .bar > *, .facts dt, .facts dd, td, th, .line > *');
    const bad = [];
    for (let i = 0; i < all.length; i++)
      for (let k = i + 1; k < all.length; k++) {
        const a = all[i], b = all[k], gap = row(a.of) && row(b.of) && row(a.of) !== row(b.of) ? 4 : -1;
        if (a.r.left < b.r.right + gap && b.r.left < a.r.right + gap && a.r.top < b.r.bottom - 4 && b.r.top < a.r.bottom - 4)
          bad.push(`${a.text} | ${b.text}`);
      }
    return bad;
  });
}

for (const [width, height] of [[380, 800], [768, 1000], [1440, 900], [3840, 2160]])
  test(`nothing stands over the edge at ${width} pixels`, async () => {
    const page = await open(browser, worker.url, {width, height});
    await reads(page, '#dead-table', /JSON/i);
    const over = () => page.evaluate(() => {
      const w = document.documentElement.clientWidth;
      const bad = [...document.querySelectorAll('body *')].filter(n => n.getBoundingClientRect().right > w + 1 &&
        !n.closest('.scroll, .uplot, .said, .hidden, .skip') && n.getClientRects().length);
      return [document.scrollingElement.scrollWidth - w, ...bad.map(n => `${n.tagName}.${n.className}#${n.id}`)];
    });
    assert.deepEqual(await over(), [0]);
    assert.deepEqual(await overlaps(page), []);
    if (width === 380) {
      await page.getByRole('button', {name: 'Pause queue team-777'}).click();
      await page.locator('#ask[open]').waitFor();
      assert.deepEqual(await over(), [0]);
      await page.locator('#ask-no').click();
      await page.locator('#calls-table button').first().click();
      await reads(page, '#job-body', /Call/);
      assert.deepEqual(await over(), [0]);
    }
    const first = await page.evaluate(() => document.querySelector('.answer:nth-child(4)').getBoundingClientRect().bottom);
    assert.ok(first < height, 'four of the five answers are on the first screen');
    await close(page);
  });

test('figures that change keep their width', async () => {
  const page = await open(browser, worker.url);
  const widths = await page.evaluate(() => {
    const node = document.querySelector('.answer:nth-child(2) .value');
    return ['1,111', '8,888', '4,040'].map(t => {
      const span = document.createElement('span');
      span.textContent = t;
      node.append(span);
      const w = span.getBoundingClientRect().width;
      span.remove();
      return w;
    });
  });
  assert.ok(Math.max(...widths) - Math.min(...widths) < 0.5, widths.join()); // a comma is kerned
  await close(page);
});

test('dark and light are both legible, and the choice is kept', async () => {
  const page = await open(browser, worker.url, {dark: true});
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await ground();
  await page.locator('#theme').click();
  const light = await ground();
  assert.notEqual(dark, light);
  await page.reload();
  await moments(page, 1);
  assert.equal(await ground(), light);
  await until(() => page.evaluate(() => document.querySelectorAll('#charts canvas').length === 3), 'the charts');
  await close(page);
});
