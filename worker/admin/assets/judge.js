// judge: what the numbers mean. Pure: an overview of the worker goes in, words come out. The five
// answers of the first screen are made here and nowhere else (tests/browser/judge.test.mjs).
import {clock, count, money, percent, plural, rate, span, wait} from './fmt.js';

export const CAUSES = {
  quota: 'the quota is used up',
  overload: 'the API is overloaded',
  spend: 'a spend limit is reached',
  auth: 'the API key is refused',
  billing: 'there is trouble with billing',
  permission: 'the key may not do this',
  budget: 'your budget is reached',
  paused: 'it is paused by a person',
};
const DUE_BY_MS = [0, 1000, 5000, 15000, 60000, 300000, 3600000, Infinity]; // of totals.due
const PASSES = new Set(['quota', 'overload']); // these end by themselves
const OPENS = new Set(['quota', 'overload', 'budget']); // at their time; the others by a call that tries
export const KINDS = {requests: 'requests', input: 'input tokens', output: 'output tokens'};

export function backlog(o) {
  return o.totals.waiting + o.totals.delayed + o.totals.active;
}

export function needsPerson(pool) {
  return !pool.open && !PASSES.has(pool.cause);
}

// binding: the part of a pool's quota that allows the fewest calls a minute; own: an operator's limit.
export function binding(pool) {
  let least = null;
  const own = pool.overrides || {};
  for (const [kind, q] of Object.entries(pool.quota)) {
    const limit = Math.min(q.limit_per_minute, own[kind] || Infinity);
    const calls = limit / Math.max(q.per_call, 1);
    if (!least || calls < least.calls) least = {kind, calls, ...q, limit, own: limit < q.limit_per_minute};
  }
  if (own.requests && (!least || own.requests < least.calls))
    least = {kind: 'requests', calls: own.requests, limit: own.requests, own: true, per_call: 1};
  return least;
}

// spent: a level that leaves no room for more than a call or two.
export function spent(q) {
  return q.left < Math.max(2 * q.per_call, 0.06 * q.capacity);
}

function shutPools(o) {
  return o.pools.filter(p => !p.open);
}

function pausedQueues(o) {
  return o.queues.filter(q => q.paused);
}

// dueNext: ms until the next delayed job; null = none is known.
function dueNext(o) {
  const all = o.queues.map(q => q.next_due).filter(t => t !== null && t > 0);
  return all.length ? Math.max(0, Math.min(...all) - o.now) : null;
}

// redisAway: there is no connection, or nothing has come over it for some seconds.
function redisAway(w) {
  return !w.redis_up || (w.mode === 'working' && w.ready === false);
}

function stopped(o) {
  const w = o.worker;
  if (redisAway(w)) return 'Redis does not answer';
  if (w.mode !== 'working') return 'this worker is draining';
  const shut = o.pools.filter(needsPerson);
  if (shut.length && shut.length === o.pools.length) return CAUSES[shut[0].cause] || shut[0].cause;
  if (o.queue_count > 0 && o.totals.queues_paused === o.queue_count)
    return o.queue_count === 1 ? 'its queue is paused' : 'all queues are paused';
  return '';
}

// --------------------------------------------------------------------------------- the answers

export function working(o) {
  const why = stopped(o), t = o.totals;
  const pace = `${rate(t.finished_s)} a second, ${plural(t.active, 'call')} in flight`;
  if (why) return {state: 'bad', value: 'No', note: why[0].toUpperCase() + why.slice(1)};
  if (!backlog(o)) return {state: 'idle', value: 'Idle', note: 'Ready; nothing is waiting'};
  if (t.active > 0 || t.finished_s >= 0.005) return {state: 'ok', value: 'Yes', note: pace};
  return {state: 'wait', value: 'Waiting', note: heldUp(o).value};
}

export function left(o) {
  const t = o.totals, n = backlog(o);
  return {state: '', value: count(n),
          parts: [['waiting', t.waiting], ['delayed', t.delayed], ['in flight', t.active]]};
}

export function done(o) {
  const eta = o.totals.eta_ms;
  if (!backlog(o)) return {state: 'idle', value: 'Now', note: 'Nothing is left to do'};
  if (eta === null) {
    const why = stopped(o) || 'no pace is known yet';
    return {state: 'wait', value: 'Not known', note: why[0].toUpperCase() + why.slice(1)};
  }
  const later = o.totals.due.reduce((n, due, i) => n + (DUE_BY_MS[i] > Math.max(eta, 60000) ? due : 0), 0);
  const but = (o.totals.queues_paused ? ', without what is paused' : '') +
              (later ? `; ${count(later)} may start later` : '');
  if (eta < 60000) return {state: '', value: '< 1 min', note: 'At this pace' + but};
  return {state: '', value: span(eta), note: `About ${clock(o.now + eta, o.now)}${but}`};
}

function heldByGate(pool, o) {
  const until = pool.cause === 'paused' ? 'Until someone resumes it'
              : `${OPENS.has(pool.cause) ? 'Opens' : 'Tries again'} in ${wait(pool.opens_in_ms)}`;
  const names = {quota: 'The quota', overload: 'The API is overloaded', spend: 'Spend limit',
                 auth: 'API key refused', billing: 'Billing', permission: 'Permission',
                 budget: 'Your budget', paused: 'Pool paused'};
  const which = o.pools.length > 1 ? `${pool.name}: ` : '';
  return {state: PASSES.has(pool.cause) ? 'wait' : 'bad', value: names[pool.cause] || pool.cause,
          note: which + until};
}

// heldByQuota: the bucket is empty; or calls start as fast as it refills; or there is work and room
// for it, and no call starts: the governor lets none.
function heldByQuota(o) {
  const t = o.totals, room = o.worker.in_flight < o.worker.concurrency;
  for (const pool of o.pools) {
    const q = binding(pool);
    if (!q) continue;
    const atPace = o.pools.length === 1 && t.finished_s * 60 > 0.8 * q.calls;
    if ((q.own || !spent(q)) && !(t.waiting > 0 && room && atPace)) continue;
    if (q.own)
      return {state: 'wait', value: 'Your limit',
              note: `${count(q.limit)} ${KINDS[q.kind]} a minute, set by a person`};
    const word = {requests: 'Request', input: 'Input', output: 'Output'}[q.kind];
    return {state: 'wait', value: `${word} quota`,
            note: `${count(q.limit_per_minute)} ${KINDS[q.kind]} a minute, ${count(q.left)} left now`};
  }
  return null;
}

export function heldUp(o) {
  const t = o.totals, why = stopped(o);
  if (redisAway(o.worker)) return {state: 'bad', value: 'Redis', note: 'It does not answer'};
  const shut = shutPools(o).sort((a, b) => needsPerson(b) - needsPerson(a));
  if (shut.length && (backlog(o) || needsPerson(shut[0]))) return heldByGate(shut[0], o);
  if (!backlog(o)) return {state: 'idle', value: 'Nothing', note: 'There is no work'};
  if (why) return {state: 'bad', value: 'Paused', note: why[0].toUpperCase() + why.slice(1)};
  const quota = heldByQuota(o);
  if (quota) return quota;
  if (!t.waiting && !t.active && t.delayed) {
    const due = dueNext(o);
    return {state: 'wait', value: 'Start times',
            note: due === null ? 'All jobs wait for their time' : `The next is due in ${wait(due)}`};
  }
  if (t.waiting > 0 && o.worker.in_flight >= o.worker.concurrency)
    return {state: 'wait', value: 'Concurrency',
            note: `All ${count(o.worker.concurrency)} calls of this worker are in use`};
  return {state: 'ok', value: 'Nothing', note: 'As fast as the API answers'};
}

// needs: what a person should see to, the worst first: {state, text, to: the part of the page}.
export function needs(o) {
  const all = [], t = o.totals, w = o.worker;
  if (redisAway(w)) all.push({state: 'bad', text: 'Redis does not answer', to: 'now'});
  for (const p of o.pools.filter(needsPerson))
    all.push({state: 'bad', text: `${p.name}: ${CAUSES[p.cause] || p.cause}`, to: 'quota'});
  const refused = o.queues.filter(q => q.refused);
  if (refused.length)
    all.push({state: 'bad', text: `${plural(refused.length, 'queue')} of a newer version`, to: 'queues'});
  if (t.dead > 0) all.push({state: 'bad', text: plural(t.dead, 'dead job'), to: 'dead'});
  if (t.queues_paused > 0)
    all.push({state: 'wait', text: `${plural(t.queues_paused, 'queue')} paused`, to: 'queues'});
  const gone = o.workers.filter(x => !x.alive).length;
  if (gone) all.push({state: 'wait', text: `${plural(gone, 'worker')} silent`, to: 'workers'});
  const alive = o.workers.length - gone, more = t.useful_workers - alive;
  if (more > 0 && t.waiting > 0 && w.in_flight >= w.concurrency)
    all.push({state: 'wait', text: `The quota could feed ${plural(more, 'more worker', 'more workers')}`,
              to: 'workers'});
  return all;
}

// headline: everything in one sentence.
export function headline(o) {
  const w = working(o), n = backlog(o), held = heldUp(o), end = done(o);
  if (w.state === 'bad') {
    const rest = n ? ` ${plural(n, 'job')} wait${n === 1 ? 's' : ''}; none is lost.` : '';
    return {state: 'bad', text: `Stopped: ${stopped(o)}.${rest}`};
  }
  if (w.state === 'idle') return {state: 'idle', text: 'Idle: every job is done.'};
  const when = o.totals.eta_ms === null ? '' : `, done in ${end.value.replace('< ', 'less than ')}`;
  const jobs = `${plural(n, 'job')} left${when}`;
  const pausedOnes = pausedQueues(o).length ? `; ${plural(o.totals.queues_paused, 'queue')} paused` : '';
  if (w.state === 'wait') return {state: 'wait', text: `Waiting: ${jobs}${pausedOnes}.`};
  return {state: held.state === 'bad' ? 'wait' : 'ok', text: `Working: ${jobs}${pausedOnes}.`};
}

// gate: the state of a pool's gate in words.
export function gate(p, now) {
  if (p.open && p.breaker) return {state: 'wait', text: 'Open, carefully: the API is overloaded'};
  if (p.open) return {state: 'ok', text: 'Open'};
  const why = CAUSES[p.cause] || p.cause;
  if (p.cause === 'paused')
    return {state: 'bad', text: `Shut: ${why}. It stays so until someone resumes it`};
  const until = `${wait(p.opens_in_ms)} (${clock(now + p.opens_in_ms, now)})`;
  return {state: PASSES.has(p.cause) ? 'wait' : 'bad',
          text: `Shut: ${why}. ${OPENS.has(p.cause) ? 'Opens' : 'One call tries again'} in ${until}`};
}

// runProgress: how far a run has come. Its jobs are counted when they are taken: of what still waits in its
// queue, all or none may be of it, so that then only the bounds can be said.
export function runProgress(r, queue) {
  const ended = r.succeeded + r.failed + r.expired + r.cancelled, all = Math.max(r.admitted, ended, 1);
  const waiting = queue && all > ended ? queue.waiting : 0;
  if (waiting)
    return {all: all + waiting, text: `${count(ended)} ended · ${count(all - ended)} to ${count(all - ended + waiting)} left`};
  return {all, text: `${count(ended)} of ${count(all)} · ${percent(ended / all)}`};
}

// cost: dollars spent, a hour, and what the backlog will come to. null where it cannot be said.
export function cost(o) {
  const t = o.totals, each = t.succeeded > 0 ? t.cost_usd / t.succeeded : null;
  const known = each !== null && each > 0;
  return {spent: t.cost_usd, each: known ? each : null, hour: known ? t.cost_s * 3600 : null,
          toGo: known ? each * backlog(o) : null};
}

export function costRows(o) {
  const t = o.totals, c = cost(o);
  return [
    ['Spent so far', money(c.spent), 'all queues, as long as their counters go back'],
    ['Per answer', c.each === null ? NOT_YET : money(c.each), 'mean'],
    ['Pace', c.hour === null ? NOT_YET : `${money(c.hour)} an hour`, 'now'],
    ['For what is left', c.toGo === null ? NOT_YET : money(c.toGo), 'at the mean'],
    ['Input tokens', count(t.input_tokens), 'cached ones too'],
    ['Output tokens', count(t.output_tokens), ''],
    ['Tokens a second', rate(t.tokens_s), 'now'],
  ];
}
const NOT_YET = '–';
