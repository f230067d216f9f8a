// The command line: what it prints, where, and with which exit code. WEIR_BIN names the binary.
'use strict';
const { test } = require('node:test');
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { execFile, execFileSync } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const os = require('node:os');
const path = require('node:path');

const binary = process.env.WEIR_BIN;
assert.ok(binary, 'WEIR_BIN must name the binary to test');

const ONE = { subscriptions: [{ name: 'main', api_key: 'sk-ant-hidden' }] };

// Runs `weir` in an empty folder and with an empty environment, so that nothing of this machine counts.
function weir(t, args, { env = {}, files = {} } = {}) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'weir-cli-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  for (const [name, content] of Object.entries(files)) {
    const text = typeof content === 'string' ? content : JSON.stringify(content);
    fs.writeFileSync(path.join(folder, name), text, { mode: 0o600 });
  }
  const options = { cwd: folder, env: { HOME: folder, ...env }, timeout: 20000 };
  return new Promise((resolve) => {
    execFile(path.resolve(binary), args, options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : error.code, stdout, stderr });
    });
  });
}

// A node's stand-in: answers by path, and remembers what it was asked.
async function standIn(t, answers, tls) {
  const asked = [];
  const onRequest = (request, response) => {
    asked.push(request);
    let sent = '';
    request.on('data', (data) => { sent += data; });
    request.on('end', () => {
      request.sent = sent;
      const answer = answers[request.url] ?? [404, '{}'];
      const [status, body] = typeof answer === 'function' ? answer(sent) : answer;
      response.writeHead(status).end(typeof body === 'string' ? body : JSON.stringify(body));
    });
  };
  const server = tls ? https.createServer(tls, onRequest) : http.createServer(onRequest);
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address();
  return { asked, port, url: `${tls ? 'https' : 'http'}://127.0.0.1:${port}` };
}

const STATUS = {
  subscriptions: [
    { name: 'main', key: 'sk-ant-...ab12 #1a2b3c4d', active_connections: 4, max_concurrent: 5, available: 1, in_cooldown: false, cooldown_remaining: 0,
      total_requests: 12034, total_errors: 3, enabled: true, tokens: { input: 1200000, output: 34000 } },
    { name: 'spare', active_connections: 0, max_concurrent: 10, available: 0, held_back: 10, in_cooldown: true,
      cooldown_remaining: 42, cooldown_reason: 'retry-after', health: '3 failures in a row', total_requests: 8, total_errors: 0, enabled: true },
    { name: 'old', active_connections: 0, max_concurrent: 5, enabled: false },
    { name: 'off', active_connections: 0, max_concurrent: 5, enabled: false, state: 'paused', in_cooldown: true, cooldown_remaining: 7200, health: 'broken 9s' },
  ],
  total_active: 4, total_capacity: 15, available_capacity: 1, held_back_capacity: 15,
  slots: { total: 20, in_use: 4, free: 1, held_back: { cooling: 10, broken: 0, disabled: 5 } }, redis: 'up', pool: 'production',
  requests_now: [{ for: '', admitted: true, available: 1, text: 'admitted at once (1 of 15 slots free)' },
                 { for: 'model:opus', admitted: false, available: 0, status: 429, text: 'opus: all 2 subscriptions are limited; next free at 14:30 UTC' }],
  closing_labels: 3,
  clients: [{ name: 'bot', running: 3, requests: 1500, errors: 1, tokens: { input: 10, cache_read: 5, output: 7 } },
            ...Array.from({ length: 40 }, (_, i) => ({ name: `c${i}\x1b`, running: 0, requests: 1, errors: 0, tokens: {} }))],
  clients_today: 60, leases_unread: 0,
  node: { id: 'node-a', boot: '00000001', version: '0.1.0' },
  nodes: [{ id: 'node-a', version: '0.1.0', config: 'abcd1234', seen_ms_ago: 100, active: 4 },
          { id: 'node-b', version: '0.1.0', config: 'abcd1234', seen_ms_ago: 30000, leases: 1, active: 2 }],
};

test('without a command it explains itself and fails', async (t) => {
  const { code, stdout, stderr } = await weir(t, []);
  assert.equal(code, 2);
  assert.equal(stdout, '');
  assert.match(stderr, /Usage: weir COMMAND/);
});

test('help and version go to standard output', async (t) => {
  for (const args of [['help'], ['--help'], ['-h']]) {
    const { code, stdout } = await weir(t, args);
    assert.equal(code, 0);
    for (const command of ['serve', 'check', 'status', 'health', 'cooldown', 'reload', 'drain', 'version']) assert.match(stdout, new RegExp(`\n  ${command} `));
  }
  for (const args of [['version'], ['--version']]) assert.match((await weir(t, args)).stdout, /^weir \d+\.\d+\.\d+\n$/);
});

test('every command explains itself', async (t) => {
  for (const command of ['serve', 'check', 'status', 'health', 'cooldown', 'reload', 'drain', 'version', 'help']) {
    const { code, stdout } = await weir(t, [command, '--help']);
    assert.equal(code, 0);
    assert.ok(stdout.startsWith(`weir ${command}: `), stdout);
    assert.equal((await weir(t, ['help', command])).stdout, stdout);
  }
});

test('help config names every section, with defaults and variables', async (t) => {
  const { code, stdout } = await weir(t, ['help', 'config']);
  assert.equal(code, 0);
  for (const word of ['subscriptions[].max_concurrent', 'server.port  PORT', 'Default: 8080', 'redis.url', 'logging.format']) {
    assert.ok(stdout.includes(word), word);
  }
  for (const line of stdout.split('\n')) assert.ok(line.length <= 90, line);
});

test('the tables of docs/config.md are what help config --markdown says, to the byte', async (t) => {
  const { code, stdout } = await weir(t, ['help', 'config', '--markdown']);
  assert.equal(code, 0);
  const file = path.join(__dirname, '..', '..', 'docs', 'config.md');
  const [, written] = fs.readFileSync(file, 'utf8').match(/\n<!-- made by: [^\n]*\n([^]*)<!-- end -->\n/) ?? [];
  assert.ok(written === stdout, 'docs/config.md is not up to date: scripts/document writes it anew');
});

test('what is not understood is named, with a hint, and the exit code is 2', async (t) => {
  const cases = [
    [['chek'], /unknown command "chek"; did you mean "check"\?/],
    [['accounts'], /"accounts" is of Claudeflare; here it is weir status; .* see docs\/switch\.md#claudeflare/],
    [['--config=x'], /"--config" is of .*; here it is weir serve --config FILE; see docs\/switch\.md#/],
    [['serve', '--workers', '1'], /serve: "--workers" is of anthropic-load-balancer; here it is "server": /],
    [['frobnicate'], /`weir help` lists them/],
    [['help', 'frobnicate'], /unknown command/],
    [['status', '--jsn'], /unknown option --jsn; did you mean --json\?/],
    [['check', '--json'], /check: unknown option --json/],
    [['check', '--config'], /--config wants a FILE/],
    [['check', '--config='], /--config wants a FILE/],
    [['status', '--json=yes'], /--json takes no value/],
    [['check', 'extra'], /did not expect "extra"/],
    [['help', 'check', 'extra'], /did not expect "extra"/],
    [['cooldown'], /cooldown: expected list or clear, found ""/],
    [['cooldown', 'end', 'main'], /expected list or clear, found "end"/],
    [['cooldown', 'list', 'main'], /list takes no name/],
    [['cooldown', 'clear'], /clear wants the NAME of a subscription, or --all/],
    [['cooldown', 'clear', 'main', '--all'], /clear wants the NAME of a subscription, or --all/],
    [['cooldown', 'clear', 'main', 'spare'], /did not expect "spare"/],
    [['status', '--url', 'localhost'], /expected host:port or a URL, like 127\.0\.0\.1:8080/],
    [['status', '--url', 'ftp://localhost:8080'], /expected host:port or a URL/],
    [['status', '--url', 'localhost:80808'], /expected host:port or a URL/],
    [['serve', '--port', '65536'], /--port: expected a whole number from 0 to 65535, found "65536"/],
    [['status', '--port', '-1'], /--port: expected a whole number/],
    [['status', '--port', '8080', '--url', 'localhost:8080'], /--url and --port both say/],
  ];
  for (const [args, words] of cases) {
    const { code, stdout, stderr } = await weir(t, args);
    assert.equal(code, 2, args.join(' '));
    assert.equal(stdout, '');
    assert.match(stderr, words);
  }
});

test('check says what a node would do, and shows no secret', async (t) => {
  const config = {
    subscriptions: [
      { name: 'main', api_key: 'sk-ant-hidden' },
      { name: 'spare', api_key: 'sk-ant-oat-hidden', max_concurrent: 10, enabled: false, base_url: 'https://h.example/x' },
    ],
    redis: { url: 'redis://user:hidden@cache.example:6380/1', pool: 'p' },
    admin: { token: 'hidden' },
  };
  for (const args of [['check'], ['check', '--config', 'config.json'], ['check', '--config=config.json']]) {
    const { code, stdout, stderr } = await weir(t, args, { files: { 'config.json': config } });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /listens +http:\/\/127\.0\.0\.1:8080/);
    assert.match(stdout, /redis +cache\.example:6380/);
    assert.match(stdout, /pool +weir:\{p\}/);
    assert.match(stdout, /capacity +5 slots on 1 subscription\n/);
    assert.match(stdout, /\nmain +sk-ant-\.\.\. #[0-9a-f]{8} +API key +5 +1 +https:\/\/api\.anthropic\.com\n/);
    assert.match(stdout, /\nspare +sk-ant-\.\.\. #[0-9a-f]{8} +OAuth token +10 +1 +https:\/\/h\.example\/x +\(disabled\)\n/);
    assert.ok(!(stdout + stderr).includes('hidden'));
    assert.ok(!stdout.includes('\x1b'));
  }
});

test('check and serve refuse a wrong config alike, naming the place', async (t) => {
  const cases = [
    ['{"server": {"port": 1},}', /config\.json:1:\d+: not valid JSON.*comma too many/],
    [{ ...ONE, server: { prot: 1 } }, /config\.json: server\.prot: unknown field \(did you mean "port"\?\), expected one of host, port/],
    [{ ...ONE, queue: { hold_s: 5 } }, /config\.json: queue\.hold_s: not supported by this version/],
    [{ ...ONE, server: { names: ['http://a'] } }, /server\.names\[0\]: found "http:\/\/a", expected a host name/],
    [{ ...ONE, redis: { url: 'redis+cluster://a,b' } }, /redis.*not supported/],
    [{ ...ONE, redis: { url: 'http://a' } }, /config\.json: redis\.url: .*, expected redis:.*rediss:.*unix:/],
    [{ ...ONE, server: { tls: { cert: 'config.json', key: 'config.json' } } }, /config\.json: server\.tls: certificate file/],
  ];
  for (const command of ['check', 'serve'])
    for (const [config, words] of cases) {
      const { code, stderr } = await weir(t, [command], { files: { 'config.json': config } });
      assert.equal(code, 2, `${command}: ${stderr}`);
      assert.match(stderr, words);
    }
});

test('with nothing configured, the three ways to do so are shown', async (t) => {
  for (const command of ['check', 'serve']) {
    const { code, stderr } = await weir(t, [command]);
    assert.equal(code, 2);
    for (const way of ['ANTHROPIC_API_KEYS=', '.env', 'config.json']) assert.ok(stderr.includes(way), stderr);
  }
});

test('keys come from the environment or from .env', async (t) => {
  const fromEnvironment = await weir(t, ['check'], { env: { ANTHROPIC_API_KEYS: 'sk-ant-a, sk-ant-oat-b, k' } });
  assert.equal(fromEnvironment.code, 0, fromEnvironment.stderr);
  for (const [key, face, kind] of [['sk-ant-a', 'sk-ant-...', 'API key'], ['sk-ant-oat-b', 'sk-ant-...', 'OAuth token'], ['k', '...', 'bearer token']]) {
    const hash = crypto.createHash('sha256').update(key).digest('hex').slice(0, 8);
    assert.match(fromEnvironment.stdout, new RegExp(`\nkey-${hash} +${face.replaceAll('.', '\\.')} #${hash} +${kind} `));
  }
  const fromFile = await weir(t, ['check'], { files: { '.env': 'export ANTHROPIC_API_KEY="sk-a" # mine\nPORT=9\n' } });
  assert.equal(fromFile.code, 0, fromFile.stderr);
  assert.match(fromFile.stdout, /127\.0\.0\.1:9,/);
});

test('what is wrong in .env is said of .env, with its line', async (t) => {
  const text = 'ANTHROPIC_API_KEY=k\nWEIR_REDIS_URL=http://user:hidden@h\n';
  for (const command of ['check', 'serve']) {
    const { code, stderr } = await weir(t, [command], { files: { '.env': text } });
    assert.equal(code, 2);
    assert.match(stderr, /^weir: WEIR_REDIS_URL \(\.env:2\): redis\.url: .*, expected redis:/);
    assert.ok(!stderr.includes('hidden'));
  }
});

test('a .env shared with other programs, and quotes that docker leaves, are no error', async (t) => {
  const shared = 'a.b=1\nmy-x=1\nPEM="-----BEGIN\nPORT=1\n-----END"\nANTHROPIC_API_KEYS="k1,k2"\n';
  for (const options of [{ files: { '.env': shared } }, { env: { ANTHROPIC_API_KEYS: '"k1,k2"', LOG_LEVEL: 'warning' } }]) {
    const { code, stdout, stderr } = await weir(t, ['check'], options);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /:8080,/);
    assert.match(stdout, /10 slots on 2 subscriptions/);
  }
});

test('check says where callers are named by a balancer', async (t) => {
  const asked = (server) => weir(t, ['check'], { files: { 'config.json': { ...ONE, server } } });
  assert.match((await asked({ proxy_protocol: true })).stdout, /\ncallers +as a balancer names them \(PROXY protocol\)/);
  assert.doesNotMatch((await asked({})).stdout, /balancer/);
});

test('warnings go to standard error and change no exit code', async (t) => {
  const { code, stderr } = await weir(t, ['check'], { env: { ANTHROPIC_API_KEYS: 'same,same' } });
  assert.equal(code, 0);
  assert.match(stderr, /warning: .*is there more than once/);
});

test('status shows subscriptions and nodes in columns', async (t) => {
  const node = await standIn(t, { '/status': [200, STATUS] });
  const { code, stdout, stderr } = await weir(t, ['status', '--url', node.url]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^pool production: 4 of 20 slots in use, 1 free, 15 held back \(10 cooling, 5 disabled\); redis up; seen by node node-a\n/);
  assert.match(stdout, /\nmain +sk-ant-\.\.\.ab12 #1a2b3c4d +########\.\. +4\/5 +12\.0k +3 +1\.2M +34\.0k +ready\n/);
  assert.match(stdout, /\nspare .* cooling for 42 s: retry-after; 3 failures in a row\n/);
  assert.match(stdout, /\nold .* disabled\n/);
  assert.match(stdout, /\noff .* paused by a person; cooling for 2 h; broken 9s\n/);
  assert.match(stdout, /\nnode-b +1 +2 +0\.1\.0 +abcd1234 +SILENT for 30 s\n/);
  assert.ok(!stdout.includes('\x1b'));
  const lines = stdout.split('\n').filter((line) => /^(main|spare|old) /.test(line));
  assert.equal(new Set(lines.map((line) => line.search(/[\d]+\/\d/) + line.match(/\d+\/\d+/)[0].length)).size, 1);
});

test('status says what a request would get now, and of which label it would be another answer', async (t) => {
  const node = await standIn(t, { '/status': [200, STATUS] });
  const { stdout } = await weir(t, ['status', '--url', node.url]);
  assert.match(stdout, /^a request now: admitted at once \(1 of 15 slots free\)$/m);
  assert.match(stdout, /^  for model:opus: refused with 429: opus: all 2 subscriptions are limited; next free at 14:30 UTC$/m);
  assert.match(stdout, /^  \.\.\. and 2 more labels that close something$/m);
});

test('status lists the most active clients of today, and says how many more there are', async (t) => {
  const node = await standIn(t, { '/status': [200, STATUS] });
  const { stdout } = await weir(t, ['status', '--url', node.url]);
  assert.match(stdout, /\nCLIENT TODAY +RUNNING +REQUESTS +ERRORS +TOKENS IN +OUT\nbot +3 +1\.5k +1 +15 +7\n/);
  assert.match(stdout, /\nc18\? +0 +1 +0 +0 +0\n\.\.\. and 40 more\n$/);
});

test('status --json is the answer itself', async (t) => {
  const node = await standIn(t, { '/status': [200, STATUS] });
  const { stdout } = await weir(t, ['status', '--json'], { env: { WEIR_URL: `${node.url}/` } });
  assert.deepEqual(JSON.parse(stdout), STATUS);
});

test('the node is found by the config, and shown the admin token', async (t) => {
  const node = await standIn(t, { '/status': [200, STATUS], '/health': [200, {}] });
  const config = { ...ONE, server: { host: '0.0.0.0', port: node.port }, auth: 'open', admin: { token: 'open-sesame' } };
  const { code, stderr } = await weir(t, ['status'], { files: { 'config.json': config } });
  assert.equal(code, 0, stderr);
  assert.equal(node.asked[0].headers['x-admin-token'], 'open-sesame');
  assert.equal((await weir(t, ['health'], { files: { 'config.json': config } })).code, 0);
  assert.equal((await weir(t, ['health'], { env: { PORT: String(node.port) } })).code, 0);
});

test('the node is found by host:port, by --port, and by WEIR_URL in either form', async (t) => {
  const node = await standIn(t, { '/status': [200, STATUS], '/health': [200, {}] });
  const port = String(node.port);
  const files = { 'config.json': { ...ONE, server: { port: 1 } } };
  for (const command of ['status', 'health']) {
    for (const args of [['--url', `127.0.0.1:${port}`], [`--url=localhost:${port}/`], ['--port', port], [`--port=${port}`]]) {
      const { code, stderr } = await weir(t, [command, ...args], { files, env: { PORT: '2', WEIR_URL: 'http://127.0.0.1:3' } });
      assert.equal(code, 0, `${command} ${args}: ${stderr}`);
    }
  }
  assert.equal((await weir(t, ['health'], { files, env: { WEIR_URL: `127.0.0.1:${port}` } })).code, 0);
  const away = await weir(t, ['health', '--url', '[::1]:1']);
  assert.match(away.stderr, /no answer from http:\/\/\[::1\]:1/);
});

test('health --ready is about requests, and --json gives the answer as it is', async (t) => {
  const node = await standIn(t, { '/health': [200, { node: 'n1' }], '/ready': [200, { status: 'ready' }] });
  const leaving = await standIn(t, { '/health': [200, {}], '/ready': [503, { status: 'draining' }] });
  const health = (at, ...args) => weir(t, ['health', '--url', at.url, ...args]);
  assert.deepEqual(JSON.parse((await health(node, '--json')).stdout), { node: 'n1' });
  assert.equal((await health(node, '--ready')).stdout, 'ready\n');
  assert.equal((await health(leaving)).code, 0, 'it lives');
  const { code, stderr } = await health(leaving, '--ready');
  assert.equal(code, 1);
  assert.match(stderr, /is not ready: draining/);
});

test('check says what a node would do with --port', async (t) => {
  const { code, stdout } = await weir(t, ['check', '--port', '9191'], { files: { 'config.json': ONE } });
  assert.equal(code, 0);
  assert.match(stdout, /9191/);
});

test('the header of the admin token is named by --help, by help config and where a node refuses', async (t) => {
  const refusing = await standIn(t, { '/status': [401, {}] });
  const texts = [
    (await weir(t, ['status', '--help'])).stdout,
    (await weir(t, ['help', 'config'])).stdout,
    (await weir(t, ['status', '--url', refusing.url])).stderr,
  ];
  for (const text of texts) assert.match(text, /x-admin-token/);
});

test('a proxy meant for the world is not asked for a node', async (t) => {
  const node = await standIn(t, { '/health': [200, {}] });
  const env = { http_proxy: 'http://127.0.0.1:1', ALL_PROXY: 'http://127.0.0.1:1' };
  assert.equal((await weir(t, ['health', '--url', node.url], { env })).code, 0);
});

test('a node that serves HTTPS is recognised by its own certificate, and only by that', async (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'weir-tls-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  const make = (name) => {
    const [cert, key] = [path.join(folder, `${name}.pem`), path.join(folder, `${name}.key`)];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
      '-subj', `/CN=${name}.example`, '-keyout', key, '-out', cert], { stdio: 'ignore' });
    return { cert, key };
  };
  const [own, other] = [make('own'), make('other')];
  const tls = { cert: fs.readFileSync(own.cert), key: fs.readFileSync(own.key) };
  const node = await standIn(t, { '/health': [200, {}] }, tls);
  const config = (files) => ({ 'config.json': { ...ONE, server: { port: node.port, tls: files } } });
  const right = await weir(t, ['health'], { files: config(own) });
  assert.equal(right.code, 0, right.stderr);
  const wrong = await weir(t, ['health'], { files: config(other) });
  assert.equal(wrong.code, 1);
  assert.equal((await weir(t, ['health', '--url', node.url])).code, 1);
});

test('a node that is away, refuses or is none is told apart, with exit code 1', async (t) => {
  const refusing = await standIn(t, { '/status': [401, {}] });
  const down = await standIn(t, { '/status': [503, { type: 'error', error: { message: 'Redis \x1b[31mis away' } }], '/health': [500, ''] });
  const other = await standIn(t, { '/status': [200, '<html>'] });
  const cases = [
    [['status', '--url', 'http://127.0.0.1:1'], /no answer from http:\/\/127\.0\.0\.1:1/],
    [['status', '--url', refusing.url], /refuses \(401\).*WEIR_ADMIN_TOKEN/],
    [['status', '--url', down.url], /answered 503: Redis \?\[31mis away/],
    [['health', '--url', down.url], /answered 500/],
    [['status', '--url', other.url], /not as a Weir node does/],
  ];
  for (const [args, words] of cases) {
    const { code, stderr } = await weir(t, args);
    assert.equal(code, 1, args.join(' '));
    assert.match(stderr, words);
  }
});

const CLOSED = {
  subscriptions: [
    { name: 'main', in_cooldown: false, health: '' },
    { name: 'spare', in_cooldown: true, cooldown_remaining: 300, cooldown_reason: 'its quota is used up: 7d', health: '' },
    { name: 'third', in_cooldown: false, health: 'broken 12s\x1b[31m' },
  ],
};

test('cooldown list shows what is closed, why and for how long', async (t) => {
  const node = await standIn(t, { '/status': [200, CLOSED] });
  const { code, stdout } = await weir(t, ['cooldown', 'list', '--url', node.url]);
  assert.equal(code, 0);
  assert.match(stdout, /^spare +5 min +its quota is used up: 7d/m);
  assert.match(stdout, /^third +- +broken 12s\?\[31m/m);
  assert.doesNotMatch(stdout, /main/);
  const open = await standIn(t, { '/status': [200, { subscriptions: [CLOSED.subscriptions[0]] }] });
  assert.equal((await weir(t, ['cooldown', 'list', '--url', open.url])).stdout, 'nothing is closed\n');
});

const clearing = (sent) => {
  const { subscription } = JSON.parse(sent);
  const lifted = { main: '', spare: 'cooldown 300s (r)', third: 'broken 12s' }[subscription];
  if (lifted === undefined) return [404, { error: { message: `name: expected a subscription of this pool (main), got '${subscription}'` } }];
  return [200, { subscription, lifted, status: lifted === '' ? 'nothing was closed' : 'cleared' }];
};

test('cooldown clear asks the node, says what was lifted, and is content if nothing was closed', async (t) => {
  const node = await standIn(t, { '/status': [200, CLOSED], '/api/cooldown/clear': clearing });
  const clear = (...args) => weir(t, ['cooldown', 'clear', ...args, '--url', node.url], { env: { WEIR_ADMIN_TOKEN: 'secret' } });
  const one = await clear('spare');
  assert.deepEqual([one.code, one.stdout], [0, 'spare: lifted cooldown 300s (r); the next request tries it\n']);
  const [asked] = node.asked;
  assert.deepEqual([asked.method, asked.headers['content-type'], asked.headers['x-admin-token']], ['POST', 'application/json', 'secret']);
  const open = await clear('main');
  assert.deepEqual([open.code, open.stdout], [0, 'main: nothing was closed\n']);
  const unknown = await clear('spär"e');
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /answered 404: name: expected a subscription of this pool \(main\)/);
  node.asked.length = 0;
  const all = await clear('--all');
  assert.equal(all.code, 0);
  assert.deepEqual(node.asked.map((each) => each.sent), ['', '{"subscription":"spare"}', '{"subscription":"third"}']);
});

test('cooldown complains as status does', async (t) => {
  const refusing = await standIn(t, { '/status': [401, {}], '/api/cooldown/clear': [401, {}] });
  const other = await standIn(t, { '/status': [200, '<html>'], '/api/cooldown/clear': [200, '{}'] });
  for (const args of [['list'], ['clear', 'x'], ['clear', '--all']]) {
    for (const [url, words] of [[refusing.url, /refuses \(401\)/], [other.url, /not as a Weir node does/], ['http://127.0.0.1:1', /no answer from/]]) {
      const { code, stderr } = await weir(t, ['cooldown', ...args, '--url', url]);
      assert.equal(code, 1);
      assert.match(stderr, words);
    }
  }
});

test('an address that is only a guess is called one', async (t) => {
  const { code, stderr } = await weir(t, ['health'], { env: { PORT: '1' } });
  assert.equal(code, 1);
  assert.match(stderr, /127\.0\.0\.1:1: .*a guess.*--url/);
  const free = await weir(t, ['status'], { env: { ANTHROPIC_API_KEY: 'k', PORT: '0' } });
  assert.equal(free.code, 2);
  assert.match(free.stderr, /server\.port is 0.*--url/);
});

test('output that cannot be written is a failure', async (t) => {
  if (!fs.existsSync('/dev/full')) return t.skip('no /dev/full');
  const full = fs.openSync('/dev/full', 'w');
  t.after(() => fs.closeSync(full));
  assert.throws(() => execFileSync(path.resolve(binary), ['version'], { stdio: ['ignore', full, 'ignore'] }),
    (error) => error.status === 1);
});

const WRONG = {
  subscriptions: [
    { name: 'bad name', api_key: 'sk-ant-api03-x', max_concurrent: 0 },
    { name: 'b', base_url: 'nowhere' },
    { api_key: 'two words', prority: 1 },
    { name: 'd', api_key: 'sk-ant-api03-d' },
    { name: 'd', api_key: 'sk-ant-api03-e' },
  ],
  server: { port: 70000 },
  tiemouts: {},
};

test('check and serve list all errors of a config, each with its place, and no key', async (t) => {
  for (const command of ['check', 'serve']) {
    const { code, stderr } = await weir(t, [command, '--config', 'w.json'],
      { files: { 'w.json': WRONG }, env: { LOG_LEVEL: 'loud' } });
    assert.equal(code, 2);
    const lines = stderr.trim().split('\n').filter((line) => !/^weir: \d+ errors$/.test(line));
    const places = lines.map((line) => /^weir: (w\.json|LOG_LEVEL \(environment\)): ([^:]+): .*, expected ./.exec(line)?.[2] ?? line);
    assert.deepEqual(places.sort(), [
      'logging.level', 'server.port', 'subscriptions[0].max_concurrent', 'subscriptions[0].name', 'subscriptions[1]',
      'subscriptions[1].base_url', 'subscriptions[2].api_key', 'subscriptions[2].name', 'subscriptions[2].prority',
      'subscriptions[4].name', 'tiemouts',
    ]);
    assert.ok(!/two words|sk-ant/.test(stderr), stderr);
    if (command === 'check') assert.match(stderr, /^weir: 11 errors$/m);
  }
});

test('of very many errors twenty are listed, and the rest counted', async (t) => {
  const subscriptions = Array.from({ length: 50 }, (_, i) => ({ name: `s${i}` }));
  const { code, stderr } = await weir(t, ['check', '--config', 'w.json'], { files: { 'w.json': { subscriptions } } });
  assert.equal(code, 2);
  assert.equal(stderr.match(/no key, expected/g).length, 20);
  assert.match(stderr, /^weir: and 30 more$/m);
});
