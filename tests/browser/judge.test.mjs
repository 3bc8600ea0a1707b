// What the first screen says of given numbers. No browser: judge.js and fmt.js are pure.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as judge from '../../worker/admin/assets/judge.js';
import * as fmt from '../../worker/admin/assets/fmt.js';

const NOW = Date.UTC(2026, 10, 24, 12);

function overview({totals = {}, worker = {}, pools = [], queues = [{}], workers = [{}], ...more} = {}) {
  const queue = {name: 'default', paused: false, refused: false, dead: 0, next_due: null};
  return {
    now: NOW, queue_count: queues.length, runs: [],
    worker: {mode: 'working', redis_up: true, in_flight: 0, concurrency: 64, ...worker},
    totals: {waiting: 0, delayed: 0, active: 0, dead: 0, queues_paused: 0, finished_s: 0, failed_s: 0,
             throttles_s: 0, tokens_s: 0, cost_s: 0, cost_usd: 0, succeeded: 0, eta_ms: 0, useful_workers: 1,
             due: [0, 0, 0, 0, 0, 0, 0, 0], ...totals},
    pools, queues: queues.map(q => ({...queue, ...q})),
    workers: workers.map((w, i) => ({id: 'w' + i, alive: true, ...w})), ...more};
}

function pool(more = {}) {
  return {name: 'anthropic:main:m', open: true, cause: '', why: '', opens_in_ms: 0, calls: 0, quota: {
    requests: {limit_per_minute: 60, capacity: 60, left: 50, used: 10, per_call: 1, full_in_ms: 10000}}, ...more};
}

const busy = {waiting: 1000, active: 20, finished_s: 2, eta_ms: 510000};

test('an idle fleet is idle, done and in need of nobody', () => {
  const o = overview({pools: [pool()]});
  assert.equal(judge.working(o).value, 'Idle');
  assert.equal(judge.done(o).value, 'Now');
  assert.equal(judge.heldUp(o).value, 'Nothing');
  assert.deepEqual(judge.needs(o), []);
  assert.match(judge.headline(o).text, /^Idle/);
});

test('a fleet at work says how many are left and when it is done', () => {
  const o = overview({totals: busy, pools: [pool()]});
  assert.equal(judge.working(o).state, 'ok');
  assert.equal(judge.left(o).value, '1,020');
  assert.match(judge.headline(o).text, /^Working: 1,020 jobs left, done in 9 min\.$/);
});

test('an empty bucket is named as what holds the rest up', () => {
  const p = pool({quota: {requests: {limit_per_minute: 60, capacity: 60, left: 1, used: 59, per_call: 1},
                          input: {limit_per_minute: 900000, capacity: 900000, left: 880000, used: 0, per_call: 100}}});
  const held = judge.heldUp(overview({totals: busy, pools: [p]}));
  assert.equal(held.value, 'Request quota');
  assert.match(held.note, /60 requests a minute, 1 left now/);
});

test('of several limits the one that allows the fewest calls binds', () => {
  const p = pool({quota: {requests: {limit_per_minute: 600, per_call: 1}, output: {limit_per_minute: 8000, per_call: 400},
                          input: {limit_per_minute: 40000, per_call: 100}}});
  assert.equal(judge.binding(p).kind, 'output');
});

test('a limit of one’s own binds where it is the smaller one, and is named as such', () => {
  const p = pool({overrides: {requests: 30}});
  assert.deepEqual([judge.binding(p).calls, judge.binding(p).own], [30, true]);
  assert.equal(judge.binding(pool({overrides: {requests: 90}})).own, false);
  assert.equal(judge.binding(pool({quota: {}, overrides: {requests: 90}})).calls, 90);
  const held = judge.heldUp(overview({totals: {...busy, finished_s: 0.49}, pools: [p]}));
  assert.equal(held.value, 'Your limit');
});

test('a shut quota waits by itself; a refused key needs a person', () => {
  const quota = overview({totals: {waiting: 5, eta_ms: 60000}, pools: [pool({open: false, cause: 'quota', opens_in_ms: 12000})]});
  assert.equal(judge.working(quota).value, 'Waiting');
  assert.deepEqual(judge.needs(quota), []);
  assert.match(judge.gate(quota.pools[0], NOW).text, /quota is used up\. Opens in 12 s/);
  const auth = overview({totals: {waiting: 5, eta_ms: null}, pools: [pool({open: false, cause: 'auth', opens_in_ms: 60000})]});
  assert.equal(judge.working(auth).value, 'No');
  assert.equal(judge.needs(auth)[0].to, 'quota');
  assert.match(judge.headline(auth).text, /^Stopped: the API key is refused\. 5 jobs wait; none is lost\.$/);
});

test('one refused pool of two stops half of the work, and says so', () => {
  const o = overview({totals: busy, pools: [pool(), pool({name: 'p2', open: false, cause: 'spend', opens_in_ms: 9e5})]});
  assert.equal(judge.working(o).value, 'Yes');
  assert.equal(judge.heldUp(o).value, 'Spend limit');
  assert.equal(judge.headline(o).state, 'wait');
});

test('every cause of the contract has words', () => {
  for (const cause of ['quota', 'overload', 'spend', 'auth', 'billing', 'permission', 'budget', 'paused']) {
    assert.ok(judge.CAUSES[cause], cause);
    assert.match(judge.gate(pool({open: false, cause, opens_in_ms: 1000}), NOW).text, /^Shut: /);
  }
});

test('Redis away, a drain and paused queues stop the work', () => {
  for (const worker of [{redis_up: false}, {redis_up: true, ready: false}]) { // the other is there and says nothing
    assert.match(judge.headline(overview({worker})).text, /Redis does not answer/);
    assert.equal(judge.heldUp(overview({worker})).value, 'Redis');
    assert.equal(judge.needs(overview({worker}))[0].text, 'Redis does not answer');
  }
  assert.match(judge.headline(overview({worker: {mode: 'draining'}})).text, /draining/);
  const o = overview({totals: {waiting: 3, queues_paused: 1, eta_ms: null}, queues: [{paused: true}]});
  assert.match(judge.headline(o).text, /its queue is paused/);
  assert.equal(judge.done(o).value, 'Not known');
});

test('dead jobs, paused queues, silent workers and refused queues need a person', () => {
  const o = overview({totals: {...busy, dead: 2, queues_paused: 1}, pools: [pool()],
                      queues: [{paused: true}, {refused: true}, {}], workers: [{}, {alive: false}]});
  assert.deepEqual(judge.needs(o).map(n => n.to), ['queues', 'dead', 'queues', 'workers']);
});

test('more workers are asked for only where this one is full', () => {
  const full = overview({totals: {...busy, useful_workers: 4}, worker: {in_flight: 64}});
  assert.match(judge.needs(full)[0].text, /3 more workers/);
  assert.deepEqual(judge.needs(overview({totals: {...busy, useful_workers: 4}})), []);
});

test('jobs with a start time wait for it', () => {
  const o = overview({totals: {delayed: 4, eta_ms: 90000}, queues: [{next_due: NOW + 90000}]});
  assert.equal(judge.heldUp(o).value, 'Start times');
  assert.match(judge.heldUp(o).note, /2 min/);
});

test('what the rest costs is reckoned from the mean of the answers', () => {
  const c = judge.cost(overview({totals: {...busy, succeeded: 100, cost_usd: 0.5, cost_s: 0.01}}));
  assert.equal(c.each, 0.005);
  assert.equal(c.hour, 36);
  assert.equal(c.toGo.toFixed(2), '5.10');
  assert.equal(judge.cost(overview({totals: {...busy, succeeded: 100}})).toGo, null);
});

test('a run is not nearly done while its queue is full of what may be its jobs', () => {
  const r = {admitted: 371, succeeded: 358, failed: 2, expired: 0, cancelled: 0};
  assert.deepEqual(judge.runProgress(r, {waiting: 1527}), {all: 1898, text: '360 ended · 11 to 1,538 left'});
  assert.deepEqual(judge.runProgress(r, {waiting: 0}), {all: 371, text: '360 of 371 · 97 %'});
  assert.equal(judge.runProgress({...r, admitted: 360}, {waiting: 1527}).text, '360 of 360 · 100 %');
  assert.equal(judge.runProgress(r, undefined).text, '360 of 371 · 97 %');
});

test('numbers and times are said as a person says them', () => {
  assert.deepEqual([0, 999, 1e6, 1234567, null].map(fmt.count), ['0', '999', '1.00 M', '1.23 M', '–']);
  assert.deepEqual([12, 1500, 65000, 5400000, 86400000, 3 * 86400000].map(fmt.span),
                   ['12 ms', '1.5 s', '65 s', '1 h 30 min', '24 h 00 min', '3 d 0 h']);
  assert.deepEqual([0, 0.0051, 0.5, 12.3, 12345].map(fmt.money), ['$0.00', '$0.0051', '$0.500', '$12.30', '$12,345']);
  assert.deepEqual([0, 0.004, 0.4, 1].map(fmt.percent), ['0 %', '<1 %', '40 %', '100 %']);
  assert.equal(fmt.span(3599999 + 3600000), '2 h 00 min');
});
