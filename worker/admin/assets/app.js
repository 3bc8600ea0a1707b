// app: starts the page: the theme, the sign-in, the stream of moments and what each of them fills.
import {$, cls, show, text} from './dom.js';
import {check, setToken, token, watch, whenRefused} from './api.js';
import {startAsk, whenDone} from './ask.js';
import {addMoment, recolour, startCharts} from './charts.js';
import {refreshDead, showDead, startDead} from './dead.js';
import {offerQueues, startJob} from './job.js';
import {showNow, showQuota} from './now.js';
import {showCauses, showDue, showLatency, showMoney} from './panels.js';
import {askCalls, showQueues, showRuns, showWorkers, startQueues} from './tables.js';
import {span} from './fmt.js';

// --------------------------------------------------------------------------------- colours

const THEMES = ['auto', 'light', 'dark'], THEME = 'penstock-theme';

function setTheme(theme) {
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  text($('theme'), theme[0].toUpperCase() + theme.slice(1));
  $('theme').setAttribute('aria-label', `Colours: ${theme === 'auto' ? 'as the system has them' : theme}`);
}

function startTheme() {
  let theme = localStorage.getItem(THEME);
  if (!THEMES.includes(theme)) theme = 'auto';
  setTheme(theme);
  $('theme').addEventListener('click', () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    localStorage.setItem(THEME, theme);
    setTheme(theme);
    recolour();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', recolour);
}

// --------------------------------------------------------------------------------- moments

let seenAt = 0, lost = '', callsAt = 0, begun = false;

function liveness() {
  const old = Date.now() - seenAt;
  const state = !seenAt ? '' : lost || old > 4000 ? 'bad' : 'ok';
  cls($('live'), 'live ' + state);
  text($('live-text'), !seenAt ? lost || 'connecting' : state === 'ok' ? 'live'
    : `no news for ${span(Math.max(1000, Math.floor(old / 1000) * 1000))}`);
  document.body.classList.toggle('stale', state === 'bad');
}

function onMoment(o) {
  seenAt = Date.now();
  lost = '';
  liveness();
  if (document.hidden) return addMoment(o);
  text($('where'), `${o.worker.id} · ${o.worker.provider}`);
  text($('version'), `Penstock ${o.worker.version}`);
  document.body.classList.toggle('read-only', o.worker.readonly);
  show($('readonly'), o.worker.readonly);
  for (const part of [showNow, showQuota, addMoment, showDue, showLatency, showMoney, showCauses,
                      showDead, showQueues, showWorkers, showRuns, offerQueues])
    fill(part, o);
  if (seenAt - callsAt > 1900) {
    callsAt = seenAt;
    askCalls();
  }
  document.body.dataset.moments = Number(document.body.dataset.moments || 0) + 1;
}

// A panel that fails is told to the console, and takes no other with it.
function fill(part, o) {
  try {
    part(o);
  } catch (e) {
    reportError(e);
  }
}

function onLost(why) {
  lost = why;
  liveness();
}

// --------------------------------------------------------------------------------- the door

function signIn() {
  if (token()) text($('sign-in-wrong'), 'This is not the token.');
  setToken('');
  show($('board'), false);
  show($('sign-in'), true);
  show($('sign-out'), false);
  $('token').value = '';
  $('token').focus();
}

async function begin() {
  show($('sign-in'), false);
  show($('board'), true);
  show($('sign-out'), Boolean(token()));
  await startCharts();
  watch(onMoment, onLost);
  if (!begun) setInterval(liveness, 1000);
  begun = true;
}

async function enter() {
  const status = await check().catch(() => 0);
  if (status === 401) signIn();
  else begin();
}

function start() {
  startTheme();
  startAsk();
  startDead();
  startJob();
  startQueues();
  whenRefused(signIn);
  whenDone(refreshDead);
  $('sign-in-form').addEventListener('submit', e => {
    e.preventDefault();
    setToken($('token').value.trim());
    text($('sign-in-wrong'), '');
    enter();
  });
  $('sign-out').addEventListener('click', () => {
    setToken('');
    location.reload();
  });
  enter();
}

start();
