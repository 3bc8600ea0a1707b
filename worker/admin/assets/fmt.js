// fmt: numbers and times in words. A number that changes each second keeps its width: the page sets
// them in tabular figures, and these functions keep the count of digits steady.

export const NONE = '–';

export function count(n) {
  if (n === null || n === undefined || !isFinite(n)) return NONE;
  if (Math.abs(n) >= 1e9) return (n / 1e9).toFixed(2) + ' G';
  if (Math.abs(n) >= 1e6) return (n / 1e6).toFixed(2) + ' M';
  return Math.round(n).toLocaleString('en-US');
}

// short is for axes and small places.
export function short(n) {
  if (n === null || n === undefined || !isFinite(n)) return NONE;
  const a = Math.abs(n);
  if (a >= 1e9) return trim(n / 1e9) + 'G';
  if (a >= 1e6) return trim(n / 1e6) + 'M';
  if (a >= 1e4) return trim(n / 1e3) + 'k';
  return a >= 100 || Number.isInteger(n) ? String(Math.round(n)) : trim(n);
}

function trim(n) {
  return String(Number(n.toPrecision(3)));
}

export function rate(n) {
  if (n === null || n === undefined || !isFinite(n)) return NONE;
  if (n >= 100) return count(n);
  if (n >= 10) return n.toFixed(1);
  return n < 0.005 ? '0' : n.toFixed(2);
}

// span: a length of time, as a person says it.
export function span(ms) {
  if (ms === null || ms === undefined || !isFinite(ms)) return NONE;
  if (ms < 0) ms = 0;
  if (ms < 1000) return Math.round(ms) + ' ms';
  const s = ms / 1000;
  if (s < 10) return s.toFixed(1) + ' s';
  if (s < 90) return Math.round(s) + ' s';
  const min = Math.round(s / 60);
  if (min < 90) return min + ' min';
  const h = Math.floor(min / 60);
  if (h < 48) return `${h} h ${String(min % 60).padStart(2, '0')} min`;
  return `${Math.floor(h / 24)} d ${h % 24} h`;
}

// wait: as span, in whole seconds: for what counts down.
export function wait(ms) {
  return ms < 10000 ? Math.max(0, Math.ceil(ms / 1000)) + ' s' : span(ms);
}

// clock: the time of day; the date too where it is not today.
export function clock(ms, now) {
  if (!ms) return NONE;
  const at = new Date(ms), today = new Date(now || Date.now());
  const time = at.toLocaleTimeString('en-GB', {hour: '2-digit', minute: '2-digit'});
  if (at.toDateString() === today.toDateString()) return time;
  return at.toLocaleDateString('en-GB', {day: 'numeric', month: 'short'}) + ' ' + time;
}

// timeOfDay: to the second.
export function timeOfDay(ms) {
  return ms ? new Date(ms).toLocaleTimeString('en-GB') : NONE;
}

export function exact(ms) {
  return ms ? new Date(Number(ms)).toISOString().replace('T', ' ').replace('Z', ' UTC') : '';
}

export function money(n) {
  if (n === null || n === undefined || !isFinite(n)) return NONE;
  if (n >= 1000) return '$' + count(n);
  if (n >= 0.995 || n === 0) return '$' + n.toFixed(2);
  return '$' + (n >= 0.01 ? n.toFixed(3) : n.toPrecision(2));
}

export function percent(part) {
  if (!isFinite(part)) return NONE;
  return part > 0 && part < 0.01 ? '<1 %' : Math.round(part * 100) + ' %';
}

export function bytes(n) {
  return n < 2048 ? `${n} bytes` : n < 2 << 20 ? `${Math.round(n / 1024)} KiB`
                                               : `${(n / (1 << 20)).toFixed(1)} MiB`;
}

export function plural(n, one, many) {
  return `${count(n)} ${n === 1 ? one : many || one + 's'}`;
}
