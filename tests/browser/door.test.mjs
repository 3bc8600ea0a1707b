// Who may see and do what, and what the page may load.
import assert from 'node:assert/strict';
import {after, before, test} from 'node:test';
import {Fleet, until} from './fleet.mjs';
import {close, moments, open, reads, startBrowser} from './page.mjs';

let browser, fleet;
before(async () => {
  browser = await startBrowser();
  fleet = await Fleet.start();
});
after(async () => {
  await browser?.close();
  await fleet?.stop();
});

test('a token is asked for, kept for the tab, and never part of an address', async () => {
  const worker = await fleet.worker({PENSTOCK_HTTP_TOKEN: 'open-sesame'});
  const page = await open(browser, worker.url, {expect: 0});
  await page.locator('#sign-in-form').waitFor();
  assert.equal(await page.locator('#board').isVisible(), false);
  await page.locator('#token').fill('open-sesam');
  await page.keyboard.press('Enter');
  await reads(page, '#sign-in-wrong', /not the token/);
  await page.locator('#token').fill('open-sesame');
  await page.getByRole('button', {name: 'Sign in'}).click();
  await moments(page, 2);
  await reads(page, '#headline', /Idle/);
  await page.reload();
  await moments(page, 1);
  await page.getByRole('button', {name: 'Pause queue default'}).click();
  await page.locator('#ask-yes').click();
  await until(() => fleet.r('GET', fleet.key('default', 'paused')), 'the pause');
  await fleet.r('DEL', fleet.key('default', 'paused'));
  assert.deepEqual(page.requestsMade.filter(u => u.includes('sesam')), []);
  assert.equal(await page.evaluate(() => Object.values(localStorage).join().includes('sesame')), false);
  const other = await open(browser, worker.url, {expect: 0});
  await other.locator('#sign-in-form').waitFor();
  await other.context().close();
  await page.getByRole('button', {name: 'Sign out'}).click();
  await page.locator('#sign-in-form').waitFor();
  assert.ok(page.faults.every(f => /401/.test(f)), page.faults.join());
  await page.context().close();
  assert.ok(!worker.text.includes('open-sesame'));
});

test('read-only: no action is offered, and the worker refuses them', async () => {
  const worker = await fleet.worker({PENSTOCK_HTTP_READONLY: 'yes'});
  await fleet.push('default', '{no job', {id: 'r', prompt: 'x', run: 'night'});
  const page = await open(browser, worker.url);
  await reads(page, '#readonly', /read-only/);
  await reads(page, '#dead-table', /no JSON|JSON|invalid/i);
  await reads(page, '#runs-list', /night/);
  for (const name of ['Pause queue default', 'Retry', 'Drop', 'Cancel run'])
    assert.equal(await page.getByRole('button', {name}).count(), 0, name);
  const status = await page.evaluate(async () => (await fetch('/api/queues/pause', {method: 'POST',
    headers: {'X-Penstock': '1'}, body: '{"queue":"default"}'})).status);
  assert.equal(status, 403);
  assert.equal(await fleet.r('EXISTS', fleet.key('default', 'paused')), 0);
  page.faults = page.faults.filter(f => !/403/.test(f));
  await close(page);
});

test('the page loads its own files only, and no script or style but those', async () => {
  const worker = await fleet.worker();
  const page = await open(browser, worker.url);
  assert.deepEqual(page.requestsMade.filter(u => !u.startsWith(worker.url + '/')), []);
  const head = (await page.request.get(worker.url)).headers();
  assert.match(head['content-security-policy'], /default-src 'none'; script-src 'self'; style-src 'self'/);
  assert.doesNotMatch(head['content-security-policy'], /unsafe/);
  await page.evaluate(() => {
    const script = document.createElement('script');
    script.textContent = 'window.hit = 1';
    document.body.append(script);
    const div = document.createElement('div');
    div.innerHTML = '<img src=x onerror="window.hit=2">';
    document.body.append(div);
  });
  await until(() => page.faults.some(f => /Content Security Policy/.test(f)), 'the policy to refuse');
  assert.equal(await page.evaluate(() => window.hit), undefined);
  await page.context().close();
});

test('another site can neither read nor act', async () => {
  const worker = await fleet.worker();
  const page = await open(browser, worker.url.replace('127.0.0.1', 'localhost'));
  const tried = await page.evaluate(async url => {
    const results = [];
    for (const init of [{}, {method: 'POST', headers: {'X-Penstock': '1'}, body: '{"queue":"default"}'},
                        {method: 'POST', mode: 'no-cors', body: '{"queue":"default"}'}])
      results.push(await fetch(url + (init.method ? '/api/queues/pause' : '/api/overview'), init)
        .then(r => r.type + r.status, () => 'refused'));
    return results;
  }, worker.url);
  assert.deepEqual(tried, ['refused', 'refused', 'refused']); // the third by the page's own policy
  assert.equal(await fleet.r('EXISTS', fleet.key('default', 'paused')), 0);
  await page.context().close();
});
