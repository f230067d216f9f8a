// Who calls, and who may: names of clients, callers through a tunnel, the admin token, secrets.
import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import {
    call,
    connect,
    eventually,
    headersOf,
    key,
    messagesRequest,
    messages,
    ownError,
    post,
    quiet,
    request,
    test,
} from './harness/index.js';

const NAMES = [
    [{ 'x-client-id': 'bot-7' }, 'bot-7'],
    [{ 'x-bot-id': 'old-bot' }, 'old-bot'],
    [{ 'x-bot-id': 'old-bot', 'x-client-id': 'new-bot' }, 'new-bot'],
    [{}, '127.0.0.1'],
    [{ 'x-client-id': '' }, '127.0.0.1'],
    [{ 'x-client-id': '', 'x-bot-id': 'spare' }, 'spare'],
    [{ 'x-client-id': 'team:a@host_1.x-Y' }, 'team:a@host_1.x-Y'],
    [{ 'x-client-id': 'a b/c' }, 'a_b_c'],
    [{ 'x-client-id': 'weir:{main}:subs*?[]' }, 'weir:_main_:subs____'],
    [{ 'x-client-id': '<script>"\'' }, '_script___'],
    [{ 'x-client-id': 'x'.repeat(500) }, 'x'.repeat(64)],
];

test('x-client-id, else x-bot-id, else the address names a client', async (world, t) => {
    const { provider, redis, node } = await world.setting();
    for (const [headers, name] of NAMES) {
        await t.test(JSON.stringify(headers).slice(0, 60), async () => {
            const before = await redis.booked(`client:${name}`);
            const answer = await post(node.port, { headers });
            assert.equal(answer.status, 200);
            assert.equal((await node.finished(answer)).client, name);
            await redis.bookedReaches(`client:${name}`, { requests: (before.requests ?? 0) + 1 });
        });
    }
    for (const record of await provider.log()) {
        assert.deepEqual(headersOf(record, 'x-client-id'), []);
        assert.deepEqual(headersOf(record, 'x-bot-id'), []);
    }
});

test("any bytes in a client's name or model do no harm", async (world) => {
    const { provider, redis, node } = await world.setting();
    const odd = 'caf\u00e9 \u00ff\u0080 %s%n $(x) `y` \\ "quoted" \';--';
    const model = 'model {with} "odd" \\ \u2028 letters \u0000 and \ud83d\ude00'.padEnd(400, '!');
    const answer = await post(node.port, { headers: { 'x-client-id': odd }, model });
    assert.equal(answer.status, 200);
    const line = await node.finished(answer);
    assert.match(line.client, /^[A-Za-z0-9._:@-]{1,64}$/);
    assert.match(line.client, /^caf_/);
    await quiet({ node, provider });
    const totals = await (await redis.view()).hGetAll('weir:{main}:totals');
    for (const field of Object.keys(totals))
        assert.match(field, /^[A-Za-z0-9._:@()-]{1,160}$/, field);
});

test('a thousand and more client names fill a book, not the memory', async (world) => {
    const config = { logging: { level: 'info' } };
    const { redis, node } = await world.setting({ max: 100, config });
    const one = async (lane) => {
        const wire = await connect(node.port);
        for (let i = 0; i < 140; i++) {
            const headers = { 'x-client-id': `c-${lane}-${i}` };
            await wire.send(messagesRequest({ headers }));
            assert.equal((await wire.answer()).status, 200);
        }
        wire.leave();
    };
    await Promise.all(Array.from({ length: 8 }, (_, lane) => one(lane)));
    await redis.bookedReaches('sub:alpha', { requests: 1120 });
    const view = await redis.view();
    let clients;
    await eventually('every request to be booked under a name', async () => {
        const lines = Object.entries(await view.hGetAll('weir:{main}:totals'));
        clients = lines.filter(([name]) => name.startsWith('client:'));
        const booked = clients.map(([, line]) => Number(line.match(/requests=(\d+)/)[1]));
        return booked.reduce((sum, requests) => sum + requests, 0) === 1120;
    });
    assert.ok(clients.length <= 1001, `${clients.length}`);
    assert.ok(clients.some(([name]) => name === 'client:(other)'));
});

const TUNNEL_SIGNS = {
    'cf-ray': '8f00aa-FRA',
    'cf-connecting-ip': '203.0.113.9',
    'x-forwarded-for': '203.0.113.9',
};

test('a request that came through a tunnel is refused, but on health paths', async (world, t) => {
    const { provider, node } = await world.setting();
    for (const [name, value] of Object.entries(TUNNEL_SIGNS)) {
        await t.test(name, async () => {
            const headers = { [name]: value };
            const refused = await post(node.port, { headers });
            ownError(refused, 401, 'authentication_error');
            assert.equal(refused.header('x-should-retry'), 'false');
            for (const path of ['/v1/models', '/status', '/metrics']) {
                ownError(await node.get(path, { headers }), 401, 'authentication_error');
            }
            const reload = await call(node.port, 'POST', '/admin/reload', { headers, body: '' });
            ownError(reload, 401, 'authentication_error');
            for (const path of ['/health', '/ready']) {
                assert.equal((await node.get(path, { headers })).status, 200, path);
            }
        });
    }
    assert.deepEqual(await provider.log(), []);
});

test('an upload of such a one gets its answer at once, and nothing of it is held', async (world) => {
    const { provider, node } = await world.setting();
    const much = 'x'.repeat(1 << 20);
    const from = node.mark();
    for (let i = 0; i < 8; i++) {
        const headers = { 'cf-ray': '1', 'x-client-id': 'stranger', 'content-length': 32 << 20 };
        const wire = await connect(node.port);
        await wire.send(request('POST', '/v1/messages', { headers }));
        wire.send(Buffer.from(much)).catch(() => {}); // it may close before the end
        const answer = await wire.answer();
        ownError(answer, 401, 'authentication_error');
        const line = await node.event('request turned away', undefined, { from });
        assert.deepEqual([line.client, line.path], ['stranger', '/v1/messages']);
        wire.leave();
    }
    const metrics = await node.metrics();
    assert.equal(metrics.value('weir_request_bodies_held_bytes'), 0);
    assert.equal((await node.status()).total_active, 0);
    assert.equal((await post(node.port)).status, 200);
    assert.equal((await provider.log()).length, 1);
});

/** As a browser sends it for a page: no preflight is asked for a plain text. */
const page = (headers) => ({ 'content-type': 'text/plain', ...headers });
const FOREIGN = {
    'a page of another site': page({ origin: 'https://evil.example' }),
    'a page of another site by HTTP, at an address': page({ origin: 'http://203.0.113.7' }),
    'a page in a sandboxed frame': page({ origin: 'null' }),
    'a page that rebinds its name': page({ host: 'evil.example:8080' }),
    'the same, and says so': page({ host: 'evil.example', origin: 'http://evil.example' }),
    'an image or a link of another site': { 'sec-fetch-site': 'cross-site' },
};

for (const [name, headers] of Object.entries(FOREIGN)) {
    test(`${name} gets nothing, and is told what to set`, async (world) => {
        const { provider, node } = await world.setting();
        const words = headers.origin === 'null' || headers['sec-fetch-site'] ? /browser/ : null;
        const answers = [await post(node.port, { headers })];
        for (const path of ['/v1/models', '/status', '/metrics'])
            answers.push(await node.get(path, { headers }));
        answers.push(await call(node.port, 'POST', '/admin/reload', { headers, body: '' }));
        for (const answer of answers) {
            const { error } = ownError(answer, 403, 'permission_error');
            assert.match(error.message, words ?? /add "[^":]+" to "server\.names"/);
        }
        assert.equal((await node.get('/health', { headers })).status, 200);
        assert.equal(node.events('reloaded').length, 0);
        assert.deepEqual(await provider.log(), []);
        assert.equal((await post(node.port)).status, 200);
    });
}

test('server.names, private names and addresses are ours, and so are their pages', async (world) => {
    const config = { server: { names: ['llm.example.com'] } };
    const { node } = await world.setting({ max: 20, config });
    const hosts = ['LLM.example.com:8080', 'node', 'mac.local', 'weir.lan', '192.0.2.7', '[::1]:80'];
    for (const host of hosts) {
        assert.equal((await post(node.port, { headers: { host } })).status, 200, host);
        assert.equal((await node.get('/status', { headers: { host } })).status, 200, host);
    }
    const pages = ['https://llm.example.com', 'http://localhost:3000', 'vscode-webview://1a2b'];
    for (const origin of pages)
        assert.equal((await post(node.port, { headers: { origin } })).status, 200, origin);
    const config2 = structuredClone(node.config);
    config2.server.names = [];
    await node.reload(config2);
    const headers = { host: 'llm.example.com' };
    ownError(await post(node.port, { headers }), 403, 'permission_error');
});

test('WEIR_NAMES says the same, separated by commas', async (world) => {
    const { node } = await world.setting({ env: { WEIR_NAMES: 'a.example, llm.example.com' } });
    assert.equal((await post(node.port, { headers: { host: 'llm.example.com' } })).status, 200);
    assert.equal((await post(node.port, { headers: { host: 'a.example:80' } })).status, 200);
});

test('with "auth": "open" any name will do, but pages of other sites stay outside', async (world) => {
    const { provider, node } = await world.setting({ config: { auth: 'open' } });
    const headers = { host: 'llm.example.com', 'cf-ray': '1' };
    assert.equal((await post(node.port, { headers })).status, 200);
    headers.origin = 'https://evil.example';
    ownError(await post(node.port, { headers }), 403, 'permission_error');
    assert.equal((await provider.log()).length, 1);
});

test('without a token the admin paths are for this machine, with one for its bearer', async (world) => {
    const config = { server: { host: '0.0.0.0' }, auth: 'open' };
    const { node } = await world.setting({ config });
    const lan = Object.values(networkInterfaces()).flat();
    const far = lan.find(({ family, internal }) => family === 'IPv4' && !internal);
    assert.equal((await node.get('/status')).status, 200);
    if (!far) return;
    const ask = async (headers = {}) => {
        const wire = await connect(node.port, { to: far.address });
        await wire.send(request('GET', '/status', { headers }));
        return wire.answer();
    };
    ownError(await ask(), 401, 'authentication_error');
    const secured = structuredClone(node.config);
    secured.admin = { token: 'admin-token-0123456789' };
    await node.reload(secured);
    assert.equal((await ask({ 'x-admin-token': secured.admin.token })).status, 200);
});

test('with "auth": "open" those are served, but the admin paths stay closed', async (world) => {
    const { provider, node } = await world.setting({ config: { auth: 'open' } });
    for (const [name, value] of Object.entries(TUNNEL_SIGNS)) {
        const headers = { [name]: value };
        assert.equal((await post(node.port, { headers })).status, 200);
        ownError(await node.get('/status', { headers }), 401, 'authentication_error');
    }
    assert.equal((await provider.log()).length, 3);
});

test('WEIR_AUTH=open says the same', async (world) => {
    const { node } = await world.setting({ env: { WEIR_AUTH: 'open' } });
    assert.equal((await post(node.port, { headers: { 'cf-ray': '1' } })).status, 200);
});

test('a caller from outside the trusted networks is refused', async (world) => {
    const config = { server: { trusted_networks: ['10.1.0.0/16', '127.0.0.2/32'] } };
    const { provider, node } = await world.setting({ config });
    ownError(await post(node.port), 401, 'authentication_error');
    ownError(await node.get('/status'), 401, 'authentication_error');
    assert.equal((await node.get('/health')).status, 200);
    const trusted = await connect(node.port, { from: '127.0.0.2' });
    await trusted.send(messagesRequest());
    assert.equal((await trusted.answer()).status, 200);
    assert.equal((await provider.log()).length, 1);
});

test('the admin token opens the admin paths, which else are shut', async (world) => {
    const token = 'admin-token-0123456789';
    const { node } = await world.setting({ config: { admin: { token } } });
    const paths = ['/status', '/metrics'];
    const good = [{ authorization: `Bearer ${token}` }, { 'x-admin-token': token }];
    const bad = [
        {},
        { 'x-admin-token': `${token}x` },
        { 'x-admin-token': token.slice(1) },
        { authorization: token },
        { authorization: 'Bearer ' },
        { 'x-admin-token': '' },
    ];
    for (const path of paths) {
        for (const headers of good) assert.equal((await node.get(path, { headers })).status, 200);
        for (const headers of bad) {
            ownError(await node.get(path, { headers }), 401, 'authentication_error');
        }
    }
    const tunnelled = { ...good[0], 'cf-ray': '1' };
    assert.equal((await node.get('/status', { headers: tunnelled })).status, 200);
    assert.equal((await node.get('/health')).status, 200);
    assert.equal((await post(node.port)).status, 200, 'the data paths are another matter');
});

test('WEIR_ADMIN_TOKEN sets the admin token', async (world) => {
    const { node } = await world.setting({ env: { WEIR_ADMIN_TOKEN: 'from-the-environment' } });
    node.secrets.add('from-the-environment');
    ownError(await node.get('/status'), 401, 'authentication_error');
    const headers = { 'x-admin-token': 'from-the-environment' };
    assert.equal((await node.get('/status', { headers })).status, 200);
});

test('no secret is in any log line, answer or metric, at debug level', async (world) => {
    const token = 'admin-token-very-secret';
    const config = { admin: { token }, auth: 'open', timeouts: { first_byte_ms: 300 } };
    const { provider, redis, node } = await world.setting({ subscriptions: 2, config });
    const own = [
        'sk-ant-the-clients-own',
        'client-bearer-secret',
        'cfast_secretsecret',
        'tok-secret',
        'prompt-text-secret',
        'query-secret',
    ];
    for (const secret of own) node.secrets.add(secret);
    const headers = {
        'x-api-key': own[0],
        authorization: `Bearer ${own[1]}`,
        'cf-access-client-secret': own[2],
        'x-api-token': own[3],
    };
    const faults = [{}, { status: 429 }, { status: 401 }, { bad_head: true }, { stall: true }];
    await provider.fault('*', ...faults);
    for (let i = 0; i < 6; i++)
        await post(node.port, { headers, text: own[4], stream: i % 2 === 0 });
    await call(node.port, 'GET', `/v1/models?api_key=${own[5]}`, { headers });
    const wire = await connect(node.port);
    await wire.send(request('GET', '/v1/x', { headers: { ...headers, 'bad name': own[0] } }));
    await wire.answer();
    const seen = [];
    const admin = { headers: { 'x-admin-token': token } };
    for (const path of ['/', '/status', '/metrics', '/health', '/ready']) {
        seen.push((await node.get(path, admin)).text);
    }
    seen.push(await redis.cli('FCALL_RO', 'weir_status', '1', 'weir:{main}'));
    for (const secret of [key('alpha'), key('beta'), token, ...own]) {
        for (const text of seen) assert.ok(!text.includes(secret), `${secret} is shown`);
    }
    await quiet({ node: { activeReaches: (n) => untilActive(node, n, admin) }, provider });
}); // and every node's whole log is searched when it ends

async function untilActive(node, count, admin) {
    let active;
    do active = (await node.status(admin)).total_active;
    while (active !== count);
}

test('no secret is in the keys or values of Redis', async (world) => {
    const { redis, node } = await world.setting();
    await post(node.port, { headers: { 'x-api-key': 'the-clients-own-secret' } });
    await redis.bookedReaches('sub:alpha', { requests: 1 });
    const view = await redis.view();
    const read = {
        hash: (name) => view.hGetAll(name),
        list: (name) => view.lRange(name, 0, -1),
        none: () => null, // it has gone meanwhile
        set: (name) => view.sMembers(name),
        stream: (name) => view.xRange(name, '-', '+'),
        string: (name) => view.get(name),
        zset: (name) => view.zRangeWithScores(name, 0, -1),
    };
    for (const name of await view.keys('*')) {
        const value = await read[await view.type(name)](name);
        assert.doesNotMatch(JSON.stringify([name, value]), /sk-ant-|clients-own/);
    }
});

test('a body that names its client does not decide who calls', async (world) => {
    const { node } = await world.setting();
    const body = messages({ metadata: { user_id: 'someone' } });
    const answer = await post(node.port, { body });
    assert.equal((await node.finished(answer)).client, '127.0.0.1');
});
