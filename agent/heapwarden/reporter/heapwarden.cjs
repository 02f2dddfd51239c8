'use strict';
// Reports this isolate's memory to the Heapwarden agent: NODE_OPTIONS="--require /path/heapwarden.cjs" and
// HEAPWARDEN_SOCKET=/path/agent.sock. What goes over the socket stands in docs/reporter-protocol.md.
//
// It has no dependencies, throws nothing into its host, holds nothing that keeps the host alive and leaves nothing behind
// on `process` or `globalThis` but one Symbol. An older or odd runtime is left alone; the syntax is ES2019 so that such a
// runtime can at least parse it. What an app may replace later (fake timers, a patched fs) is taken now.

(function load() {
  const VERSION = '0.1.0';
  const PROTOCOL = 1;
  const MB = 1048576;
  const GC_BUCKETS_MS = [1, 5, 25, 100, 500, 2500];
  // V8's GCType, and the names that v8.GCProfiler gives it ("Unknown" is the minor mark-sweep of V8 12).
  const GC_KINDS = { 1: 'minor', 2: 'minor', 4: 'major', 8: 'incremental', 16: 'weakcb' };
  const GC_NAMES = {
    Scavenge: 'minor', MinorMarkCompact: 'minor', MinorMarkSweep: 'minor', Unknown: 'minor',
    MarkSweepCompact: 'major', IncrementalMarking: 'incremental', ProcessWeakCallbacks: 'weakcb',
  };
  const GC_FRAME_GAP_MS = 50;
  const LOOP_RESOLUTION_MS = 20;
  const RECONNECT_MS = [200, 5000];
  const STALLED_TICKS = 3;
  const INCOMING_CHARS = 65536;
  // What the agent may ask of the main thread; named in the hello.
  const ABILITIES = ['pressure', 'drain', 'gc', 'signal', 'bye'];
  const PRESSURE_LEVELS = ['normal', 'elevated', 'high', 'critical'];
  const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR2', 'SIGKILL'];
  const CALM_AFTER_MS = 30000;
  const COLLECT_GAP_MS = 10000;
  const COLLECTED_FRAME_MS = 20; // by then the observer has told of the collection
  const STUCK_MS = [5000, 600000];
  // v8.GCProfiler costs 20-40 µs in each collection, 15-30 µs more where it is drained, and 3-4 KB of JSON until then
  // (Node 18: 2.6 KB, 40 + 17 µs; 20: 2.9 KB, 20 + 16; 22: 3.4 KB, 30 + 19; 24: 3.9 KB, 10 + 21; 26: 3.9 KB, 20 + 20);
  // on natural collections, with colder caches, 80-150 µs altogether. Every collection is charged to an allowance of ten
  // a second, so that the profiler takes 0.15 % of the time at most and a burst is paid for by being off.
  const PROFILED_PER_SECOND = 10;
  const PROFILED_AT_ONCE = 50;
  const CRAMPED_BELOW = 2.5; // semi-spaces of room: see cramp()
  const CRAMPED_SAMPLES = 10;
  const CRAMPED_FRAME_GAP_MS = 100;
  // A cramped heap that grows is looked at again half the way to where the agent begins to worry, then after small steps;
  // shares of the limit.
  const CRAMPED_WORRY = 0.75;
  const CRAMPED_STEP = 0.02;
  const STORM_PER_SECOND = 5;

  const env = process.env;
  const setTimer = setTimeout;
  const clearTimer = clearTimeout;
  const setTicker = setInterval;
  const stopTicker = clearInterval;
  const defer = setImmediate;
  const toJson = JSON.stringify;
  const fromJson = JSON.parse;
  const memoryUsage = process.memoryUsage;
  const hrtime = process.hrtime;
  const argv = process.argv.slice(0, 2);
  const startedWith = process.execArgv.slice();
  const { emit, listenerCount, emitWarning, kill } = process;
  const listen = process.on;
  const unlisten = process.removeListener;
  const exposedGc = globalThis.gc;

  let fs; let v8; let net; let threads; let runInNewContext; let setFlags; let connectTo; let elu; let loopMonitor;
  let perfOrigin = 0; let largestSemi = 0;
  let stopped = false;

  /** What is called from outside never throws; a fault costs this connection and no more. */
  function guarded(f) {
    return function guard(...args) {
      if (stopped) return undefined;
      try {
        return f.apply(this, args);
      } catch {
        return mend();
      }
    };
  }

  /** Milliseconds that never go back. */
  function now() {
    const [seconds, nanoseconds] = hrtime();
    return seconds * 1000 + nanoseconds / 1e6;
  }

  /** The same on the scale of performance entries. */
  function perfNow() {
    return now() - perfOrigin;
  }

  /** A number as the protocol has it: V8's external memory has been seen to underflow. */
  function figure(n) {
    return n >= 0 && n <= 9007199254740992 ? n : 0;
  }

  /** Milliseconds to the microsecond, and a ratio likewise. */
  function micros(n) {
    return n > 0 ? Math.round(n * 1000) / 1000 : 0;
  }

  // ---------------------------------------------------------------------------------------------- collections

  const totals = {};
  let observer = null;
  let observing = false;
  let observed = 0;
  let live = null;

  function totalOf(kind) {
    if (!totals[kind]) totals[kind] = { n: [0, 0, 0, 0, 0, 0, 0], ms: 0, freed: null };
    return totals[kind];
  }

  function count(kind, ms) {
    const total = totalOf(kind);
    let bucket = 0;
    while (bucket < GC_BUCKETS_MS.length && ms > GC_BUCKETS_MS[bucket]) bucket += 1;
    total.n[bucket] += 1;
    total.ms += ms;
  }

  function observe(on) {
    if (on === observing) return;
    observing = on;
    if (on) observer.observe({ entryTypes: ['gc'] });
    else observer.disconnect();
  }

  const onCollections = guarded(function onCollections(list) {
    const majors = countAll(list.getEntries());
    if (!majors || !v8) return;
    const old = oldSpace();
    if (!profiler) live = old.used;
    if (!cramped && (storms(majors) || old.room < CRAMPED_BELOW * old.semi)) cramp();
    sampleSoon(GC_FRAME_GAP_MS);
  });

  /** Counts entries but those that the profiler has counted; answers how many mark-compacts there were. */
  function countAll(entries) {
    let majors = 0;
    for (let i = 0; i < entries.length; i += 1) {
      const entry = entries[i];
      const kind = GC_KINDS[entry.detail && entry.detail.kind];
      if (!kind || (entry.startTime >= profiledFrom && entry.startTime < profiledTo)) continue;
      count(kind, entry.duration);
      observed += 1;
      if (kind === 'major') majors += 1;
    }
    return majors;
  }

  /**
   * What stands beyond the new space, what room its limit leaves it, and one semi-space as it is now. A mark-compact
   * empties the new space (seen on every major), so right after one, and somewhat later too, `used` is the live set.
   */
  function oldSpace() {
    const heap = v8.getHeapStatistics();
    const spaces = v8.getHeapSpaceStatistics();
    const limit = heap.heap_size_limit - 3 * largestSemi;
    let used = heap.used_heap_size;
    let semi = 0;
    for (let i = 0; i < spaces.length; i += 1) {
      const { space_name: name, space_used_size: inside, space_size: size } = spaces[i];
      if (name === 'new_space' || name === 'new_large_object_space') used -= inside;
      if (name === 'new_space') semi = size / 2;
    }
    return { used, usedWithNew: heap.used_heap_size, limit, room: limit - used, semi };
  }

  // With less than two semi-spaces of room V8 begins the next mark-compact at the first allocation after the last one.
  // An observer's callback is such an allocation, so that with one V8 collects without end: an idle heap of 43 of 64 MB
  // went from 1 to 60 mark-compacts a second, and at 80 % V8 took them for ineffective and aborted, where without an
  // observer the heap could be filled to 95 % (Node 18, 20, 22, 24; 26 in part). There the observer is taken away, and
  // the profiler counts in its place, which runs no JavaScript; a mark-compact at each sample may remain.

  let cramped = false;
  let crampedUntil = 0;
  let profiledFrom = Infinity;
  let profiledTo = 0;
  let stormSince = 0;
  let storm = 0;

  function storms(majors) {
    const at = now();
    if (at - stormSince > 1000) {
      stormSince = at;
      storm = 0;
    }
    storm += majors;
    return storm >= STORM_PER_SECOND;
  }

  /** The profiler counts from now on; the observer goes when it has told of all that was before. */
  function cramp() {
    cramped = true;
    crampedUntil = now() + CRAMPED_SAMPLES * (interval || 1000);
    swapProfiler(true);
    const stop = guarded(() => {
      if (!cramped) return;
      countAll(observer.takeRecords());
      observe(false);
    });
    setTimer(() => defer(stop).unref(), 0).unref();
  }

  function uncramp() {
    cramped = false;
    storm = 0;
    observe(true);
    profiledTo = perfNow();
    swapProfiler(false);
  }

  let profiler = null;
  let profilerWanted = false;
  let allowance = PROFILED_AT_ONCE;
  let charged = 0;
  let chargedAt = 0;
  let usedBefore = 0;
  let usedAt = 0;
  let lookAgain = Infinity;

  /** Called at each sample: takes what was profiled and decides how to go on. */
  function profile() {
    const old = oldSpace();
    const at = now();
    pace(old, at);
    charge(at);
    if (old.room < CRAMPED_BELOW * old.semi) crampedUntil = at + CRAMPED_SAMPLES * interval;
    if (!cramped && at < crampedUntil) cramp();
    else if (cramped && at > crampedUntil) uncramp();
    else swapProfiler(cramped || (allowance >= (profiler ? 0 : PROFILED_AT_ONCE) && old.room > old.limit / 4));
  }

  /**
   * When to look at a cramped heap again: after the time in which it grows by a step, and ever later once it doesn't
   * grow, because each look costs it a mark-compact. Two looks close together say nothing about growth; nor does the old
   * space alone, which stands still while the new one fills with what will all be promoted at once.
   */
  function pace(old, at) {
    const elapsed = at - usedAt;
    if (elapsed < CRAMPED_FRAME_GAP_MS / 2) return;
    const growth = (old.usedWithNew - usedBefore) / elapsed;
    usedBefore = old.usedWithNew;
    usedAt = at;
    const step = Math.max(CRAMPED_STEP * old.limit, (CRAMPED_WORRY * old.limit - old.usedWithNew) / 2);
    const needed = growth > 0 ? step / growth : Infinity;
    lookAgain = Math.max(CRAMPED_FRAME_GAP_MS, Math.min(needed, lookAgain * 2));
  }

  function charge(at) {
    allowance += ((at - chargedAt) / 1000) * PROFILED_PER_SECOND;
    allowance = Math.min(PROFILED_AT_ONCE, allowance) - (observed - charged);
    chargedAt = at;
    charged = observed;
  }

  /** Begins the next profile before it ends the last one, so that no collection falls between. */
  function swapProfiler(wanted) {
    const last = profiler;
    profiler = wanted && configured && profilerWanted ? { gc: new v8.GCProfiler(), counts: cramped } : null;
    if (profiler) profiler.gc.start();
    if (profiler && cramped && profiledTo < Infinity) {
      profiledFrom = perfNow();
      profiledTo = Infinity;
    }
    if (last) drain(last);
  }

  /** Each statistic speaks for itself by its gcType. What it freed and left is known only here. */
  function drain({ gc, counts }) {
    const report = gc.stop();
    const statistics = (report && report.statistics) || [];
    for (let i = 0; i < statistics.length; i += 1) {
      const { gcType, cost, beforeGC, afterGC } = statistics[i];
      const kind = GC_NAMES[gcType];
      if (!kind) continue;
      const after = afterGC.heapStatistics.usedHeapSize;
      const total = totalOf(kind);
      total.freed = (total.freed || 0) + Math.max(0, beforeGC.heapStatistics.usedHeapSize - after);
      if (counts) count(kind, cost / 1000);
      if (kind === 'major') live = after;
    }
  }

  function gcFigures() {
    const out = {};
    for (const kind of Object.keys(totals)) {
      const { n, ms, freed } = totals[kind];
      out[kind] = { n, ms: micros(ms), freed };
    }
    return out;
  }

  // ------------------------------------------------------------------------------------------------ event loop

  let delays = null;
  let eluBefore;
  let firstDelay = null;
  let firstTimer = null;

  function watchLoop() {
    delays = loopMonitor({ resolution: LOOP_RESOLUTION_MS });
    delays.enable();
    eluBefore = undefined;
    utilizationSince();
    restartLoop();
  }

  function leaveLoop() {
    if (delays) delays.disable();
    clearTimer(firstTimer);
    delays = null;
  }

  /** Resetting the histogram makes it forget when it last fired, so the first stretch after it gets a timer of its own. */
  function restartLoop() {
    const at = now();
    delays.reset();
    firstDelay = null;
    clearTimer(firstTimer);
    if (cramped) return;
    firstTimer = setTimer(guarded(() => {
      firstDelay = now() - at - LOOP_RESOLUTION_MS;
    }), LOOP_RESOLUTION_MS);
    firstTimer.unref();
  }

  function loopFigures() {
    if (!delays.count && firstDelay === null) return null;
    const beyond = (nanoseconds) => (delays.count ? micros(nanoseconds / 1e6 - LOOP_RESOLUTION_MS) : 0);
    const first = micros(firstDelay);
    const max = Math.max(first, beyond(delays.max));
    // Below a hundred values the largest is the 99th percentile.
    const p99 = delays.count < 100 ? max : beyond(delays.percentile(99));
    const p50 = delays.count ? Math.min(max, beyond(delays.percentile(50))) : first;
    restartLoop();
    const utilization = utilizationSince();
    return utilization === null ? null : { p50, p99, max, elu: utilization };
  }

  /** Node reads process.hrtime for it, which the app may have replaced. */
  function utilizationSince() {
    try {
      const before = eluBefore;
      eluBefore = elu();
      return micros(elu(eluBefore, before).utilization);
    } catch {
      return null;
    }
  }

  // ------------------------------------------------------------------------------------------------ heap limit

  /** V8's options in the order in which they hold: the last wins, and the command line comes after NODE_OPTIONS. */
  function options() {
    const fromEnv = String(env.NODE_OPTIONS || '').match(/(?:[^\s"\\]|\\.|"(?:[^"\\]|\\.)*")+/g) || [];
    return fromEnv.map((word) => word.replace(/"((?:[^"\\]|\\.)*)"/g, '$1')).concat(startedWith);
  }

  function megabytes(words, name) {
    let found = 0;
    for (let i = 0; i < words.length; i += 1) {
      const parts = /^--([a-z_-]+)=(\d+)$/.exec(words[i]);
      if (parts && parts[1].replace(/_/g, '-') === name) found = Number(parts[2]);
    }
    return found;
  }

  /** V8 rounds every semi-space up to a power of two (in MB; the least is half of one). */
  function powerOfTwo(mb) {
    return Math.pow(2, Math.max(-1, Math.ceil(Math.log2(mb))));
  }

  /**
   * The largest semi-space in bytes: heap_size_limit less three of them is the limit of the old space. Where the old
   * space's limit was given, the difference tells it exactly; V8's options win over a worker's resourceLimits.
   */
  function semiSpace() {
    const words = options();
    const worker = threads.isMainThread ? {} : threads.resourceLimits || {};
    const heap = megabytes(words, 'max-heap-size');
    const old = megabytes(words, 'max-old-space-size') || (heap ? 0 : worker.maxOldGenerationSizeMb);
    const rest = (v8.getHeapStatistics().heap_size_limit / MB - old) / 3;
    if (old && rest > 0 && powerOfTwo(rest) === rest) return rest * MB;
    const given = megabytes(words, 'max-semi-space-size');
    if (given) return powerOfTwo(given) * MB;
    if (heap) return semiOfHeap(heap) * MB;
    if (worker.maxYoungGenerationSizeMb) return powerOfTwo(worker.maxYoungGenerationSizeMb / 3) * MB;
    return semiOfMemory() * MB;
  }

  /** Node sizes the heap by the machine's or the container's memory. Measured from 100 MB to 20 GB. */
  function semiOfMemory() {
    const machine = require('os').totalmem();
    const container = process.constrainedMemory ? process.constrainedMemory() : 0;
    const memory = (container > 0 && container < machine ? container : machine) / MB;
    if (major() >= 26) return powerOfTwo(Math.min(32, Math.max(2, memory / 128)));
    return semiOfOldSpace(memory / 2);
  }

  function semiOfOldSpace(old) {
    if (old <= 256) return 1;
    return major() >= 24 ? powerOfTwo(Math.min(64, old / 32)) : powerOfTwo(Math.min(16, old / 128));
  }

  /** --max-heap-size is both generations together. */
  function semiOfHeap(heap) {
    if (major() >= 26) return powerOfTwo(Math.min(32, Math.max(2, heap / 32)));
    return semiOfOldSpace(heap / (1 + 3 / (major() >= 24 ? 32 : 128)));
  }

  function major() {
    return Number(process.versions.node.split('.')[0]);
  }

  // ---------------------------------------------------------------------------------------------------- frames

  let seq = 0;
  let lastFrameAt = 0;
  let soonTimer = null;

  /** What the process believes of itself; 0 and "" where /proc can't be read. */
  function identity() {
    let start = 0;
    let ns = '';
    try {
      const stat = fs.readFileSync('/proc/self/stat', 'latin1');
      // The name in the second field may hold blanks and parentheses: count from the last one (proc(5), field 22).
      start = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]) || 0;
      ns = fs.readlinkSync('/proc/self/ns/pid');
    } catch {
      // --permission without --allow-fs-read, or no /proc.
    }
    return { start, ns };
  }

  function hello() {
    const { start, ns } = identity();
    return {
      t: 'hello', v: PROTOCOL, reporter: VERSION, pid: process.pid, start, ns, thread: threads.threadId,
      node: process.versions.node, v8: process.versions.v8,
      argv: argv.map((word) => String(word).slice(0, 1024).replace(/[\ud800-\udbff]$/, '')),
      semi: largestSemi, can: threads.isMainThread ? ABILITIES : [], cluster: isClusterWorker(),
    };
  }

  /** A worker of node:cluster has a channel to its parent; of who has none the module, some ms to load, is not asked. */
  function isClusterWorker() {
    return typeof process.send === 'function' && require('cluster').isWorker === true;
  }

  function spaceFigures() {
    const out = {};
    const spaces = v8.getHeapSpaceStatistics();
    for (let i = 0; i < spaces.length; i += 1) {
      const s = spaces[i];
      const name = s.space_name.replace(/_space$/, '');
      out[name] = [figure(s.space_size), figure(s.space_used_size), figure(s.space_available_size)];
    }
    return out;
  }

  function frame(why) {
    const mem = memoryUsage();
    const heap = v8.getHeapStatistics();
    return {
      t: 'sample', seq, why,
      mem: {
        rss: figure(mem.rss), heapTotal: figure(mem.heapTotal), heapUsed: figure(mem.heapUsed),
        external: figure(mem.external), arrayBuffers: figure(mem.arrayBuffers),
      },
      heap: {
        limit: figure(heap.heap_size_limit), malloced: figure(heap.malloced_memory),
        native: figure(heap.number_of_native_contexts), detached: figure(heap.number_of_detached_contexts),
      },
      spaces: spaceFigures(), loop: loopFigures(), gc: gcFigures(), live: live === null ? null : figure(live),
    };
  }

  function sample(why) {
    if (!configured) return;
    clearTimer(soonTimer);
    soonTimer = null;
    lastFrameAt = now();
    profile();
    seq += 1;
    if (why === 'interval') stalled += 1;
    if (stalled > STALLED_TICKS) lost();
    else if (writable()) send(frame(why));
    settle();
    if (why === 'interval') unstick();
    if (cramped && lookAgain < interval) sampleSoon(lookAgain);
  }

  function sampleSoon(gap) {
    if (!configured || soonTimer) return;
    const wait = lastFrameAt + gap - now();
    if (wait <= 0) {
      sample('gc');
      return;
    }
    soonTimer = setTimer(guarded(() => sample('gc')), wait);
    soonTimer.unref();
  }

  // ------------------------------------------------------------------------------------------------ connection

  let path = '';
  let socket = null;
  let configured = false;
  let ticker = null;
  let interval = 0;
  let incoming = '';
  let rest = null;
  let stalled = 0;
  let attempts = 0;

  /**
   * Frames go straight to the file descriptor, which libuv has made non-blocking: what the kernel's buffer does not
   * take is dropped here. A write that libuv must finish later would hold up the host's natural exit, unref'd or not.
   */
  function put(bytes) {
    const handle = socket._handle;
    const fd = handle ? handle.fd : -1;
    if (!(fd >= 0)) throw new Error('no file descriptor');
    try {
      return fs.writeSync(fd, bytes, 0, bytes.length);
    } catch (error) {
      if (error && error.code === 'EAGAIN') return 0;
      throw error;
    }
  }

  /** Answers whether the line is on its way, be it in part. */
  function send(message) {
    const bytes = Buffer.from(`${toJson(message)}\n`);
    const written = put(bytes);
    if (written === bytes.length) stalled = 0;
    else if (written > 0) rest = bytes.subarray(written);
    return written > 0;
  }

  /** Whether a new line may begin: the rest of one that the kernel took in part goes first. */
  function writable() {
    if (!rest) return true;
    rest = rest.subarray(put(rest));
    if (rest.length) return false;
    rest = null;
    return true;
  }

  function receive(chunk) {
    incoming += chunk;
    const lines = incoming.split('\n');
    incoming = lines.pop();
    for (let i = 0; i < lines.length && socket; i += 1) obey(fromJson(lines[i]));
    if (incoming.length > INCOMING_CHARS) throw new Error('line too long');
  }

  function obey(message) {
    const { t } = message;
    if (t === 'stop') retire();
    else if (t === 'config') configure(message);
    else if (!configured || !threads.isMainThread) return;
    else if (t === 'pressure') hearPressure(message);
    else if (t === 'drain') hearDrain(message);
    else if (t === 'gc') collect();
    else if (t === 'signal' && SIGNALS.indexOf(message.signal) >= 0) raise(message.signal);
  }

  /** The kernel keeps from PID 1 of a namespace what it does not handle (pid_namespaces(7)): there Node ends itself. */
  function raise(signal) {
    const code = 128 + require('os').constants.signals[signal];
    const shielded = process.pid === 1 && (signal === 'SIGKILL' || listenerCount.call(process, signal) === 0);
    if (!shielded) kill.call(process, process.pid, signal);
    else if (signal === 'SIGKILL') process.reallyExit(code);
    else process.exit(code);
  }

  function configure({ v, interval_ms: ms, gc_profiler: wanted, bye }) {
    if (v !== PROTOCOL || !(typeof ms === 'number' && ms >= 100 && ms <= 60000)) throw new Error('bad config');
    if (bye === true) promiseBye();
    profilerWanted = wanted === true && typeof v8.GCProfiler === 'function';
    if (ms !== interval) {
      interval = ms;
      stopTicker(ticker);
      ticker = setTicker(guarded(() => sample('interval')), ms);
      ticker.unref();
    }
    if (configured) return;
    configured = true;
    attempts = 0;
    lostAt = Infinity;
    chargedAt = now();
    charged = observed;
    watchLoop();
    sample('interval');
  }

  function connect() {
    if (now() - lostAt > CALM_AFTER_MS) calm();
    const mine = new net.Socket();
    socket = mine;
    incoming = '';
    rest = null;
    stalled = 0;
    seq = 0;
    mine.setEncoding('utf8');
    const own = (f) => guarded((...args) => (socket === mine ? f(...args) : undefined));
    mine.on('connect', own(() => send(hello())));
    mine.on('data', own(receive));
    mine.on('end', own(() => mine.destroy()));
    mine.on('error', own(refused));
    mine.on('close', own(lost));
    try {
      connectTo.call(mine, { path });
      mine.unref();
    } catch (error) {
      refused(error);
      if (!stopped) throw error;
    }
  }

  /** --permission without --allow-net: it won't be granted later. Other errors are followed by `close`. */
  function refused(error) {
    if (error && error.code === 'ERR_ACCESS_DENIED') retire();
  }

  function lost() {
    if (configured) lostAt = now();
    disconnect();
    const wait = Math.min(RECONNECT_MS[1], RECONNECT_MS[0] * Math.pow(2, attempts));
    attempts = Math.min(attempts + 1, 10);
    // Jitter from the clock: Math.random would advance the sequence of an app that was started with --random-seed.
    const jitter = 0.5 + ((now() * 1000 + process.pid) % 997) / 997;
    setTimer(guarded(connect), Math.min(RECONNECT_MS[1], wait * jitter)).unref();
  }

  /** Stops all that only serves a connection. Collections are counted on. */
  function disconnect() {
    const mine = socket;
    socket = null;
    configured = false;
    interval = 0;
    stopTicker(ticker);
    clearTimer(soonTimer);
    soonTimer = null;
    leaveLoop();
    if (mine) mine.destroy();
    if (profiler) swapProfiler(false);
  }

  function mend() {
    try {
      if (socket) lost();
    } catch {
      retire();
    }
  }

  /** For good: the agent does not want this process, or this runtime can't be reported. */
  function retire() {
    stopped = true;
    try {
      calm();
      if (sayingBye) unlisten.call(process, 'exit', sayBye);
      if (observer) observe(false);
      disconnect();
    } catch {
      // Nothing more can be undone.
    }
  }

  // ------------------------------------------------------------------------------------- what the agent may ask

  let heard = 'normal';
  let pressed = false;
  let patience = STUCK_MS[0];
  let majorsThen = 0;
  let stuckSince = 0;
  let lostAt = Infinity;
  let drains = 0;
  let drainedOwed = false;
  let collectedAt = -Infinity;
  let sayingBye = false;

  /** An event on `process`, where somebody listens. What a listener throws becomes a warning, which the app can see. */
  function tell(name, detail) {
    if (!listenerCount.call(process, name)) return;
    try {
      emit.call(process, name, detail);
    } catch (error) {
      warn(`a listener of '${name}' threw`, error);
    }
  }

  function warn(what, error) {
    try {
      const { message, stack } = error instanceof Error ? error : { message: error };
      const detail = typeof stack === 'string' ? stack : undefined;
      emitWarning.call(process, `${what}: ${message}`, { type: 'HeapwardenWarning', detail });
    } catch {
      // What can't be put into words is not told.
    }
  }

  /** The app hears of changes alone: after a reconnection the agent tells the level again. */
  function hearPressure({ level, ratio, nearer }) {
    const known = PRESSURE_LEVELS.indexOf(level) >= 0 && (nearer === 'heap' || nearer === 'container');
    if (!known || !(typeof ratio === 'number' && ratio >= 0) || level === heard) return;
    heard = level;
    pressed = nearer === 'heap' && level !== 'normal';
    patience = STUCK_MS[0];
    stuckSince = now();
    tell('heapwarden:pressure', { level, ratio, nearer });
  }

  /**
   * V8 collects when something is allocated. An app that has let go of its cache, or shed all its load, because its heap
   * was full would never find out that there is room again (seen on every major: 84 % in use for good after all was let
   * go). So where the app listens, the level stays and no mark-compact comes, one is made; ever more seldom while it does
   * not help.
   */
  function unstick() {
    if (!pressed || !listenerCount.call(process, 'heapwarden:pressure')) return;
    const majors = totals.major ? totals.major.n.reduce((sum, n) => sum + n, 0) : 0;
    if (majors !== majorsThen) {
      majorsThen = majors;
      stuckSince = now();
    } else if (now() - stuckSince >= patience) {
      patience = Math.min(STUCK_MS[1], patience * 2);
      collect();
    }
  }

  /** Without an agent nobody would ever take a level back: an app must not shed load for good because of that. */
  function calm() {
    lostAt = Infinity;
    if (heard === 'normal') return;
    heard = 'normal';
    pressed = false;
    tell('heapwarden:pressure', { level: 'normal', ratio: null, nearer: null });
  }

  /** Of several drains the last one counts: who ends an earlier one late has not ended this one. */
  function hearDrain({ within_ms: within }) {
    if (!(typeof within === 'number' && within >= 0)) return;
    drains += 1;
    drainedOwed = false;
    const mine = drains;
    let told = false;
    const done = guarded(() => {
      if (told || mine !== drains) return;
      told = true;
      drainedOwed = true;
      settle();
    });
    tell('heapwarden:drain', { within, done });
  }

  /** What is owed goes out as soon as the socket takes it. */
  function settle() {
    if (drainedOwed && configured && writable() && send({ t: 'drained' })) drainedOwed = false;
  }

  /** One full collection, and a frame after it. Whoever asks again too soon gets the frame alone. */
  function collect() {
    if (now() - collectedAt < COLLECT_GAP_MS) {
      sampleSoon(GC_FRAME_GAP_MS);
      return;
    }
    collector()();
    collectedAt = now();
    live = oldSpace().used;
    setTimer(guarded(() => {
      if (lastFrameAt < collectedAt + COLLECTED_FRAME_MS / 2) sample('gc');
    }), COLLECTED_FRAME_MS).unref();
  }

  /**
   * V8's gc function. Where Node was started without --expose-gc, only a new context has it (a millisecond, and one more
   * native context until the next mark-compact); the app's global never does. The inspector's HeapProfiler.collectGarbage
   * would never be carried out in a session of the same thread, and keeps the app from ending.
   */
  function collector() {
    if (typeof exposedGc === 'function') return exposedGc;
    setFlags('--expose-gc');
    try {
      return runInNewContext('gc');
    } finally {
      setFlags('--no-expose-gc');
    }
  }

  /** The last listener of those that are there when the agent asks; it changes nothing, and holds nothing up. */
  function promiseBye() {
    if (sayingBye || !threads.isMainThread) return;
    sayingBye = true;
    listen.call(process, 'exit', sayBye);
  }

  /** The code as the kernel will have it: an earlier listener may have set process.exitCode. */
  const sayBye = guarded((given) => {
    if (!configured || !writable()) return;
    const last = Number(process.exitCode === undefined || process.exitCode === null ? given : process.exitCode);
    send({ t: 'bye', code: last & 255 });
  });

  // ----------------------------------------------------------------------------------------------------- start

  /** An old Node, another runtime under Node's name, or a mode in which an open handle or a system call would show. */
  function odd() {
    const versions = process.versions;
    if (!(major() >= 18) || versions.electron || versions.bun || versions.deno) return true;
    return startedWith.indexOf('--build-snapshot') >= 0 || options().indexOf('--trace-sync-io') >= 0;
  }

  /**
   * In the first turn of the loop, so that a script which needs none pays for little more than the observer. By a timer:
   * an unref'd immediate waits until something else wakes the loop.
   */
  const start = guarded(() => {
    v8 = require('v8');
    net = require('net');
    threads = require('worker_threads');
    setFlags = v8.setFlagsFromString;
    ({ runInNewContext } = require('vm'));
    connectTo = net.Socket.prototype.connect;
    largestSemi = semiSpace();
    connect();
  });

  function begin() {
    if (!env.HEAPWARDEN_SOCKET || odd()) return;
    const once = Symbol.for('heapwarden.reporter');
    if (globalThis[once]) return;
    Object.defineProperty(globalThis, once, { value: VERSION });
    path = require('path').resolve(env.HEAPWARDEN_SOCKET);
    const { readFileSync, readlinkSync, writeSync } = require('fs');
    fs = { readFileSync, readlinkSync, writeSync };
    const hooks = require('perf_hooks');
    for (let warm = 0; warm < 2; warm += 1) perfOrigin = now() - hooks.performance.now();
    elu = hooks.performance.eventLoopUtilization.bind(hooks.performance);
    loopMonitor = hooks.monitorEventLoopDelay;
    observer = new hooks.PerformanceObserver(onCollections);
    observe(true);
    setTimer(start, 0).unref();
  }

  try {
    begin();
  } catch {
    stopped = true;
  }
})();
