'use strict';
// A cache that shrinks and a server that sheds load while memory is short. Heapwarden says when that is:
//   heapwarden run -- node config/examples/pressure/server.js 3000
const http = require('http');

const cache = new Map();
let level = 'normal';
const short = () => level === 'high' || level === 'critical';

process.on('heapwarden:pressure', (pressure) => {
  level = pressure.level;
  const keep = level === 'normal' ? cache.size : short() ? 0 : Math.floor(cache.size / 2);
  for (const key of cache.keys()) if (cache.size > keep) cache.delete(key); // the oldest first
});

const server = http.createServer((request, response) => {
  if (short()) return response.writeHead(503, { 'retry-after': '5' }).end(`short of memory (${level})\n`);
  if (!cache.has(request.url)) cache.set(request.url, new Array(131072).fill(Math.random())); // 1 MiB, dear to make
  return response.end(`${level}, ${cache.size} in the cache\n`);
});
server.listen(Number(process.argv[2] ?? 3000), () => console.log(`listening on ${server.address().port}`));
