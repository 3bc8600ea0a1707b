// tables: queues, workers, runs and the latest calls.
import {$, button, cls, el, keyed, row, show, table, text, width} from './dom.js';
import {clock, count, exact, money, percent, plural, span, timeOfDay, wait} from './fmt.js';
import {get} from './api.js';
import {runProgress} from './judge.js';
import {confirm} from './ask.js';
import {openJob} from './job.js';

// --------------------------------------------------------------------------------- queues

const QUEUE_COLUMNS = [
  {name: 'queue', label: 'Queue'},
  {name: 'state', label: 'State'},
  {name: 'waiting', label: 'Waiting', num: true},
  {name: 'delayed', label: 'Delayed', num: true},
  {name: 'active', label: 'In flight', num: true},
  {name: 'dead', label: 'Dead', num: true},
  {name: 'succeeded', label: 'Answered', num: true},
  {name: 'share', label: 'Share: got / wanted', num: true,
   title: 'Of this worker’s answers, and what the weight entitles to'},
  {name: 'act', label: ''},
];
const PAGE = 50;
const search = {filter: '', first: 0, rows: null, at: 0};

function askQueue(q) {
  confirm(q.paused
    ? {title: 'Resume this queue?', text: `${q.name}. Workers take from it again within a second.`,
       yes: 'Resume', path: 'queues/resume', body: {queue: q.name}}
    : {title: 'Pause this queue?', text: `${q.name}. Workers take nothing from it until someone resumes it. ` +
       'Calls under way end as usual; no job is lost.',
       yes: 'Pause', path: 'queues/pause', body: {queue: q.name}, reason: true});
}

function makeQueue() {
  const tr = row(QUEUE_COLUMNS);
  tr.button = button('', () => askQueue(tr.last), {class: 'act'});
  tr.c.act.append(tr.button);
  tr.state = el('span', {class: 'tag'});
  tr.why = el('small', {class: 'dim'});
  tr.c.state.append(tr.state, tr.why);
  tr.got = el('i');
  tr.mark = el('em');
  tr.words = el('span', {class: 'num'});
  tr.c.share.classList.add('share-cell');
  tr.c.share.append(el('span', {class: 'share'}, tr.got, tr.mark), tr.words);
  return tr;
}

function stateOfQueue(q) {
  if (q.refused) return ['bad', 'newer version'];
  if (q.paused) return ['wait', 'paused'];
  if (q.active || q.waiting) return ['ok', 'working'];
  return q.delayed ? ['', 'delayed'] : ['', 'idle'];
}

function fillQueue(tr, q) {
  const [state, word] = stateOfQueue(q);
  tr.last = q;
  text(tr.c.queue, q.name);
  for (const name of ['waiting', 'delayed', 'active', 'dead', 'succeeded']) {
    text(tr.c[name], count(q[name]));
    tr.c[name].classList.toggle('zero', !q[name]);
  }
  tr.c.dead.classList.toggle('bad', q.dead > 0);
  cls(tr.state, 'tag ' + state);
  text(tr.state, word);
  text(tr.why, q.paused && q.why_paused ? ` ${q.why_paused}` : '');
  width(tr.got, q.share_got);
  tr.mark.style.left = (q.share_wanted * 100).toFixed(1) + '%';
  text(tr.words, `${percent(q.share_got)} / ${percent(q.share_wanted)}`);
  text(tr.button, q.paused ? 'Resume' : 'Pause');
  tr.button.setAttribute('aria-label', `${q.paused ? 'Resume' : 'Pause'} queue ${q.name}`);
}

// The overview has the queues that need a look. A filter, or a further page, is asked for.
async function askQueues() {
  const wanted = {filter: search.filter, first: search.first};
  search.at = Date.now();
  const {queues} = await get('queues', {...wanted, limit: PAGE}).catch(() => ({queues: []}));
  if (wanted.filter === search.filter && wanted.first === search.first) search.rows = queues;
  drawQueues();
}

let seen = null;
function drawQueues() {
  if (!seen) return;
  const asked = search.filter || search.first > 0 || search.all;
  const rows = asked ? search.rows || [] : seen.queues;
  const body = table($('queues-table'), QUEUE_COLUMNS);
  keyed(body, rows, q => q.name, makeQueue, fillQueue);
  const some = rows.length < seen.queue_count && !asked;
  text($('queues-note'), plural(seen.queue_count, 'queue') + (some
    ? `; shown: the ${rows.length} most in need of a look` : asked && !rows.length ? '; none fits' : ''));
  const pages = $('queues-pages');
  if (!pages.made) {
    pages.made = {
      all: button('All by name', () => turn(0, true)), few: button('Most in need of a look', () => turn(0, false)),
      back: button('Back', () => turn(search.first - PAGE, true)),
      on: button('Further', () => turn(search.first + PAGE, true)), where: el('span', {class: 'dim num'})};
    pages.append(...Object.values(pages.made));
  }
  const p = pages.made;
  show(p.all, !asked && some);
  show(p.few, Boolean(asked) && !search.filter);
  show(p.back, Boolean(asked) && search.first > 0);
  show(p.on, Boolean(asked) && rows.length === PAGE);
  text(p.where, asked && rows.length ? `${search.first + 1} to ${search.first + rows.length}` : '');
}

function turn(first, all) {
  Object.assign(search, {first: Math.max(0, first), all, rows: null});
  if (all) askQueues();
  else drawQueues();
}

export function startQueues() {
  $('queues-filter').addEventListener('input', e => {
    Object.assign(search, {filter: e.target.value.trim(), first: 0, rows: null});
    if (search.filter || search.all) askQueues();
    else drawQueues();
  });
}

export function showQueues(o) {
  seen = o;
  const asked = search.filter || search.first > 0 || search.all;
  if (asked && Date.now() - search.at > 1900) askQueues();
  else drawQueues();
}

// --------------------------------------------------------------------------------- workers

const WORKER_COLUMNS = [
  {name: 'worker', label: 'Worker'}, {name: 'state', label: 'State'},
  {name: 'calls', label: 'Calls', num: true}, {name: 'seen', label: 'Seen', num: true},
  {name: 'up', label: 'Up', num: true}, {name: 'queues', label: 'Queues'}, {name: 'version', label: 'Version'},
];

function makeWorker() {
  const tr = row(WORKER_COLUMNS);
  tr.state = el('span', {class: 'tag'});
  tr.c.state.append(tr.state);
  tr.c.queues.classList.add('clip');
  return tr;
}

export function showWorkers(o) {
  const alive = o.workers.filter(w => w.alive).length, silent = o.workers.length - alive;
  const useful = o.totals.useful_workers;
  text($('workers-note'), `${count(alive)} alive${silent ? `, ${silent} silent` : ''}` +
       (useful > 0 ? `; quota and backlog keep ${count(useful)} busy` : ''));
  const sorted = [...o.workers].sort((a, b) => a.alive - b.alive || b.self - a.self || (a.id < b.id ? -1 : 1));
  keyed(table($('workers-table'), WORKER_COLUMNS), sorted, w => w.id, makeWorker, (tr, w) => {
    text(tr.c.worker, w.id);
    cls(tr.state, 'tag ' + (w.alive ? 'ok' : 'bad'));
    text(tr.state, !w.alive ? 'silent' : w.self ? 'this one' : 'alive');
    text(tr.c.calls, count(w.in_flight));
    text(tr.c.seen, w.self ? 'now' : wait(Math.max(0, o.now - w.seen)));
    text(tr.c.up, w.started ? span(o.now - w.started) : '–');
    text(tr.c.queues, w.queues);
    if (tr.c.queues.title !== w.queues) tr.c.queues.title = w.queues;
    text(tr.c.version, w.version);
  });
}

// --------------------------------------------------------------------------------- runs

function makeRun(r) {
  const node = el('article', {class: 'run'});
  node.name = el('b', null, r.name);
  node.sum = el('span', {class: 'num'});
  node.ok = el('i', {class: 'ok'});
  node.bad = el('i', {class: 'bad'});
  node.notes = el('span', {class: 'small dim num'});
  node.cancel = button('Cancel', () => askRun(r), {class: 'act', 'aria-label': `Cancel run ${r.name} of queue ${r.queue}`});
  node.append(el('div', {class: 'line'}, node.name, el('small', {class: 'dim'}, ' ' + r.queue),
                 el('span', {class: 'spacer'}), node.sum),
              el('div', {class: 'track'}, node.ok, node.bad),
              el('div', {class: 'line'}, node.notes, el('span', {class: 'spacer'}), node.cancel));
  return node;
}

function askRun(r) {
  confirm({title: 'Cancel this run?', danger: true, yes: 'Cancel the run', no: 'Keep it', path: 'runs/cancel',
           body: {queue: r.queue, run: r.name},
           text: `${r.name}, in queue ${r.queue}. Every job of it that has not ended is cancelled, calls under way too. ` +
                 'This cannot be undone. Jobs of it that are pushed later are not cancelled.'});
}

// cancelWords: how far the cancelling of a run has come; '' where it is another run's, or none's.
function cancelWords(k, r) {
  if (!k || k.run !== r.name || k.queue !== r.queue) return '';
  const asked = plural(k.asked, 'job');
  if (k.error) return `cancelling stopped after ${asked}: ${k.error}`;
  const rest = k.unnamed ? `; ${count(k.unnamed)} that wait have no id yet: cancel again in a while` : '';
  return k.done ? `${asked} cancelled${rest}` : `cancelling: ${asked} so far, ${count(k.looked)} looked at`;
}

export function showRuns(o) {
  const runs = [...o.runs].sort((a, b) => b.updated - a.updated);
  text($('runs-note'), runs.length ? 'the latest' : '');
  if (!runs.length) {
    keyed($('runs-list'), ['none'], k => k, () => el('p', {class: 'dim'},
      'No run. Jobs pushed with a name in “run” are counted here.'), () => {});
    return;
  }
  keyed($('runs-list'), runs, r => r.queue + '/' + r.name, makeRun, (node, r) => {
    const bad = r.failed + r.expired + r.cancelled, p = runProgress(r, o.queues.find(q => q.name === r.queue));
    text(node.sum, p.text);
    width(node.ok, r.succeeded / p.all);
    width(node.bad, bad / p.all);
    const cancelled = cancelWords(o.cancelling, r);
    text(node.notes, `${cancelled ? cancelled + ' · ' : ''}${bad ? `${count(bad)} without an answer · ` : ''}` +
         `${count(r.input_tokens)} tokens in, ${count(r.output_tokens)} out · ${money(r.cost_usd)} · ` +
         `changed ${clock(r.updated, o.now)}`);
  });
}

// --------------------------------------------------------------------------------- latest calls

const CALL_COLUMNS = [
  {name: 'job', label: 'Job'}, {name: 'queue', label: 'Queue'}, {name: 'verdict', label: 'Then'},
  {name: 'status', label: 'Status', num: true}, {name: 'took', label: 'Took', num: true},
  {name: 'tokens', label: 'Tokens in / out', num: true}, {name: 'ended', label: 'Ended', num: true},
];
const VERDICTS = {done: ['ok', 'answered'], retry: ['bad', 'tried again'], throttle: ['wait', 'throttled'],
                  pause_pool: ['wait', 'pool shut'], expire: ['bad', 'expired'], bury: ['bad', 'failed']};

export async function askCalls() {
  const {calls} = await get('calls').catch(() => ({calls: []}));
  const body = table($('calls-table'), CALL_COLUMNS);
  if (!calls.length) {
    keyed(body, ['none'], k => k, () => el('tr', null, el('td', {colspan: CALL_COLUMNS.length, class: 'dim'},
      'No call yet.')), () => {});
    return;
  }
  keyed(body, calls, c => `${c.queue}/${c.job}/${c.started}/${c.ended}`, c => {
    const tr = row(CALL_COLUMNS), [state, word] = VERDICTS[c.verdict] || ['', c.verdict];
    text(tr.c.ended, timeOfDay(c.ended)).title = exact(c.ended);
    tr.c.job.append(button(c.job, () => openJob(c.queue, c.job), {class: 'link'}));
    text(tr.c.queue, c.queue);
    text(tr.c.status, c.status || 'none');
    tr.c.verdict.append(el('span', {class: 'tag ' + state}, word));
    if (c.error) tr.c.verdict.append(el('small', {class: 'dim'}, ' ' + c.error));
    text(tr.c.took, span(c.ended - c.started));
    text(tr.c.tokens, c.output_tokens === null ? '–' : `${count(c.input_tokens)} / ${count(c.output_tokens)}`);
    return tr;
  }, () => {});
}
