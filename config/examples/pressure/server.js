'use strict';
// A server that listens to its memory pressure: its cache shrinks before V8 has to fight for room, and while room is short
// it turns new requests away and ends those that it has begun. Without Heapwarden the events never come, and it is a
// server like any other. No dependencies.
//   heapwarden run -- node config/examples/pressure/server.js [port]        (PORT, default 3000; HOST, default 127.0.0.1)
//   curl localhost:3000/users/1    curl 'localhost:3000/report?mib=8'    curl localhost:3000/stats

const http = require('node:http');

const MIB = 2 ** 20;
const cache = new Map();
let room = 10_000; // entries that the cache may hold
let shedding = false;

// The ten lines that matter.
process.on('heapwarden:pressure', ({ level }) => {
  room = level === 'normal' ? 10_000 : 50;
  shrink();
  shedding = level === 'high' || level === 'critical';
});

function shrink() {
  for (const oldest of cache.keys()) if (cache.size > room) cache.delete(oldest); else break;
}

/** About so many bytes of JavaScript heap, as a database's rows would take them. */
function rows(bytes) {
  return Array.from({ length: Math.ceil(bytes / 1024) }, (_, id) => ({ id, fields: new Array(120).fill(id) }));
}

function user(id) {
  if (!cache.has(id)) cache.set(id, rows(100_000));
  shrink();
  return { id, rows: cache.get(id).length };
}

/** Holds its rows for as long as the client reads: until it hangs up, or `seconds` have passed. */
function report(url, response) {
  let held = rows(Number(url.searchParams.get('mib') || 1) * MIB);
  const end = () => response.end(`${held ? held.length : 0} rows\n`);
  const timer = setTimeout(end, Number(url.searchParams.get('seconds') || 1) * 1000);
  response.on('close', () => {
    clearTimeout(timer);
    held = null;
  });
  response.writeHead(200, { 'content-type': 'text/plain' }).write('making it\n');
}

function answer(request, response) {
  const url = new URL(request.url, 'http://server');
  if (url.pathname === '/stats') return send(response, 200, { entries: cache.size, room, shedding });
  if (shedding) return send(response, 503, { error: 'short of memory' }, { 'retry-after': '1' });
  if (url.pathname.startsWith('/users/')) return send(response, 200, user(url.pathname.slice(7)));
  if (url.pathname === '/report') return report(url, response);
  return send(response, 404, { error: 'not found' });
}

function send(response, status, body, headers = {}) {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(`${JSON.stringify(body)}\n`);
}

const server = http.createServer(answer);
server.listen(Number(process.argv[2] || process.env.PORT || 3000), process.env.HOST || '127.0.0.1', () => {
  console.log(`pressure example on http://${process.env.HOST || '127.0.0.1'}:${server.address().port}`);
});
