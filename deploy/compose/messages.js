'use strict';
// Prints what Alertmanager sends to the receivers of dashboards/alertmanager/alertmanager.yml, one alert a line.

const http = require('node:http');

const MOST_BYTES = 2 ** 20;

function lines(path, body) {
  return JSON.parse(body).alerts.map((alert) => `${path.slice(1)} ${alert.status} ${alert.labels.alertname}: ${alert.annotations.summary}`);
}

const server = http.createServer((request, response) => {
  let body = '';
  request.setEncoding('utf8').on('data', (part) => {
    body += part;
    if (body.length > MOST_BYTES) request.destroy();
  });
  request.on('end', () => {
    try {
      for (const line of lines(request.url, body)) console.log(line);
      response.end();
    } catch {
      response.writeHead(400).end();
    }
  });
});

server.listen(Number(process.env.PORT ?? 8080), '127.0.0.1', () => console.log(`listening on ${server.address().port}`));
