// What a person may do from the dashboard: each action asks first, does what it says, and is logged.
import assert from 'node:assert/strict';
import {after, before, beforeEach, afterEach, test} from 'node:test';
import {Fleet, until} from './fleet.mjs';
import {close, moments, open, reads, startBrowser} from './page.mjs';

let browser, fleet, worker, page;
before(async () => { browser = await startBrowser(); });
after(() => browser?.close());
beforeEach(async () => {
  fleet = await Fleet.start({latency: 30});
  worker = await fleet.worker({PENSTOCK_QUEUES: 'default:3,bulk:1'});
  page = await open(browser, worker.url);
});
afterEach(async () => {
  page.faults = page.faults.filter(f => !/status of (429|404)/.test(f)); // asked too soon; it asks again
  await close(page).finally(() => fleet.stop());
});

async function answer(yes, {reason, who = 'ada'} = {}) {
  await page.locator('#ask[open]').waitFor();
  if (reason !== undefined) await page.locator('#ask-reason').fill(reason);
  await page.locator('#ask-who').fill(who);
  await page.locator(yes ? '#ask-yes' : '#ask-no').click();
  await page.locator('#ask[open]').waitFor({state: 'detached'});
}

const logged = action => until(() => worker.events('admin_action').find(l => l.action.startsWith(action)), action);
const paused = queue => fleet.r('GET', fleet.key(queue, 'paused'));

test('a queue is paused with a reason and resumed; saying no does nothing', async () => {
  await page.getByRole('button', {name: 'Pause queue bulk'}).click();
  await answer(false);
  assert.equal(await paused('bulk'), null);
  await page.getByRole('button', {name: 'Pause queue bulk'}).click();
  await answer(true, {reason: 'lunch'});
  assert.equal(await paused('bulk'), 'lunch');
  await reads(page, '#queues-table', /bulk\s+paused lunch/);
  await reads(page, '.answer:nth-child(5)', /1 queue paused/);
  assert.match((await logged('pause queue bulk')).who, /^ada@127\.0\.0\.1$/);
  await page.getByRole('button', {name: 'Resume queue bulk'}).click();
  await answer(true);
  assert.equal(await paused('bulk'), null);
  await logged('resume queue bulk');
});

test('a pool is paused and resumed', async () => {
  await fleet.push('default', {id: 'a', prompt: 'a'});
  await fleet.result('default', 'a');
  await page.getByRole('button', {name: /^Pause pool/}).click();
  await answer(true, {reason: 'the bill'});
  await reads(page, '.gate', /Shut: it is paused by a person/);
  await reads(page, '.said-by', /Reason: “the bill”/);
  await fleet.push('default', {id: 'b', prompt: 'b'});
  await moments(page, 2);
  assert.equal(await fleet.r('GET', fleet.key('default', 'result:b')), null);
  await page.getByRole('button', {name: /^Resume pool/}).click();
  await answer(true);
  await fleet.result('default', 'b');
  await reads(page, '.gate', /Open/);
});

test('a limit of one’s own is set and taken away', async () => {
  await fleet.push('default', {id: 'a', prompt: 'a'});
  await fleet.result('default', 'a');
  const ledger = 'penstock:pool:{anthropic:main:claude-sonnet-5}';
  await page.getByRole('button', {name: /^Limit pool/}).click();
  await page.locator('#ask-number').fill('90');
  await answer(true);
  await reads(page, '.own', /Your limit: 90 requests a minute/);
  assert.equal(await fleet.r('HGET', ledger, 'requests_override'), '90');
  await page.getByRole('button', {name: /^Limit pool/}).click();
  assert.equal(await page.locator('#ask-number').inputValue(), '90');
  await page.locator('#ask-number').fill('');
  await answer(true);
  assert.equal(await fleet.r('HGET', ledger, 'requests_override'), null);
  await logged('limit pool anthropic:main:claude-sonnet-5 requests none');
});

test('dead jobs are chosen by cause, retried and dropped', async () => {
  await fleet.script({match: {contains: 'bad'}, status: 400, times: 3,
                      body: {type: 'error', error: {type: 'invalid_request_error', message: 'no'}}});
  await fleet.push('default', ...['bad-1', 'bad-2', 'bad-3'].map(id => ({id, prompt: id})), '{not json');
  await reads(page, '#dead-note', /4 in 1 queue/);
  await reads(page, '#dead-causes', /All 4[^]*invalid_request 3/);
  await page.locator('.chip', {hasText: 'invalid_request'}).click();
  assert.equal(await page.locator('#dead-table tbody tr').count(), 3);
  await page.getByLabel('Choose bad-1').check();
  await page.getByRole('button', {name: 'Retry 1'}).click();
  await answer(true);
  assert.equal((await fleet.result('default', 'bad-1')).status, 'succeeded');
  await reads(page, '#dead-note', /3 in 1 queue/);
  await page.getByRole('button', {name: 'Choose all 2 shown'}).click();
  await page.getByRole('button', {name: 'Drop 2'}).click();
  assert.match(await page.locator('#ask-text').innerText(), /cannot be undone/);
  await answer(true);
  await until(async () => await fleet.r('ZCARD', fleet.key('default', 'dead')) === 1, 'two to be gone');
  await reads(page, '#dead-note', /1 in 1 queue/);
  await logged('dead_retry 1');
  await logged('dead_drop 2');
});

test('a job that waits is cancelled', async () => {
  await fleet.push('default', {id: 'later', prompt: 'x', delay_ms: 600000});
  await until(() => fleet.r('EXISTS', fleet.key('default', 'job:later')), 'the job');
  await page.locator('#find-queue').selectOption('default');
  await page.locator('#find-id').fill('later');
  await page.keyboard.press('Enter');
  await page.getByRole('button', {name: 'Cancel this job'}).click();
  await answer(true);
  assert.equal((await fleet.result('default', 'later')).status, 'cancelled');
  await reads(page, '#job-body', /cancelled/);
});

test('a run is cancelled, and says how far that has come', async () => {
  const ids = Array.from({length: 150}, (_, i) => `late-${i}`);
  await fleet.push('default', ...ids.map(id => ({id, prompt: 'x', run: 'night', delay_ms: 600000})),
                   {id: 'other', prompt: 'x', run: 'day', delay_ms: 600000});
  await until(() => fleet.r('EXISTS', fleet.key('default', 'job:other')), 'the jobs');
  await page.getByRole('button', {name: 'Cancel run night of queue default'}).click();
  assert.match(await page.locator('#ask-text').innerText(), /cannot be undone/);
  await answer(false);
  await page.getByRole('button', {name: 'Cancel run night of queue default'}).click();
  await answer(true);
  for (const id of ids) assert.equal((await fleet.result('default', id)).status, 'cancelled');
  await reads(page, '#runs-list', /night[^]+150 of 150 · 100 %[^]+150 jobs cancelled/);
  assert.equal(await fleet.r('EXISTS', fleet.key('default', 'result:other')), 0);
  assert.match((await logged('cancel run night of queue default')).who, /^ada@/);
});

test('an action that fails says why and leaves the question open', async () => {
  await page.getByRole('button', {name: 'Pause queue bulk'}).click();
  await page.route('**/api/queues/pause', route => route.fulfill({status: 503, body: '{"error":"no connection to Redis"}'}));
  await page.locator('#ask-yes').click();
  await reads(page, '#ask-wrong', /no connection to Redis/);
  await page.unroute('**/api/queues/pause');
  await answer(true);
  assert.notEqual(await paused('bulk'), null);
  page.faults = page.faults.filter(f => !/503/.test(f));
});

test('an action that ends late leaves the next question open, and says how it went', async () => {
  let go;
  await page.route('**/api/queues/pause', async route => {
    await new Promise(done => { go = done; });
    await route.continue();
  });
  await page.getByRole('button', {name: 'Pause queue bulk'}).click();
  await page.locator('#ask-yes').click();
  await until(() => go, 'the action to be on its way');
  await page.locator('#ask-no').click();
  await page.getByRole('button', {name: 'Pause queue default'}).click();
  go();
  await reads(page, '#said', /Pause this queue: done/);
  assert.match(await page.locator('#ask-text').innerText(), /^default\./);
  assert.ok(await page.locator('#ask-yes').isEnabled());
  await answer(false);
  assert.notEqual(await paused('bulk'), null);
  assert.equal(await paused('default'), null);
});

test('everything can be done by keyboard', async () => {
  const focused = () => page.evaluate(() => document.activeElement.getAttribute('aria-label') || document.activeElement.id ||
                                            document.activeElement.textContent);
  await page.locator('#queues-filter').focus();
  for (let i = 0; i < 12 && await focused() !== 'Pause queue bulk'; i++) await page.keyboard.press('Tab');
  assert.equal(await focused(), 'Pause queue bulk');
  await page.keyboard.press('Enter');
  assert.equal(await focused(), 'ask-reason');
  await page.keyboard.press('Escape');
  assert.equal(await page.locator('#ask[open]').count(), 0);
  assert.equal(await focused(), 'Pause queue bulk', 'the focus is back where it was');
  await moments(page, 2);
  assert.equal(await focused(), 'Pause queue bulk', 'a moment later too');
  await page.keyboard.press('Enter');
  await page.keyboard.type('by hand');
  await page.keyboard.press('Enter');
  await until(async () => await paused('bulk') === 'by hand', 'the pause');
});
