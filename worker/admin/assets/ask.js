// ask: the one dialog that stands before every action, and the line that says how it went.
import {$, show, text} from './dom.js';
import {act} from './api.js';

const WHO = 'penstock-who';
let now = null, after = () => {};

export function whenDone(f) { after = f; }

export function say(message, bad) {
  const node = $('said');
  text(node, message);
  node.className = 'said shown' + (bad ? ' bad' : '');
  clearTimeout(node.timer);
  node.timer = setTimeout(() => { node.className = 'said'; }, 6000);
}

// confirm opens the dialog: {title, text, yes, no, path, body, reason: ask for one, danger, then, limit: the
// limits that are set, to be changed}
export function confirm(what) {
  now = what;
  text($('ask-h'), what.title);
  text($('ask-text'), what.text);
  text($('ask-yes'), what.yes);
  text($('ask-no'), what.no || 'Cancel');
  text($('ask-wrong'), '');
  $('ask-yes').className = what.danger ? 'danger' : 'primary';
  $('ask-yes').disabled = false;
  show($('ask-reason'), Boolean(what.reason));
  show($('ask-reason-l'), Boolean(what.reason));
  $('ask-reason').value = '';
  show($('ask-limit'), Boolean(what.limit));
  if (what.limit) offerLimit();
  $('ask-who').value = localStorage.getItem(WHO) || '';
  $('ask').showModal();
  (what.reason ? $('ask-reason') : what.limit ? $('ask-kind') : $('ask-no')).focus();
}

function offerLimit() {
  $('ask-number').value = now.limit[$('ask-kind').value] || '';
}

function outcome(what, said) {
  if (said.begun) return `${what.title.replace('?', '')}: begun`;
  if (said.done === undefined || !what.body.ids) return `${what.title.replace('?', '')}: done`;
  const left = what.body.ids.length - said.done;
  return `${what.title.replace('?', '')}: ${said.done} done${left > 0 ? `, ${left} not` : ''}`;
}

async function yes() {
  const what = now, body = {...what.body};
  const asked = () => now === what && $('ask').open; // it was not cancelled while we waited
  if (what.reason && $('ask-reason').value.trim()) body.reason = $('ask-reason').value.trim();
  if (what.limit) {
    body.kind = $('ask-kind').value;
    body.per_minute = $('ask-number').value.trim() ? Number($('ask-number').value) : null;
  }
  localStorage.setItem(WHO, $('ask-who').value.trim());
  $('ask-yes').disabled = true;
  try {
    const said = await act(what.path, body, $('ask-who').value);
    if (asked()) $('ask').close();
    say(outcome(what, said));
    if (what.then) what.then(said);
    after();
  } catch (e) {
    if (!asked()) return say(`${what.title.replace('?', '')}: ${e.message}`, true);
    $('ask-yes').disabled = false;
    text($('ask-wrong'), e.message);
  }
}

export function startAsk() {
  $('ask-yes').addEventListener('click', yes);
  $('ask-kind').addEventListener('change', offerLimit);
  $('ask-no').addEventListener('click', () => $('ask').close());
  $('ask').addEventListener('keydown', e => {
    if (e.key === 'Enter' && e.target.tagName === 'INPUT' && !$('ask-yes').disabled) yes();
  });
}
