// charts: the last hour. An hour's steps come once from /api/history; then each moment adds a point.
/* global uPlot */
import {$, el} from './dom.js';
import {get} from './api.js';
import {clock, count, rate, short} from './fmt.js';

const KEPT_S = 3600;
// Columns of /api/history: time, backlog, active, finished, throttles, failed, tokens, dollars a second.
const CHARTS = [
  {title: 'Backlog', unit: 'jobs', says: count, lines: [{name: 'backlog', at: 1, color: '--c-backlog', fill: true},
                                           {name: 'in flight', at: 2, color: '--c-active'}]},
  {title: 'Answers', unit: 'a second', lines: [{name: 'answers', at: 3, color: '--c-ok', fill: true},
                                               {name: 'throttled (429)', at: 4, color: '--c-wait'},
                                               {name: 'failed', at: 5, color: '--c-bad'}]},
  {title: 'Tokens', unit: 'a second', lines: [{name: 'tokens', at: 6, color: '--c-tokens', fill: true}]},
];
const columns = Array.from({length: 8}, () => []);
const plots = [];

function css(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function add(moment) {
  const s = moment[0] / 1000, at = columns[0];
  if (at.length && s <= at[at.length - 1]) return;
  moment.forEach((v, i) => columns[i].push(i ? v : s));
  let drop = 0;
  while (at[drop] < s - KEPT_S) drop++;
  if (drop > 60) columns.forEach(c => c.splice(0, drop)); // not one by one
}

// rem: sizes grow with the page's type, which is larger on a large screen.
function rem(n) {
  return Math.round(n * parseFloat(getComputedStyle(document.documentElement).fontSize));
}

function axis(more) {
  return {stroke: css('--dim'), grid: {stroke: css('--line'), width: 1}, ticks: {show: false},
          font: `${rem(0.74)}px ${getComputedStyle(document.body).fontFamily}`, ...more};
}

// times labels an axis: with seconds where it is short.
function times(u, all) {
  const step = all.length > 1 ? all[1] - all[0] : 60;
  return all.map(s => step >= 60 ? clock(s * 1000) : new Date(s * 1000).toLocaleTimeString('en-GB'));
}

function options(chart, size) {
  const series = [{value: (u, v) => v === null ? '–' : clock(v * 1000)}];
  for (const line of chart.lines)
    series.push({label: line.name, stroke: css(line.color), width: 1.75, points: {show: false},
                 fill: line.fill ? css(line.color + '-fill') : undefined,
                 value: (u, v) => v === null ? '–' : rate(v)});
  return {...size, series, padding: [10, 8, 0, 0], legend: {show: false},
          cursor: {sync: {key: 'hour'}, y: false, points: {size: 7}},
          scales: {x: {time: true}, y: {range: (u, lo, hi) => [0, Math.max(hi * 1.12, 1)]}},
          axes: [axis({size: rem(1.75), space: rem(5), values: times}),
                 axis({size: rem(3), space: rem(2.3), values: (u, v) => v.map(short)})]};
}

function size(box) {
  return {width: Math.max(200, Math.floor(box.clientWidth)), height: Math.max(120, box.clientHeight)};
}

function legend(plot, values) {
  plot.chart.lines.forEach((line, i) => {
    const v = values ? values[line.at] : null;
    plot.values[i].textContent = v === null || v === undefined ? '–' : (plot.chart.says || rate)(v);
  });
}

function make(chart) {
  const box = el('div', {class: 'plot', role: 'img', 'aria-label': `${chart.title}, the last hour`});
  const words = el('div', {class: 'legend'});
  const plot = {chart, box, values: []};
  for (const line of chart.lines) {
    const value = el('b', {class: 'num'});
    plot.values.push(value);
    words.append(el('span', null, el('i', {class: 'key ' + line.color.slice(4)}), line.name + ' ', value));
  }
  $('charts').append(el('article', {class: 'card chart'},
    el('h3', null, chart.title, el('small', null, ' ' + chart.unit)), words, box));
  return plot;
}

function draw(plot) {
  if (plot.u) plot.u.destroy();
  plot.u = new uPlot(options(plot.chart, size(plot.box)), data(plot), plot.box);
}

function data(plot) {
  return [columns[0], ...plot.chart.lines.map(l => columns[l.at])];
}

export function recolour() {
  plots.forEach(draw);
}

export async function startCharts() {
  if (plots.length) return;
  plots.push(...CHARTS.map(make));
  const {history} = await get('history').catch(() => ({history: []}));
  history.forEach(add);
  plots.forEach(draw);
  const seen = new ResizeObserver(() => plots.forEach(p => p.u && p.u.setSize(size(p.box))));
  plots.forEach(p => seen.observe(p.box));
}

export function addMoment(o) {
  const t = o.totals, s = o.now;
  const moment = [s, t.waiting + t.delayed + t.active, t.active, t.finished_s, t.throttles_s, t.failed_s,
                  t.tokens_s, t.cost_s];
  add(moment);
  for (const plot of plots) {
    legend(plot, moment);
    if (plot.u && !document.hidden) plot.u.setData(data(plot));
  }
}
