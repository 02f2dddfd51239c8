'use strict';
// A small server whose memory moves when you ask it to. No dependencies.
//   node server.js [port]        PORT (default 3000) and HOST (default 127.0.0.1) are read from the environment too.

const http = require('node:http');
const path = require('node:path');
const { Worker } = require('node:worker_threads');

const MIB = 2 ** 20;
const MOST_MIB = 4096;
const RECORD_BYTES = 153; // measured, on Node 18 to 26
const kept = { leak: [], cache: [], buffers: [] };
const workers = new Set();
let leaking = null;

// Objects on the V8 heap: about `mib` MiB of small records, as a careless cache would keep them.
function records(mib) {
  const made = [];
  for (let left = mib * MIB; left > 0; left -= RECORD_BYTES) made.push({ id: left, name: `user-${left}`, tags: [left, left + 1] });
  return made;
}

// Allocates and drops: garbage for the scavenger, nothing stays.
function garbage(mib) {
  let last;
  for (let done = 0; done < mib; done += 1) last = records(1);
  return last.length;
}

function spin(milliseconds) {
  const end = Date.now() + milliseconds;
  while (Date.now() < end);
}

function startLeak(mibPerSecond) {
  stopLeak();
  leaking = setInterval(() => kept.leak.push(records(mibPerSecond / 10)), 100);
}

function stopLeak() {
  if (leaking) clearInterval(leaking);
  leaking = null;
}

function startWorker(mib) {
  const worker = new Worker(path.join(__dirname, 'worker.js'), { workerData: { mib } });
  workers.add(worker);
  worker.on('exit', () => workers.delete(worker));
  worker.on('error', (error) => console.error(`worker: ${error.message}`));
}

function free() {
  stopLeak();
  for (const name of Object.keys(kept)) kept[name] = [];
  for (const worker of workers) worker.terminate();
  // V8 collects when it needs room, and an idle app needs none. With node --expose-gc the figures fall at once.
  if (globalThis.gc) globalThis.gc();
}

const routes = {
  '/': { does: 'this list', run: () => index() },
  '/memory': { does: 'process.memoryUsage(), and the pid', run: () => memory() },
  '/leak': { does: '?mib=5: leak 5 MiB of objects a second, until /free', run: (n) => startLeak(n), by: 5 },
  '/cache': { does: '?mib=100: keep 100 MiB of objects', run: (n) => kept.cache.push(records(n)), by: 100 },
  '/garbage': { does: '?mib=200: allocate 200 MiB of objects and drop them', run: (n) => garbage(n), by: 200 },
  '/buffers': { does: '?mib=50: keep 50 MiB of Buffers, outside the heap', run: (n) => kept.buffers.push(Buffer.alloc(n * MIB, 1)), by: 50 },
  '/block': { does: '?ms=3000: block the event loop for three seconds', run: (_, ms) => spin(ms) },
  '/worker': { does: '?mib=20: start a worker thread that keeps 20 MiB', run: (n) => startWorker(n), by: 20 },
  '/free': { does: 'let go of everything', run: () => free() },
  '/exit': { does: 'exit with code 3', run: () => setTimeout(() => process.exit(3), 50) },
};

function index() {
  return Object.entries(routes).map(([route, { does }]) => `${route.padEnd(10)} ${does}`).join('\n');
}

function memory() {
  return { pid: process.pid, ...process.memoryUsage() };
}

function number(text, fallback, most) {
  const value = Number(text ?? fallback);
  return Number.isFinite(value) && value > 0 && value <= most ? value : null;
}

const server = http.createServer((request, response) => {
  const url = new URL(request.url, 'http://demo');
  const route = routes[url.pathname];
  const mib = number(url.searchParams.get('mib'), route?.by ?? 1, MOST_MIB);
  const ms = number(url.searchParams.get('ms'), 3000, 600_000);
  if (!route || mib === null || ms === null) {
    response.writeHead(route ? 400 : 404, { 'content-type': 'text/plain' });
    response.end(`${route ? `mib is 1 to ${MOST_MIB}, ms is 1 to 600000` : 'no such route'}\n\n${index()}\n`);
    return;
  }
  const result = route.run(mib, ms);
  const text = typeof result === 'string' ? result : JSON.stringify(memory());
  response.writeHead(200, { 'content-type': 'text/plain' });
  response.end(`${text}\n`);
});

const port = Number(process.argv[2] ?? process.env.PORT ?? 3000);
server.listen(port, process.env.HOST ?? '127.0.0.1', () => {
  console.log(`demo app on http://127.0.0.1:${server.address().port}/ (routes: ${Object.keys(routes).join(' ')})`);
});
for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => {
    free();
    server.close();
    server.closeAllConnections?.();
  });
}
