// HEAPWARDEN_SOCKET=/run/heapwarden/agent.sock pm2 update
// pm2 start ecosystem.config.cjs
//
// PM2 gives a cluster worker its `env` only after Node has started, too late for NODE_OPTIONS and for HEAPWARDEN_SOCKET. So
// the script stands in node_args, and the socket in the environment of PM2's daemon, which workers inherit.
// Without max_memory_restart: Heapwarden restarts (heapwarden.yaml beside this file), and two masters are one too many.
module.exports = {
  apps: [
    {
      name: 'api',
      script: '/srv/api/server.js',
      exec_mode: 'cluster',
      instances: 2,
      node_args: '--require /usr/local/lib/heapwarden/heapwarden.cjs',
      // After its signal PM2 kills in 1.6 s by default: too soon for requests under way.
      kill_timeout: 30000,
    },
  ],
};
