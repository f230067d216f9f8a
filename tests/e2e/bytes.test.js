// What passes through, and what does not: bodies byte for byte, headers one by one.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import {
    call,
    connect,
    headersOf,
    key,
    messages,
    messagesRequest,
    post,
    quiet,
    request,
    size,
    test,
} from './harness/index.js';

test('a 32 MB body goes up byte for byte', async (world) => {
    const { provider, node } = await world.setting();
    const start = '{"model":"claude-test-1","max_tokens":5,"messages":[{"role":"user","content":"';
    const body = Buffer.alloc(32 * 1024 * 1024, 'The quick brown fox jumps over the lazy dog. ');
    body.write(start);
    body.write('"}]}', body.length - 4);
    const answer = await post(node.port, { body, ms: 40000 });
    assert.equal(answer.status, 200);
    const [record] = await provider.log();
    assert.equal(record.body_bytes, body.length);
    assert.equal(record.body_sha256, provider.digest(body));
    assert.equal((await node.finished(answer)).bytes_in, body.length);
});

test('a body of any bytes goes up as it is', async (world) => {
    const { provider, node } = await world.setting();
    const bodies = [
        Buffer.from(
            '{"model":"claude-test-1",  "model":"twice",\n"max_tokens": 1e1, "x":"\\u00e9\u00e9"}',
        ),
        Buffer.concat([Buffer.from([0, 255, 254, 13, 10, 13, 10]), randomBytes(5000)]),
        Buffer.alloc(0),
        Buffer.from('0\r\n\r\nGET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n'),
    ];
    for (const body of bodies) {
        const headers = { 'content-type': 'application/octet-stream' };
        await call(node.port, 'POST', '/v1/files', { headers, body });
    }
    const log = await provider.log();
    assert.equal(log.length, bodies.length);
    log.forEach((record, i) => assert.equal(record.body_sha256, provider.digest(bodies[i])));
});

test('an answer comes down byte for byte, whatever its size and framing', async (world, t) => {
    const { provider, node } = await world.setting();
    const direct = (script) => post(provider.port, { script, headers: { 'x-api-key': 'direct' } });
    const scripts = {
        'one byte': { body: 'x', status: 200 },
        'two KB, sized': { text_bytes: 2000, content_length: true },
        'two KB, chunked': { text_bytes: 2000, chunked: true },
        '200 KB, sized': { raw_bytes: 200000, content_length: true },
        '5 MB, chunked': { raw_bytes: size(5000000), chunked: true },
        'until close': { raw_bytes: 300000, until_close: true },
    };
    for (const [name, script] of Object.entries(scripts)) {
        await t.test(name, async () => {
            const wanted = await direct(script);
            const got = await post(node.port, { script });
            assert.equal(got.status, 200);
            assert.equal(masked(got), masked(wanted));
            assert.equal(got.header('content-type'), wanted.header('content-type'));
        });
    }
    await quiet({ node, provider });
});

/** The digits of an id differ from answer to answer; all else must not. */
const masked = (answer) => answer.text.replace(/"id":"msg_\w+"/, '"id":"msg"');

test('a gzip answer passes intact, and its usage is read all the same', async (world) => {
    const { provider, node } = await world.setting();
    const usage = { input_tokens: 321, output_tokens: 45 };
    for (const stream of [false, true]) {
        const headers = { 'accept-encoding': 'gzip, deflate' };
        const answer = await post(node.port, { script: { gzip: true, usage }, stream, headers });
        assert.equal(answer.header('content-encoding'), 'gzip');
        const text = gunzipSync(answer.body).toString();
        assert.match(text, stream ? /event: message_stop/ : /"type":"message"/);
        const line = await node.finished(answer);
        assert.deepEqual([line.input, line.output], [321, 45]);
    }
    assert.deepEqual(headersOf((await provider.log())[0], 'accept-encoding'), ['gzip, deflate']);
});

test('a coding that could not be read is not asked for', async (world) => {
    const { provider, node } = await world.setting();
    await post(node.port, { headers: { 'accept-encoding': 'gzip, deflate, br, zstd' } });
    await post(node.port, { headers: { 'accept-encoding': 'br' } });
    await post(node.port, { headers: { 'accept-encoding': 'identity' } });
    await post(node.port, {});
    for (const record of await provider.log()) {
        for (const value of headersOf(record, 'accept-encoding')) {
            assert.doesNotMatch(value, /br|zstd/, 'usage could not be read through it');
        }
    }
});

const PASSED = [
    ['anthropic-version', '2023-06-01'],
    ['anthropic-beta', 'one-2025-01-01, two-2025-02-02'],
    ['Anthropic-Beta', 'three-2025-03-03'],
    ['x-app', 'cli'],
    ['X-Claude-Code-Session-Id', '0b5c'],
    ['user-agent', 'Anthropic/JS 1.11.0'],
    ['x-stainless-retry-count', '0'],
    ['accept', 'application/json'],
    ['traceparent', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'],
    ['x-unknown', 'first'],
    ['x-unknown', 'second; with="quotes"'],
    ['x-empty', ''],
    ['x-latin', 'caf\u00e9'],
    ['content-type', 'application/json'],
];

const HELD_BACK = [
    ['x-api-key', "the-client's-own"],
    ['authorization', "Bearer the-client's-own"],
    ['x-api-token', 'the-client-token'],
    ['x-admin-token', 'the-admin-token'],
    ['x-client-id', 'bot-7'],
    ['x-bot-id', 'bot-8'],
    ['proxy-authorization', 'Basic eDp5'],
    ['connection', 'keep-alive, x-hop'],
    ['x-hop', 'named by connection'],
    ['keep-alive', 'timeout=5'],
    ['te', 'trailers'],
    ['trailer', 'x-sum'],
    ['upgrade', 'websocket'],
    ['proxy-connection', 'keep-alive'],
    ['cf-connecting-ip', '203.0.113.9'],
    ['cf-ray', '8f00-FRA'],
    ['cf-ipcountry', 'DE'],
    ['cf-visitor', '{"scheme":"https"}'],
    ['cf-access-client-id', 'id.access'],
    ['cf-access-client-secret', 'cf-secret'],
    ['cf-access-jwt-assertion', 'e30.e30.x'],
    ['cdn-loop', 'cloudflare'],
    ['x-forwarded-for', '203.0.113.9'],
    ['x-forwarded-proto', 'https'],
    ['x-forwarded-host', 'weir.example'],
];

test('unknown headers go up in order, with their names as written', async (world) => {
    const { provider, node } = await world.setting();
    await call(node.port, 'POST', '/v1/messages', { headers: PASSED, body: messages() });
    const [record] = await provider.log();
    const names = new Set(PASSED.map(([name]) => name.toLowerCase()));
    const seen = record.headers.filter(([name]) => names.has(name.toLowerCase()));
    assert.deepEqual(seen, PASSED);
});

test('credentials, hop-by-hop and tunnel headers stay behind', async (world) => {
    const { provider, node } = await world.setting({ config: { auth: 'open' } });
    const headers = [...HELD_BACK, ['content-type', 'application/json'], ['x-kept', '1']];
    const answer = await call(node.port, 'POST', '/v1/messages', { headers, body: messages() });
    assert.equal(answer.status, 200);
    const [record] = await provider.log();
    assert.deepEqual(headersOf(record, 'x-kept'), ['1']);
    assert.deepEqual(headersOf(record, 'x-api-key'), [key('alpha')]);
    assert.deepEqual(headersOf(record, 'host'), [`127.0.0.1:${provider.port}`]);
    assert.deepEqual(headersOf(record, 'content-length'), [`${messages().length}`]);
    for (const [name, value] of HELD_BACK) {
        const values = headersOf(record, name);
        assert.ok(!values.includes(value), `${name}: ${value} went upstream`);
        if (name !== 'x-api-key' && name !== 'connection') assert.deepEqual(values, [], name);
    }
    const text = JSON.stringify(record.headers);
    assert.doesNotMatch(text, /client's-own|client-token|admin-token|cf-secret|203\.0\.113/);
});

test('an OAuth token goes up as Bearer, with its beta added once', async (world) => {
    const provider = await world.provider();
    const token = 'sk-ant-oat01-secret-token-of-a-subscription';
    const subscriptions = [{ name: 'oauth', api_key: token, base_url: provider.url }];
    const { node } = await world.setting({ provider, config: { subscriptions } });
    const betas = [undefined, 'files-api-2025-04-14', 'oauth-2025-04-20', 'a-1,oauth-2025-04-20'];
    for (const beta of betas) {
        await post(node.port, { headers: beta ? { 'anthropic-beta': beta } : {} });
    }
    const log = await provider.log();
    log.forEach((record, i) => {
        assert.deepEqual(headersOf(record, 'authorization'), [`Bearer ${token}`]);
        assert.deepEqual(headersOf(record, 'x-api-key'), []);
        const sent = headersOf(record, 'anthropic-beta').join(',').split(/, */);
        assert.equal(sent.filter((beta) => beta === 'oauth-2025-04-20').length, 1);
        for (const beta of betas[i]?.split(',') ?? []) assert.ok(sent.includes(beta), beta);
    });
});

test('an API key goes up as x-api-key, and no beta is added', async (world) => {
    const { provider, node } = await world.setting();
    await post(node.port, { headers: { authorization: 'Bearer what-the-client-has' } });
    const [record] = await provider.log();
    assert.deepEqual(headersOf(record, 'x-api-key'), [key('alpha')]);
    assert.deepEqual(headersOf(record, 'authorization'), []);
    assert.deepEqual(headersOf(record, 'anthropic-beta'), []);
});

test('a base_url with a path is kept in front', async (world) => {
    const provider = await world.provider();
    const subscriptions = world.subscriptions(provider, 1, {
        base_url: `${provider.url}/api/team/`,
    });
    const { node } = await world.setting({ provider, config: { subscriptions } });
    await post(node.port, { target: '/v1/messages?beta=true' });
    assert.equal((await provider.log())[0].target, '/api/team/v1/messages?beta=true');
});

const UPSTREAM_HEADERS = {
    'request-id': 'req_upstream_1',
    'anthropic-organization-id': 'org-1',
    'x-new-thing': ['one', 'two'],
    'x-should-retry': 'false',
    'anthropic-ratelimit-requests-remaining': '7',
    'anthropic-ratelimit-unified-5h-utilization': '0.4',
    'keep-alive': 'timeout=5',
    'proxy-authenticate': 'Basic',
    'set-cookie': ['session=1; Domain=provider.test', '__cf_bm=2'],
    'strict-transport-security': 'max-age=31536000; includeSubDomains; preload',
    'alt-svc': 'h3=":443"; ma=86400',
    'clear-site-data': '"*"',
    nel: '{"max_age":604800}',
    'report-to': '{"group":"cf-nel"}',
};
const OF_THE_PROVIDER = [
    'anthropic-organization-id',
    'set-cookie',
    'strict-transport-security',
    'alt-svc',
    'clear-site-data',
    'nel',
    'report-to',
];

test('headers of an answer come down, but none between neighbours, of quota, account or domain', async (world) => {
    const { node } = await world.setting();
    const answer = await post(node.port, { script: { headers: UPSTREAM_HEADERS } });
    assert.equal(answer.header('request-id'), 'req_upstream_1');
    assert.equal(answer.header('x-should-retry'), 'false');
    const twice = answer.headers
        .filter(([name]) => name === 'x-new-thing')
        .map(([, value]) => value);
    assert.deepEqual(twice, ['one', 'two']);
    const names = answer.headers.map(([name]) => name);
    for (const gone of ['keep-alive', 'proxy-authenticate']) assert.ok(!names.includes(gone), gone);
    for (const gone of OF_THE_PROVIDER) assert.ok(!names.includes(gone), gone);
    assert.ok(!names.some((name) => name.startsWith('anthropic-ratelimit-')), 'quota leaked');
    assert.match(answer.header('x-weir-request-id'), /\S/);
    assert.equal(answer.header('x-weir-subscription'), undefined);
});

test('nor do they with a stream, or with an error of the provider', async (world) => {
    const { node } = await world.setting();
    const scripts = [{}, { status: 400 }, { status: 404 }];
    for (const [i, script] of scripts.entries()) {
        const answer = await post(node.port, {
            stream: i === 0,
            script: { ...script, headers: UPSTREAM_HEADERS },
        });
        assert.equal(answer.status, script.status ?? 200);
        assert.equal(answer.header('request-id'), 'req_upstream_1', 'it is that answer');
        const names = answer.headers.map(([name]) => name);
        const isTheirs = (name) => OF_THE_PROVIDER.includes(name) || /ratelimit/.test(name);
        assert.deepEqual(names.filter(isTheirs), []);
    }
});

test('pass_limits passes quota headers, expose_subscription says who served', async (world) => {
    const config = { server: { pass_limits: true, expose_subscription: true } };
    const { node } = await world.setting({ config });
    const answer = await post(node.port, { script: { headers: UPSTREAM_HEADERS } });
    assert.equal(answer.header('anthropic-ratelimit-requests-remaining'), '7');
    assert.equal(answer.header('anthropic-ratelimit-unified-5h-utilization'), '0.4');
    for (const gone of OF_THE_PROVIDER) assert.equal(answer.header(gone), undefined, gone);
    assert.equal(answer.header('x-weir-subscription'), 'alpha');
    assert.equal(answer.header('x-weir-attempts'), '1');
});

test('every request has an id of its own', async (world) => {
    const { node } = await world.setting();
    const wire = await connect(node.port);
    const ids = new Set();
    for (let i = 0; i < 10; i++) {
        await wire.send(i % 2 ? messagesRequest() : request('GET', '/v1/nothing'));
        ids.add((await wire.answer()).header('x-weir-request-id'));
    }
    assert.equal(ids.size, 10);
    assert.ok(!ids.has(undefined));
});

test('an answer without a body stays one: 204, 304, HEAD', async (world) => {
    const { node } = await world.setting();
    const wire = await connect(node.port);
    for (const status of [204, 304]) {
        await wire.send(messagesRequest({ script: { status, body: '' } }));
        const answer = await wire.answer();
        assert.equal(answer.status, status);
        assert.equal(answer.header('transfer-encoding'), undefined);
    }
    await wire.send(messagesRequest());
    assert.equal((await wire.answer()).status, 200);
});

test('interim answers of the provider do not confuse what follows', async (world) => {
    const { node } = await world.setting();
    const whole =
        'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n' +
        'HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok';
    const answer = await post(node.port, { script: { bad_head: whole } });
    assert.equal(answer.status, 200);
    assert.equal(answer.text, 'ok');
});
