// Each panel of the dashboard against a state that the test has made.
import assert from 'node:assert/strict';
import {after, before, test} from 'node:test';
import {Fleet, until} from './fleet.mjs';
import {close, moments, open, reads, startBrowser} from './page.mjs';

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser?.close());

async function with_(sim, env, body) {
  const fleet = await Fleet.start(sim);
  try {
    const worker = await fleet.worker(env);
    const page = await open(browser, worker.url);
    await body(fleet, page, worker);
    await close(page);
  } finally {
    await fleet.stop();
  }
}

const jobs = (n, head, more) => Array.from({length: n}, (_, i) => ({id: `${head}-${i}`, prompt: `${head} ${i}`, ...more}));
const panel = async (page, id) => (await page.locator(id).innerText()).replace(/\s+/g, ' ');

test('an idle worker, then work, then its end: the first screen follows', async () => {
  await with_({latency: 700}, {PENSTOCK_CONCURRENCY: 2}, async (fleet, page) => {
    await reads(page, '#headline', /^Idle/);
    await reads(page, '.answer:nth-child(5)', /Nothing/);
    await fleet.push('default', ...jobs(30, 'a'));
    await reads(page, '#headline', /^Working: \d+ jobs left/);
    await reads(page, '.answer:nth-child(1)', /Yes/);
    await reads(page, '.answer:nth-child(2)', /\d+ waiting\s+0 delayed\s+\d+ in flight/);
    await reads(page, '.answer:nth-child(4)', /Concurrency/);
    assert.match(await page.title(), /Working · \d+ left/);
    await fleet.setSim({latency: 1});
    await reads(page, '#headline', /^Idle/);
    await reads(page, '#queues-table', /default\s+idle/);
  });
});

test('the quota is a gauge of each limit, and named where it holds the rest up', async () => {
  await with_({rpm: 30, itpm: 90000, burst_s: 10, latency: 50}, {}, async (fleet, page) => {
    await reads(page, '#pools', /The API has not told its limits/);
    await fleet.push('default', ...jobs(40, 'q'));
    await reads(page, '#pools', /30 a minute/);
    const text = await reads(page, '.answer:nth-child(4)', /quota/i);
    assert.match(text, /30 requests a minute|Opens in/);
    await reads(page, '.gauge:nth-child(1)', /Requests\s+\d+\s+left of \d+/);
    await reads(page, '.gauge:nth-child(2)', /Input tokens[^]+90,000 a minute/);
    const meter = page.locator('.gauge:nth-child(1) [role=meter]');
    assert.ok(Number(await meter.getAttribute('aria-valuemax')) >= 1);
    await until(async () => Number(await meter.getAttribute('aria-valuenow')) >= 1, 'some of it to be used');
  });
});

test('a gate that a 429 shut says why and until when', async () => {
  await with_({}, {}, async (fleet, page) => {
    await fleet.script({status: 429, times: 3, headers: {'retry-after': '40'},
                        body: {type: 'error', error: {type: 'rate_limit_error', message: 'Number of requests'}}});
    await fleet.push('default', ...jobs(3, 't'));
    await reads(page, '.gate', /Shut: the quota is used up\. Opens in \d+ s \(\d\d:\d\d\)/);
    await reads(page, '.answer:nth-child(4)', /The quota\s+Opens in \d+ s/);
    await reads(page, '#headline', /^Waiting: 3 jobs left/);
    await reads(page, '#causes', /429 throttled\s+[1-3]/);
  });
});

test('a refused key stops the work, needs a person, and says so', async () => {
  await with_({}, {}, async (fleet, page) => {
    await fleet.script({preset: 'auth', times: 0});
    await fleet.push('default', ...jobs(2, 'k'));
    await reads(page, '#headline', /^Stopped: the API key is refused\. 2 jobs wait; none is lost\./);
    await reads(page, '.answer:nth-child(5)', /1 thing\s+anthropic:main:claude-sonnet-5: the API key is refused/);
    await reads(page, '.gate', /Shut: the API key is refused\. One call tries again in/);
  });
});

test('delayed jobs stand where they are due, and hold nobody up', async () => {
  await with_({}, {}, async (fleet, page) => {
    await fleet.push('default', ...jobs(3, 'soon', {delay_ms: 200000}), ...jobs(2, 'late', {delay_ms: 90000000}));
    const due = await reads(page, '#due', /in 5 min\s+3/);
    assert.match(due.replace(/\s+/g, ' '), /in 1 h 0 later 2$/);
    await reads(page, '.answer:nth-child(4)', /Start times\s+The next is due in/);
  });
});

test('latency, tokens, money, answers by status and the run are those of the calls', async () => {
  await with_({latency: 60, answer_tokens: 40}, {}, async (fleet, page) => {
    await fleet.script({match: {contains: 'm 3'}, status: 500, body: {}});
    await fleet.push('default', ...jobs(20, 'm', {run: 'night-1'}));
    await reads(page, '#causes', /200 answered\s+20[^]*500 error of the API\s+1/);
    await reads(page, '#runs-list', /night-1[^]+20 of 20 · 100 %/);
    await moments(page, 2);
    const stats = await fleet.r('HGETALL', fleet.key('default', 'stats'));
    const told = name => Number(stats[stats.indexOf(name) + 1]);
    const money = await panel(page, '#money');
    assert.ok(money.includes(`Output tokens ${told('output_tokens')}`), money);
    assert.equal(told('output_tokens'), 800);
    assert.match(money, /Per answer \$0\.\d+/);
    const latency = await panel(page, '#latency');
    assert.match(latency, /Queue wait p50 ?[\d.]+ m?s ?p90.*Whole call p50 ?[\d.]+ m?s/);
    await reads(page, '#calls-table', /m-3\s+default\s+tried again/);
    assert.equal(await page.locator('#charts canvas').count(), 3);
  });
});

test('a job tells its life; its payload only when asked', async () => {
  await with_({latency: 30}, {}, async (fleet, page) => {
    await fleet.script({status: 429, headers: {'retry-after': '1'}, body: {}});
    await fleet.push('default', {id: 'one', prompt: 'a secret of the prompt'});
    await fleet.result('default', 'one');
    await page.locator('#find-id').fill('one');
    await page.locator('#find button').click();
    const life = await reads(page, '#job-body', /Call: 200/);
    assert.match(life, /Call: 429[^]+throttled[^]+waited[^]+Call: 200[^]+tokens in/);
    assert.match(life.replace(/\s+/g, ' '), /State succeeded/);
    assert.match(life.replace(/\s+/g, ' '), /Attempts 1 Throttled 1/);
    assert.ok((await page.locator('.life i').count()) >= 3);
    await fleet.push('default', {id: 'two', prompt: 'a secret of the prompt', delay_ms: 600000});
    await until(() => fleet.r('EXISTS', fleet.key('default', 'job:two')), 'two to be admitted');
    await page.keyboard.press('Escape');
    await page.locator('#find-id').fill('two');
    await page.keyboard.press('Enter');
    await reads(page, '#job-body', /delayed/);
    assert.ok(!(await page.content()).includes('a secret of the prompt'));
    await page.getByRole('button', {name: 'Show payload and result'}).click();
    await reads(page, '#job-body pre', /a secret of the prompt/);
    await page.keyboard.press('Escape');
    await page.locator('#find-id').fill('no-such-job');
    await page.keyboard.press('Enter');
    await reads(page, '#job-body', /no such job/);
    assert.ok(page.faults.every(f => /404|429/.test(f)), page.faults.join());
    page.faults.length = 0;
  });
});

test('a job asked for in the moment in which the window shuts is shown', async () => {
  await with_({}, {}, async (fleet, page) => {
    await fleet.push('default', {id: 'one', prompt: 'x'});
    await fleet.result('default', 'one');
    const find = () => document.getElementById('find').requestSubmit();
    await page.locator('#find-id').fill('one');
    await page.evaluate(find);
    await reads(page, '#job-body', /State\s+succeeded/);
    // The dialog tells of its shutting only afterwards, when the next question is on its way.
    await page.evaluate(() => {
      document.getElementById('job').close();
      document.getElementById('find').requestSubmit();
    });
    await reads(page, '#job-body', /State\s+succeeded/);
    assert.ok(await page.locator('#job').evaluate(d => d.open));
  });
});

test('text from jobs, the API and Redis is shown as text', async () => {
  const evil = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>';
  await with_({}, {PENSTOCK_QUEUES: 'default,other'}, async (fleet, page) => {
    await fleet.script({status: 400, times: 0, body: {type: 'error', error: {type: 'invalid_request_error', message: evil}}});
    await fleet.r('SET', fleet.key('other', 'paused'), evil.slice(0, 80));
    await fleet.push('default', {id: 'e', prompt: evil, meta: {x: evil}, run: 'r.1'}, evil, `{"${evil.replaceAll('"', '')}":1}`);
    await reads(page, '#dead-table', /<img src=x/);
    await reads(page, '#queues-table', /paused <img src=x onerror/);
    await page.locator('#dead-table button', {hasText: /^e$/}).click();
    await page.getByRole('button', {name: 'Show payload and result'}).click();
    await reads(page, '#job-body pre', /<script>window\.hit=1/);
    assert.equal(await page.locator('#board img, dialog img, #board script, dialog script').count(), 0);
    assert.equal(await page.evaluate(() => window.hit), undefined);
    page.faults.splice(0, page.faults.length, ...page.faults.filter(f => !/429/.test(f)));
  });
});

test('a Redis that says nothing is told, and so is its return', async () => {
  await with_({}, {}, async (fleet, page) => {
    await reads(page, '#headline', /^Idle/);
    fleet.redis.kill('SIGSTOP');
    await reads(page, '#headline', /^Stopped: Redis does not answer/);
    await reads(page, '.answer:nth-child(5)', /Redis does not answer/);
    fleet.redis.kill('SIGCONT');
    await reads(page, '#headline', /^Idle/);
  });
});

test('a worker that hangs is told from one that lives', async () => {
  await with_({}, {}, async (fleet, page, worker) => {
    await reads(page, '#live', /live/);
    worker.child.kill('SIGSTOP');
    await reads(page, '#live', /no news for/);
    assert.ok(await page.locator('body.stale').count());
    worker.child.kill('SIGCONT');
    await reads(page, '#live', /live/);
    page.faults.length = 0;
  });
});
