// panels: the second screen: delayed jobs, latency, money, answers by status.
import {$, cls, el, keyed, text, width} from './dom.js';
import {count, percent, plural, span} from './fmt.js';
import {costRows} from './judge.js';

// --------------------------------------------------------------------------------- delayed jobs

const SLOTS = ['now', 'within 1 s', 'within 5 s', 'within 15 s', 'within 1 min', 'within 5 min', 'within 1 h', 'later'];

function makeBar() {
  const node = el('div', {class: 'bar'});
  node.label = el('span', {class: 'bar-label'});
  node.fill = el('i');
  node.value = el('b', {class: 'num'});
  node.append(node.label, el('span', {class: 'bar-track'}, node.fill), node.value);
  return node;
}

function fillBar(node, b) {
  cls(node, 'bar ' + (b.state || ''));
  text(node.label, b.label);
  text(node.value, b.value);
  width(node.fill, b.part);
  if (b.title) node.title = b.title;
}

export function showDue(o) {
  const most = Math.max(1, ...o.totals.due);
  keyed($('due'), SLOTS.map((label, i) => ({label, value: count(o.totals.due[i]), part: o.totals.due[i] / most,
    state: 'delayed'})), b => b.label, makeBar, fillBar);
}

// --------------------------------------------------------------------------------- answers by cause

const MEANING = {
  200: 'answered', 400: 'the request is wrong', 401: 'the key is refused', 402: 'billing',
  403: 'not allowed', 404: 'no such model', 408: 'timed out', 413: 'too large', 429: 'throttled',
  500: 'error of the API', 502: 'bad gateway', 503: 'unavailable', 504: 'gateway timed out',
  529: 'overloaded', none: 'no answer came', other: 'anything else',
};

function stateOf(status) {
  return status === '200' ? 'ok' : status === '429' || status === '529' ? 'wait' : 'bad';
}

export function showCauses(o) {
  const sums = {};
  for (const p of o.pools)
    for (const [status, n] of Object.entries(p.answers)) sums[status] = (sums[status] || 0) + n;
  const all = Object.entries(sums).sort((a, b) => b[1] - a[1]);
  const sum = all.reduce((n, a) => n + a[1], 0), most = Math.max(1, ...all.map(a => a[1]));
  if (!all.length) {
    keyed($('causes'), ['none'], k => k, () => el('p', {class: 'dim'}, 'No call yet.'), () => {});
    return;
  }
  keyed($('causes'), all.map(([status, n]) => ({
    label: `${status === 'none' ? '' : status} ${MEANING[status] || ''}`.trim(), key: status,
    value: count(n), part: n / most, state: stateOf(status), title: percent(n / sum)})),
    b => 's' + b.key, makeBar, fillBar);
}

// --------------------------------------------------------------------------------- latency

const WAITS = [['wait_s', 'Queue wait'], ['first_byte_s', 'First byte'], ['call_s', 'Whole call']];
const QUANTILES = ['p50', 'p90', 'p99'];
const LOW = 0.01, HIGH = 600; // seconds: the ends of the scale, a logarithmic one

function place(s) {
  return Math.min(1, Math.max(0, Math.log(Math.max(s, LOW) / LOW) / Math.log(HIGH / LOW)));
}

function makeWait([, label]) {
  const node = el('div', {class: 'wait-row'}, el('span', {class: 'wait-label'}, label));
  node.bar = el('i');
  node.tick = el('em');
  node.nums = {};
  for (const q of QUANTILES) node.append(el('span', {class: 'wait-num'}, el('small', null, q), node.nums[q] = el('b', {class: 'num'})));
  node.append(el('span', {class: 'track thin'}, node.bar, node.tick));
  return node;
}

export function showLatency(o) {
  keyed($('latency'), WAITS, w => w[0], makeWait, (node, [key]) => {
    const h = o[key];
    for (const q of QUANTILES) text(node.nums[q], h[q] === null ? '–' : span(h[q] * 1000));
    const from = h.p50 === null ? 0 : place(h.p50), to = h.p99 === null ? 0 : place(h.p99);
    node.bar.style.left = (from * 100).toFixed(1) + '%';
    width(node.bar, Math.max(0.006, to - from) * (h.p50 === null ? 0 : 1));
    node.tick.style.left = (h.p90 === null ? 0 : place(h.p90) * 100).toFixed(1) + '%';
    node.tick.hidden = h.p90 === null;
    node.title = `${plural(h.count, 'value')}; the bar goes from p50 to p99, the tick is p90`;
  });
}

// --------------------------------------------------------------------------------- money

export function showMoney(o) {
  keyed($('money'), costRows(o), r => r[0], ([label, , note]) => {
    const node = el('div', {title: note || null}, el('dt', null, label));
    node.value = el('dd', {class: 'num'});
    node.append(node.value);
    return node;
  }, (node, [, value]) => text(node.value, value));
}
