// dead: the jobs that need a person, by cause, with retry and drop.
import {$, button, cls, el, keyed, row, show, table, text} from './dom.js';
import {clock, count, exact, plural} from './fmt.js';
import {get} from './api.js';
import {confirm} from './ask.js';
import {openJob} from './job.js';

const COLUMNS = [
  {name: 'pick', label: ''}, {name: 'job', label: 'Job'}, {name: 'cause', label: 'Cause'},
  {name: 'error', label: 'What was said'}, {name: 'status', label: 'Status', num: true},
  {name: 'attempts', label: 'Attempts', num: true}, {name: 'died', label: 'Died', num: true},
];
const EVERY_MS = 10000, MOST = 100;
const view = {queue: '', cause: '', jobs: [], picked: new Set(), asked: 0, count: -1, total: 0};

async function ask() {
  view.asked = Date.now();
  const queue = view.queue;
  const said = await get('dead', {queue, first: 0, limit: MOST}).catch(() => null);
  if (!said || queue !== view.queue) return;
  view.jobs = said.jobs;
  view.total = said.count;
  const ids = new Set(view.jobs.map(j => j.id));
  for (const id of view.picked) if (!ids.has(id)) view.picked.delete(id);
  draw();
}

function shown() {
  return view.jobs.filter(j => !view.cause || j.cause === view.cause);
}

function drawCauses() {
  const sums = {};
  for (const j of view.jobs) sums[j.cause || 'unknown'] = (sums[j.cause || 'unknown'] || 0) + 1;
  const all = Object.entries(sums).sort((a, b) => b[1] - a[1]);
  if (view.cause && !sums[view.cause]) view.cause = '';
  const chips = all.length > 1 ? [['', view.jobs.length], ...all] : all;
  keyed($('dead-causes'), chips, c => 'c' + c[0], ([cause]) => {
    const chip = button('', () => { view.cause = cause; draw(); }, {class: 'chip'});
    chip.n = el('b', {class: 'num'});
    chip.append(`${cause || 'All'} `, chip.n);
    return chip;
  }, (chip, [cause, n]) => {
    text(chip.n, count(n));
    chip.setAttribute('aria-pressed', String(view.cause === cause || (all.length === 1 && !view.cause)));
  });
}

function makeRow(j) {
  const tr = row(COLUMNS);
  tr.pick = el('input', {type: 'checkbox', 'aria-label': `Choose ${j.id}`});
  tr.pick.addEventListener('change', () => {
    if (tr.pick.checked) view.picked.add(j.id);
    else view.picked.delete(j.id);
    drawActs();
  });
  tr.c.pick.append(tr.pick);
  tr.c.job.append(button(j.id, () => openJob(view.queue, j.id), {class: 'link'}));
  tr.c.cause.append(el('span', {class: 'tag bad'}, j.cause || 'unknown'));
  text(tr.c.error, j.error);
  tr.c.error.classList.add('said-error');
  text(tr.c.status, j.status || '–');
  text(tr.c.attempts, j.attempts || '0');
  text(tr.c.died, clock(Number(j.died))).title = exact(j.died);
  return tr;
}

function askDead(what) {
  const ids = chosen();
  const retry = what === 'retry';
  confirm({
    title: `${retry ? 'Retry' : 'Drop'} ${plural(ids.length, 'dead job')}?`,
    text: retry ? `Queue ${view.queue}. Each is run again from the start, its attempts counted anew.`
                : `Queue ${view.queue}. Their payloads are deleted; this cannot be undone.`,
    yes: retry ? 'Retry' : 'Drop', danger: !retry, path: 'dead/' + what, body: {queue: view.queue, ids},
    then: () => { view.picked.clear(); ask(); },
  });
}

function chosen() {
  return shown().filter(j => view.picked.has(j.id)).map(j => j.id);
}

function drawActs() {
  const acts = $('dead-acts');
  if (!acts.made) {
    acts.made = {
      all: button('', () => {
        const on = chosen().length < shown().length;
        for (const j of shown()) if (on) view.picked.add(j.id); else view.picked.delete(j.id);
        draw();
      }),
      retry: button('', () => askDead('retry'), {class: 'act'}),
      drop: button('', () => askDead('drop'), {class: 'act danger'}),
      note: el('span', {class: 'dim num'})};
    acts.append(...Object.values(acts.made));
  }
  const n = chosen().length, m = acts.made;
  show(acts, shown().length > 0);
  text(m.all, n < shown().length ? `Choose all ${count(shown().length)} shown` : 'Choose none');
  text(m.retry, n ? `Retry ${count(n)}` : 'Retry');
  text(m.drop, n ? `Drop ${count(n)}` : 'Drop');
  m.retry.disabled = m.drop.disabled = !n;
  text(m.note, view.total > view.jobs.length ? `the latest ${view.jobs.length} of ${count(view.total)}` : '');
}

function draw() {
  drawCauses();
  const body = table($('dead-table'), COLUMNS);
  keyed(body, shown(), j => j.id + j.died, makeRow, (tr, j) => { tr.pick.checked = view.picked.has(j.id); });
  drawActs();
}

export function refreshDead() {
  view.asked = 0;
}

export function showDead(o) {
  const sick = o.queues.filter(q => q.dead > 0).sort((a, b) => b.dead - a.dead);
  cls($('dead'), 'card' + (o.totals.dead ? ' has-dead' : ''));
  text($('dead-note'), o.totals.dead ? `${count(o.totals.dead)} in ${plural(sick.length, 'queue')}` : 'none');
  show($('dead-queue'), sick.length > 0);
  keyed($('dead-queue'), sick, q => q.name, q => el('option', {value: q.name}),
        (node, q) => text(node, `${q.name} (${count(q.dead)})`));
  if (!sick.some(q => q.name === view.queue)) {
    Object.assign(view, {queue: sick.length ? sick[0].name : '', cause: '', jobs: [], total: 0, count: -1});
    view.picked.clear();
    draw();
  }
  if ($('dead-queue').value !== view.queue) $('dead-queue').value = view.queue;
  const here = sick.find(q => q.name === view.queue);
  if (!here) return;
  const old = Date.now() - view.asked;
  if (old > EVERY_MS || (here.dead !== view.count && old > 1500)) {
    view.count = here.dead;
    ask();
  }
}

export function startDead() {
  $('dead-queue').addEventListener('change', e => {
    Object.assign(view, {queue: e.target.value, cause: '', jobs: [], count: -1, asked: 0});
    view.picked.clear();
    draw();
  });
}
