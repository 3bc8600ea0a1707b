// api: asking the worker. The token goes in a header, never into an address; that is why the events
// are read with fetch, not with an EventSource.

const KEY = 'penstock-token';
let onRefused = () => {};

export function token() { return sessionStorage.getItem(KEY) || ''; }
export function setToken(t) {
  if (t) sessionStorage.setItem(KEY, t);
  else sessionStorage.removeItem(KEY);
}
export function whenRefused(f) { onRefused = f; }

function headers(more) {
  const h = {...more};
  if (token()) h.Authorization = 'Bearer ' + token();
  return h;
}

export class Failed extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function answer(response) {
  if (response.status === 401) onRefused();
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Failed(response.status, body.error || `HTTP ${response.status}`);
  return body;
}

// get asks again, three times at the most, where the worker says that it was too many questions at once.
export async function get(path, params) {
  const query = params ? '?' + new URLSearchParams(params) : '';
  for (let tries = 0;; tries++) {
    const response = await fetch('/api/' + path + query, {headers: headers(), cache: 'no-store'});
    if (response.status !== 429 || tries >= 3) return answer(response);
    await new Promise(done => setTimeout(done, 1100));
  }
}

// A header holds Latin-1 at the most: what is beyond is left out of a name.
export async function act(path, body, who) {
  const name = (who || '').replace(/[^ -~]/g, '').trim();
  const more = {'Content-Type': 'application/json', 'X-Penstock': '1'};
  if (name) more['X-Penstock-Who'] = name;
  const response = await fetch('/api/' + path, {method: 'POST', headers: headers(more),
                                                body: JSON.stringify(body)});
  return answer(response);
}

// check: does the token open the door? Gives the status.
export async function check() {
  const response = await fetch('/api/pools', {headers: headers(), cache: 'no-store'});
  return response.status;
}

const SILENT_MS = 10000; // a moment comes each second: after so long nobody is there

async function read(response, abort, onMoment) {
  const reader = response.body.getReader(), decoder = new TextDecoder();
  let rest = '';
  for (;;) {
    const alarm = setTimeout(() => abort.abort(), SILENT_MS);
    const {value, done} = await reader.read().finally(() => clearTimeout(alarm));
    if (done) return;
    rest += decoder.decode(value, {stream: true});
    const frames = rest.split('\n\n');
    rest = frames.pop();
    const last = frames.filter(f => f.startsWith('data: ')).pop(); // older ones are of no use
    if (last) onMoment(JSON.parse(last.slice(6)));
  }
}

// watch reads /events for as long as the page lives; it comes back by itself, ever more slowly.
export async function watch(onMoment, onLost) {
  let pause = 500;
  for (;;) {
    const abort = new AbortController();
    try {
      const response = await fetch('/events', {headers: headers(), cache: 'no-store',
                                               signal: abort.signal});
      if (response.status === 401) return onRefused();
      if (!response.ok) throw new Error(response.status === 503 ? 'too many watch already'
                                                                : `HTTP ${response.status}`);
      pause = 500;
      await read(response, abort, onMoment);
      onLost('the worker has ended the connection');
    } catch (e) {
      onLost(e.message);
    }
    await new Promise(done => setTimeout(done, pause));
    pause = Math.min(pause * 2, 10000);
  }
}
