'use strict';
// The app of the benchmark: parses, allocates, answers. With PROM_CLIENT=1 it serves prom-client's default metrics.
const http = require('node:http');

let metrics = null;
if (process.env.PROM_CLIENT) {
  metrics = require('prom-client');
  metrics.collectDefaultMetrics();
}
const rows = Array.from({ length: 50 }, (_, id) => ({ id, name: `row-${id}`, tags: ['a', 'b', String(id)] }));
http
  .createServer(async (request, response) => {
    if (metrics && request.url === '/metrics') {
      response.end(await metrics.register.metrics());
      return;
    }
    const body = JSON.stringify(JSON.parse(JSON.stringify(rows)).map((row) => ({ ...row, seen: Date.now() })));
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(body);
  })
  .listen(0, '127.0.0.1', function listening() {
    console.log(this.address().port);
  });
