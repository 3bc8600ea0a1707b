// job: one job's life, as a line of time and in words; what it holds only when asked for.
import {$, button, el, show, text} from './dom.js';
import {bytes, clock, count, exact, money, plural, span, timeOfDay} from './fmt.js';
import {get} from './api.js';
import {confirm} from './ask.js';

const EVERY_MS = 2500; // how often a job that has not ended is looked at again
let here = null; // {queue, id, drawn: what is on the page, reveal: its payload's place, timer}

const ENDED = new Set(['succeeded', 'failed', 'expired', 'cancelled']);

function parse(json) {
  try {
    return JSON.parse(json);
  } catch (e) {
    return null; // longer than what is shown of it
  }
}

// spans turns what is known into stretches of time: {from, to, kind, text}, the first first.
export function spans(j, now) {
  const result = parse(j.result) || {}, calls = [...j.calls].reverse();
  const born = Number(j.job.created || result.created || (calls[0] && calls[0].started) || 0);
  const end = Number(result.finished || 0), out = [];
  let at = born;
  for (const c of calls) {
    if (c.started > at) out.push({from: at, to: c.started, kind: 'wait', text: 'waited'});
    const kind = c.verdict === 'done' ? 'ok' : c.verdict === 'throttle' || c.verdict === 'pause_pool' ? 'throttle' : 'bad';
    out.push({from: c.started, to: c.ended, kind, call: c});
    at = Math.max(at, c.ended);
  }
  if (!out.length && result.started && end) {
    out.push({from: born, to: result.started, kind: 'wait', text: 'waited'});
    out.push({from: result.started, to: end, kind: result.status === 'succeeded' ? 'ok' : 'bad',
              text: 'from its first call to its result'});
  } else if (!end && born) {
    out.push({from: at, to: now, kind: 'wait', text: j.due ? 'waits' : 'goes on'});
  }
  return out.filter(s => s.to >= s.from);
}

function line(all) {
  const from = all[0].from, to = Math.max(...all.map(s => s.to), from + 1);
  const box = el('div', {class: 'life', 'aria-hidden': 'true'});
  for (const s of all) {
    const part = el('i', {class: s.kind, title: span(s.to - s.from)});
    part.style.left = ((s.from - from) / (to - from) * 100).toFixed(2) + '%';
    part.style.width = `max(3px, ${((s.to - s.from) / (to - from) * 100).toFixed(2)}%)`;
    box.append(part);
  }
  return el('div', null, box, el('div', {class: 'line small dim num'}, timeOfDay(from),
    el('span', {class: 'spacer'}), span(to - from), el('span', {class: 'spacer'}), timeOfDay(to)));
}

const VERDICT = {done: 'answered', retry: 'it is tried again', throttle: 'throttled: not counted as an attempt',
                 pause_pool: 'the account’s trouble: the pool shut, the job waits', bury: 'failed for good'};

function step(s) {
  const li = el('li', {class: s.kind});
  if (!s.call) {
    li.append(el('b', null, `${s.text} `), span(s.to - s.from));
    return li;
  }
  const c = s.call;
  li.append(el('b', null, `Call: ${c.status || 'no answer'} `), `after ${span(c.ended - c.started)}; `,
            VERDICT[c.verdict] || c.verdict, c.error ? ` (${c.error})` : '');
  if (c.output_tokens !== null)
    li.append(el('span', {class: 'dim'}, ` ${count(c.input_tokens)} tokens in, ${count(c.output_tokens)} out`));
  return li;
}

function fact(list, name, value, title) {
  if (value === null || value === undefined || value === '') return;
  list.append(el('div', null, el('dt', null, name), el('dd', {class: 'num', title}, String(value))));
}

function facts(j, result) {
  const f = el('dl', {class: 'facts'}), h = j.job, usage = result.usage || {};
  fact(f, 'State', result.status || h.state);
  fact(f, 'Created', clock(Number(h.created || result.created)), exact(h.created || result.created));
  fact(f, 'Due', j.due && clock(Number(j.due)), exact(j.due));
  fact(f, 'Lease until', j.lease_until && clock(Number(j.lease_until)), exact(j.lease_until));
  fact(f, 'Attempts', h.attempts ?? result.attempts);
  fact(f, 'Throttled', h.throttles ?? result.throttles);
  fact(f, 'Recoveries', h.recoveries);
  fact(f, 'Worker', h.worker || result.worker);
  fact(f, 'Model', result.model);
  fact(f, 'Stopped by', result.stop_reason);
  fact(f, 'Tokens in', usage.input_tokens !== undefined ? count(usage.input_tokens) : '');
  fact(f, 'Tokens out', usage.output_tokens !== undefined ? count(usage.output_tokens) : '');
  fact(f, 'Cost', result.cost_usd ? money(result.cost_usd) : '');
  fact(f, 'Last status', h.last_status);
  fact(f, 'Last error', h.last_error);
  fact(f, 'Error', result.error && `${result.error.type}: ${result.error.message}`);
  fact(f, 'Request id', result.request_id || (result.error && result.error.request_id));
  fact(f, 'Cause of death', h.cause);
  return f;
}

async function showPayload(box) {
  const j = await get('job', {queue: here.queue, id: here.id, payload: 1});
  const part = (title, body, all) => body && box.append(el('h4', null, title, el('small', null,
    body.length < all ? ` the first ${bytes(body.length)} of ${bytes(all)}` : ` ${bytes(all)}`)),
    el('pre', {tabindex: '0'}, body));
  box.replaceChildren();
  part('Payload', j.payload, j.payload_bytes);
  part('Result', j.result, j.result_bytes);
  if (!box.childNodes.length) box.append(el('p', {class: 'dim'}, 'Nothing is kept of it any more.'));
}

function actions(j, result) {
  const box = el('div', {class: 'row-end acts'}), {queue, id} = here;
  const dead = j.job.state === 'dead', ended = ENDED.has(result.status) && !dead;
  if (dead)
    for (const [what, label] of [['retry', 'Retry'], ['drop', 'Drop']])
      box.append(button(label, () => confirm({title: `${label} this dead job?`, text: id, yes: label,
        danger: what === 'drop', path: 'dead/' + what, body: {queue, ids: [id]}, then: reopen}),
        {class: 'act' + (what === 'drop' ? ' danger' : '')}));
  else if (!ended)
    box.append(button('Cancel this job', () => confirm({title: 'Cancel this job?', yes: 'Cancel the job', no: 'Keep it',
      text: `${id}. A call under way is aborted; its result will say cancelled.`, danger: true,
      path: 'cancel', body: {queue, id}, then: reopen}), {class: 'act danger'}));
  return box;
}

function reopen() {
  again(600);
}

// again looks once more after a time; what has not changed is not drawn anew, so the focus stays.
function again(ms) {
  if (!here) return;
  clearTimeout(here.timer);
  here.timer = setTimeout(() => here && load(), ms);
}

function draw(j) {
  const result = parse(j.result) || {}, all = spans(j, Date.now());
  if (!here.reveal) {
    const reveal = el('div', {class: 'payload'});
    reveal.append(button('Show payload and result',
                         () => showPayload(reveal).catch(e => text(reveal, e.message))));
    here.reveal = reveal;
  }
  $('job-body').replaceChildren(
    ...(all.length ? [line(all), el('ol', {class: 'steps'}, ...all.map(step))] : []),
    facts(j, result), actions(j, result), here.reveal,
    el('p', {class: 'small dim'}, j.calls.length ? `${plural(j.calls.length, 'call')} of this worker; ` +
       'those of other workers are in their logs.' : 'This worker made no call for it lately.'));
}

async function load() {
  const mine = here;
  try {
    const j = await get('job', {queue: mine.queue, id: mine.id});
    if (here !== mine) return;
    const now = JSON.stringify({...j, result_ttl_ms: 0});
    if (now !== mine.drawn) draw(j);
    mine.drawn = now;
    if (!j.result_bytes || j.job.state === 'dead') again(EVERY_MS);
  } catch (e) {
    if (here !== mine) return;
    mine.drawn = '';
    $('job-body').replaceChildren(el('p', {class: 'wrong'}, e.message));
    if (e.status === 404) $('job-body').append(actions({job: {}}, {}));
  }
}

export function openJob(queue, id) {
  if (here) clearTimeout(here.timer);
  here = {queue, id, drawn: '', reveal: null, timer: 0};
  text($('job-h'), id).append(el('small', null, ` ${queue}`));
  $('job-body').replaceChildren(el('p', {class: 'dim'}, 'Asking…'));
  if (!$('job').open) $('job').showModal();
  load();
}

export function startJob() {
  $('job-close').addEventListener('click', () => $('job').close());
  $('job').addEventListener('click', e => { if (e.target === $('job')) $('job').close(); });
  $('job').addEventListener('close', () => {
    if ($('job').open) return; // the event comes late: another job has been asked for since
    if (here) clearTimeout(here.timer);
    here = null;
  });
  $('find').addEventListener('submit', e => {
    e.preventDefault();
    const id = $('find-id').value.trim();
    if (id) openJob($('find-queue').value, id);
  });
}

// offerQueues fills the list beside the search; with very many queues the busiest are enough.
export function offerQueues(o) {
  const list = $('find-queue'), names = o.queues.map(q => q.name);
  if (list.names === names.join()) return;
  const was = list.value;
  list.names = names.join();
  list.replaceChildren(...names.map(n => el('option', {value: n}, n)));
  if (names.includes(was)) list.value = was;
  show(list, names.length > 1);
}
