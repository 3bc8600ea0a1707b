// now: the first screen: the headline, the five answers, and each pool's quota.
import {$, button, cls, el, keyed, show, text, width} from './dom.js';
import {clock, count, money, plural, span, wait} from './fmt.js';
import {KINDS, done, gate, headline, heldUp, left, needs, spent, working} from './judge.js';
import {confirm} from './ask.js';

// --------------------------------------------------------------------------------- the answers

const QUESTIONS = ['Is it working?', 'How much is left?', 'When is it done?', 'What holds it up?',
                   'What needs me?'];

function makeAnswer(question) {
  const node = el('li', {class: 'answer'}, el('h3', null, question));
  node.big = el('p', {class: 'value'});
  node.note = el('p', {class: 'note'});
  node.append(node.big, node.note);
  return node;
}

function fill(node, a) {
  cls(node, 'answer ' + (a.state || ''));
  text(node.big, a.value);
  text(node.note, a.note);
}

// The parts of the backlog as one bar; the words below say what is what.
function fillLeft(node, a) {
  cls(node, 'answer');
  text(node.big, a.value);
  if (!node.bar) {
    node.bar = el('div', {class: 'stack', 'aria-hidden': 'true'});
    node.parts = ['waiting', 'delayed', 'active'].map(c => el('i', {class: c}));
    node.words = ['waiting', 'delayed', 'active'].map(c => el('span', null));
    node.bar.append(...node.parts);
    node.insertBefore(node.bar, node.note);
    node.words.forEach((w, i) => node.note.append(i ? ' ' : '', el('span', {class: 'part'},
      el('i', {class: 'key ' + node.parts[i].className}), w)));
  }
  const sum = Math.max(1, a.parts.reduce((n, p) => n + p[1], 0));
  a.parts.forEach(([word, n], i) => {
    width(node.parts[i], n / sum);
    text(node.words[i], `${count(n)} ${word}`);
  });
}

function fillNeeds(node, all) {
  const worst = all.length ? all[0].state : 'idle';
  fill(node, {state: worst, value: all.length ? plural(all.length, 'thing') : 'Nothing', note: ''});
  if (!node.list) {
    node.list = el('ul', {class: 'needs'});
    node.append(node.list);
  }
  show(node.note, !all.length);
  text(node.note, all.length ? '' : 'You can go');
  keyed(node.list, all.slice(0, 3), a => a.to + a.text, a => {
    const li = el('li');
    li.link = el('a', {href: '#' + a.to});
    li.append(li.link);
    return li;
  }, (li, a) => {
    cls(li, a.state);
    text(li.link, a.text);
  });
}

export function showNow(o) {
  const head = headline(o);
  cls($('headline'), 'headline ' + head.state);
  text($('headline-text'), head.text);
  const title = `${head.text.split(':')[0]} · ${left(o).value} left · Penstock`;
  if (document.title !== title) document.title = title;
  const list = $('answers');
  if (!list.made) {
    list.made = QUESTIONS.map(makeAnswer);
    list.replaceChildren(...list.made);
  }
  const [a, b, c, d, e] = list.made;
  fill(a, working(o));
  fillLeft(b, left(o));
  fill(c, done(o));
  fill(d, heldUp(o));
  fillNeeds(e, needs(o));
}

// --------------------------------------------------------------------------------- the quota

function makeGauge(kind) {
  const node = el('div', {class: 'gauge'});
  node.label = el('span', {class: 'kind'}, KINDS[kind][0].toUpperCase() + KINDS[kind].slice(1));
  node.left = el('b', {class: 'num'});
  node.of = el('span', {class: 'num dim'});
  node.used = el('i', {class: 'used'});
  node.held = el('i', {class: 'held'});
  node.track = el('div', {class: 'track', role: 'meter', 'aria-label': KINDS[kind] + ' used',
                          'aria-valuemin': '0'}, node.used, node.held);
  node.full = el('span', {class: 'dim num'});
  node.limit = el('span', {class: 'dim num'});
  node.append(el('div', {class: 'line'}, node.label, el('span', {class: 'spacer'}), node.left, node.of),
              node.track,
              el('div', {class: 'line small'}, node.limit, el('span', {class: 'spacer'}), node.full));
  return node;
}

function fillGauge(node, q) {
  const reserved = Math.min(q.reserved || 0, q.used);
  cls(node, 'gauge' + (q.left < q.per_call ? ' out' : spent(q) ? ' low' : ''));
  text(node.left, count(q.left));
  text(node.of, ` left of ${count(q.capacity)}`);
  width(node.used, (q.used - reserved) / Math.max(1, q.capacity));
  width(node.held, reserved / Math.max(1, q.capacity));
  node.track.setAttribute('aria-valuemax', q.capacity);
  node.track.setAttribute('aria-valuenow', q.used);
  text(node.limit, `${count(q.limit_per_minute)} a minute`);
  const held = reserved ? `${count(reserved)} reserved · ` : '';
  text(node.full, held + (q.full_in_ms > 0 ? `full in ${wait(q.full_in_ms)}` : 'full'));
}

function makePool(p) {
  const node = el('article', {class: 'card pool'});
  node.name = el('h3', null, p.name);
  node.act = button('', () => askPool(node.last), {class: 'act'});
  node.limit = button('Limit', () => askLimit(node.last), {class: 'act', 'aria-label': `Limit pool ${p.name}`});
  node.gate = el('p', {class: 'gate'});
  node.dot = el('i', {class: 'dot'});
  node.words = el('span');
  node.gate.append(node.dot, node.words);
  node.why = el('p', {class: 'said-by small'});
  node.gauges = el('div', {class: 'gauges'});
  node.none = el('p', {class: 'dim small'}, 'The API has not told its limits: no answer had them in its headers.');
  node.own = el('p', {class: 'own num'});
  node.facts = el('p', {class: 'small dim num facts-line'});
  node.append(el('div', {class: 'head'}, node.name, el('span', {class: 'spacer'}), node.limit, node.act), node.gate,
              node.why, node.gauges, node.none, node.own, node.facts);
  return node;
}

function askPool(p) {
  const resume = !p.open;
  confirm(resume
    ? {title: 'Resume this pool?', text: `${p.name}. Calls may start at once, in the whole fleet.`,
       yes: 'Resume', path: 'pools/resume', body: {pool: p.name}}
    : {title: 'Pause this pool?', text: `${p.name}. No call to it starts, in the whole fleet, until ` +
       'someone resumes it. Calls under way end as usual; no job is lost.',
       yes: 'Pause', path: 'pools/pause', body: {pool: p.name}, reason: true});
}

function askLimit(p) {
  confirm({title: 'Set a limit of your own?', yes: 'Set', path: 'pools/limit', body: {pool: p.name},
           text: `${p.name}. Beside the API's limits, for the whole fleet. An empty number takes the limit away.`,
           limit: p.overrides || {}});
}

// own: what people have set: their limits, and the budgets of the day.
function own(p) {
  const all = Object.entries(p.overrides || {}).map(([kind, n]) => `your limit: ${count(n)} ${KINDS[kind]} a minute`);
  for (const [unit, b] of Object.entries(p.budgets || {})) {
    const say = n => unit === 'usd' ? money(n) : `${count(n)} tokens`;
    all.push(`budget of the day: ${say(b.spent)} of ${say(b.limit)} spent` +
             (b.reserved > 0 ? `, ${say(b.reserved)} reserved` : '') + (b.lifted ? ', lifted' : ''));
  }
  const words = all.join(' · ');
  return words && words[0].toUpperCase() + words.slice(1);
}

function fillPool(node, p, now) {
  const g = gate(p, now);
  node.last = p;
  cls(node, 'card pool ' + g.state);
  text(node.words, g.text);
  text(node.why, p.why ? `The API said: “${p.why}”` : '');
  if (p.cause === 'paused') text(node.why, p.why ? `Reason: “${p.why}”` : '');
  show(node.why, Boolean(p.why));
  text(node.act, p.open ? 'Pause' : 'Resume');
  node.act.setAttribute('aria-label', `${p.open ? 'Pause' : 'Resume'} pool ${p.name}`);
  keyed(node.gauges, Object.entries(p.quota), ([kind]) => kind, ([kind]) => makeGauge(kind),
        (n, [, q]) => fillGauge(n, q));
  show(node.none, !Object.keys(p.quota).length);
  text(node.own, own(p));
  show(node.own, Boolean(own(p)));
  const since = p.since ? ` · since ${clock(p.since, now)}` : '';
  text(node.facts, `This worker: ${plural(p.calls, 'call')} under way · ${count(p.throttles)} throttled · ` +
       `${count(p.parked)} parked · ${p.latency_ms ? span(p.latency_ms) : '–'} a call${since}`);
}

export function showQuota(o) {
  const shut = o.pools.filter(p => !p.open).length;
  text($('quota-note'), o.pools.length ? `${plural(o.pools.length, 'pool')}, ${shut ? count(shut) + ' shut'
                                                                                     : 'all open'}` : '');
  if (!o.pools.length) {
    keyed($('pools'), ['none'], k => k, () => el('p', {class: 'card dim empty'},
      'No pool yet: the first call tells the model and its limits.'), () => {});
    return;
  }
  keyed($('pools'), o.pools, p => p.name, makePool, (n, p) => fillPool(n, p, o.now));
}
