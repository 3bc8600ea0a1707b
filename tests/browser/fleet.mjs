// fleet: a redis-server, the simulator and real workers for a test of the dashboard; the same that
// tests/integration/fleet.py is to Python.
//
//   const fleet = await Fleet.start({rpm: 60});
//   const worker = await fleet.worker({PENSTOCK_QUEUES: 'default:3,bulk:1'});   // worker.url
//   await fleet.push('default', {id: 'a', prompt: 'hi'});
//   await fleet.stop();                  // fails if a worker did not end cleanly
import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import {fileURLToPath} from 'node:url';

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const SLACK = Number(process.env.PENSTOCK_TEST_SLACK || 1);
const BUILD = process.env.PENSTOCK_BUILD || path.join(ROOT, 'build');
const FORBIDDEN = /runtime error|AddressSanitizer|LeakSanitizer|Assertion|loop_not_closed/;
const KEY = 'sk-ant-test-0123456789-secret';

export async function until(condition, what, timeoutS = 30) {
  const end = Date.now() + timeoutS * 1000 * SLACK;
  for (;;) {
    const got = await condition();
    if (got) return got;
    if (Date.now() > end) throw new Error(`waited ${timeoutS * SLACK} s in vain for ${what}`);
    await new Promise(done => setTimeout(done, 25));
  }
}

// --------------------------------------------------------------------------------- Redis

// As much of Redis' protocol as the tests speak: commands out, replies in.
class Link {
  constructor(socket) {
    this.rest = Buffer.alloc(0);
    this.waiting = [];
    this.socket = net.connect(socket);
    this.socket.on('data', data => {
      this.rest = Buffer.concat([this.rest, data]);
      for (let got; this.waiting.length && (got = parse(this.rest, 0));) {
        this.rest = this.rest.subarray(got.next);
        const {done, failed} = this.waiting.shift();
        if (got.value instanceof Error) failed(got.value);
        else done(got.value);
      }
    });
    this.socket.on('error', e => this.waiting.splice(0).forEach(w => w.failed(e)));
  }

  send(...words) {
    const parts = words.map(w => Buffer.from(String(w)));
    const head = Buffer.from(`*${parts.length}\r\n`);
    this.socket.write(Buffer.concat([head, ...parts.flatMap(p => [Buffer.from(`$${p.length}\r\n`), p,
                                                                  Buffer.from('\r\n')])]));
    return new Promise((done, failed) => this.waiting.push({done, failed}));
  }
}

function parse(buf, at) {
  const end = buf.indexOf('\r\n', at);
  if (end < 0) return null;
  const kind = String.fromCharCode(buf[at]), head = buf.toString('utf8', at + 1, end), n = Number(head);
  let next = end + 2;
  if (kind === '+') return {value: head, next};
  if (kind === '-') return {value: new Error(head), next};
  if (kind === ':') return {value: n, next};
  if (n < 0) return {value: null, next};
  if (kind === '$') {
    if (buf.length < next + n + 2) return null;
    return {value: buf.toString('utf8', next, next + n), next: next + n + 2};
  }
  const value = [];
  for (let i = 0; i < n; i++) {
    const one = parse(buf, next);
    if (!one) return null;
    value.push(one.value);
    next = one.next;
  }
  return {value, next};
}

// --------------------------------------------------------------------------------- programs

function environment(more) {
  const env = Object.fromEntries(Object.entries(process.env).filter(
    ([name]) => !/^(PENSTOCK_|ANTHROPIC_)/.test(name) || name === 'PENSTOCK_TEST_RUN'));
  return {...env, ...more};
}

async function ended(child, timeoutS = 30) {
  if (child.exitCode !== null || child.signalCode) return child.exitCode;
  const late = setTimeout(() => child.kill('SIGKILL'), timeoutS * 1000 * SLACK);
  await new Promise(done => child.once('exit', done));
  clearTimeout(late);
  return child.exitCode;
}

class Worker {
  constructor(env) {
    this.text = '';
    this.child = spawn(path.join(BUILD, 'penstock-worker'), [], {env, stdio: ['ignore', 'ignore', 'pipe']});
    this.child.stderr.on('data', d => { this.text += d; });
  }

  events(name) {
    return this.text.split('\n').filter(Boolean).map(l => {
      try { return JSON.parse(l); } catch { return {ev: null, raw: l}; }
    }).filter(l => l.ev === name);
  }

  async ready() {
    const up = await until(() => this.events('http_up')[0], 'http_up');
    await until(() => this.events('redis_up')[0], 'redis_up');
    this.url = `http://127.0.0.1:${up.port}`;
    return this;
  }

  async stop() {
    this.child.kill('SIGCONT');
    this.child.kill('SIGTERM');
    const code = await ended(this.child);
    assert.equal(code, 0, `the worker ended with ${code}\n${this.text.slice(-3000)}`);
    assert.ok(!FORBIDDEN.test(this.text), this.text.slice(-3000));
  }
}

export class Fleet {
  static async start(sim = {}) {
    const fleet = new Fleet();
    try {
      await fleet.begin(sim);
    } catch (e) {
      await fleet.stop().catch(() => {});
      throw e;
    }
    return fleet;
  }

  constructor() {
    this.workers = [];
    this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'psb-'));
    this.socket = path.join(this.dir, 'r.sock');
  }

  async begin(sim) {
    this.redis = spawn('redis-server', ['--port', '0', '--unixsocket', this.socket, '--save', '', '--dir', this.dir],
                       {stdio: 'ignore'});
    await until(() => fs.existsSync(this.socket), 'redis-server');
    this.link = new Link(this.socket);
    const flags = {listen: '127.0.0.1:0', control: '127.0.0.1:0', latency: 20, ...sim};
    const argv = Object.entries(flags).map(([name, v]) => `--${name.replaceAll('_', '-')}=${v}`);
    this.sim = spawn(path.join(BUILD, 'penstock-sim'), [...argv, '--quiet'], {stdio: ['ignore', 'pipe', 'ignore']});
    let said = '';
    this.sim.stdout.on('data', d => { said += d; });
    const port = word => said.match(new RegExp(`${word} on (\\S+)`))?.[1];
    this.api = await until(() => port('listening'), 'the simulator');
    this.control = await until(() => port('control'), 'its control port');
  }

  r(...words) { return this.link.send(...words); }

  async setSim(settings) {
    const said = await fetch(this.control + '/sim/config', {method: 'POST', body: JSON.stringify(settings)});
    assert.equal(said.status, 200, await said.text());
  }

  async script(...steps) {
    const said = await fetch(this.control + '/sim/script', {method: 'POST', body: JSON.stringify({steps})});
    assert.equal(said.status, 200, await said.text());
  }

  async worker(env = {}) {
    const worker = new Worker(environment({PENSTOCK_REDIS_URL: `unix://${this.socket}`, ANTHROPIC_API_KEY: KEY,
      ANTHROPIC_BASE_URL: this.api, PENSTOCK_HTTP: '127.0.0.1:0', PENSTOCK_MODEL: 'claude-sonnet-5', ...env}));
    this.workers.push(worker);
    return worker.ready();
  }

  key(queue, name) { return `penstock:{${queue}}:${name}`; }

  async push(queue, ...jobs) {
    for (let at = 0; at < jobs.length; at += 500)
      await this.r('LPUSH', this.key(queue, 'jobs'), ...jobs.slice(at, at + 500).map(
        j => typeof j === 'string' ? j : JSON.stringify(j)));
  }

  async result(queue, id) {
    return JSON.parse(await until(() => this.r('GET', this.key(queue, `result:${id}`)), `the result of ${id}`));
  }

  async stop() {
    const faults = [];
    for (const worker of this.workers) await worker.stop().catch(e => faults.push(e));
    this.link?.socket.destroy();
    for (const child of [this.sim, this.redis]) if (child) {
      child.kill('SIGTERM');
      await ended(child);
    }
    fs.rmSync(this.dir, {recursive: true, force: true});
    if (faults.length) throw faults[0];
  }
}
