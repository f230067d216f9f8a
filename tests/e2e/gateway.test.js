// What Claude Code expects of a gateway, point by point: paths, what passes unchanged, what does not
// come down, and how errors look. (Streams are in stream and stream_ends, pings too.)
import assert from 'node:assert/strict';
import { call, connect, headersOf, key, messages, ownError, post, request, test } from './harness/index.js';

// As its version 2.1.329 sends them.
const CLAUDE_CODE = {
    'content-type': 'application/json',
    accept: 'application/json',
    'user-agent': 'claude-cli/2.1.329 (external, cli)',
    'x-app': 'cli',
    'anthropic-version': '2023-06-01',
    'anthropic-beta':
        'claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,unknown-2031-01-01',
    'anthropic-dangerous-direct-browser-access': 'true',
    'anthropic-workspace-id': 'wrkspc_01',
    'x-claude-code-session-id': '6e9b2b0e-5f0c-4b6c-9d8e-1f2a3b4c5d6e',
    'x-claude-code-agent-id': 'agent-7',
    'x-claude-code-request-class': 'subagent',
    'x-claude-1p-request-class': 'background-task',
    'x-stainless-retry-count': '0',
    'x-stainless-timeout': '600',
    'accept-encoding': 'gzip, deflate, br, zstd',
};

const BODY = JSON.stringify({
    model: 'claude-opus-4-5',
    system: [
        { type: 'text', text: 'x-anthropic-billing-header: cc_version=2.1.329; cc_entrypoint=cli;' },
        { type: 'text', text: 'You are…', cache_control: { type: 'ephemeral', ttl: '1h' } },
    ],
    messages: [{ role: 'user', content: [{ type: 'text', text: 'hello', a_new_field: [1, 2] }] }],
    max_tokens: 32000,
    thinking: { type: 'adaptive' },
    context_management: { edits: [] },
    safeguards: { mode: 'strict' },
    tags: ['a', 'b'],
    metadata: { user_id: '{"session_id":"6e9b"}' },
    stream: true,
}).replace('hello', 'h\\u0065llo'); // an escape that a parser would take away

test('a turn goes up as it came: path, query, headers, body', async (world) => {
    const { provider, node } = await world.setting();
    const answer = await post(node.port, {
        target: '/v1/messages?beta=true',
        headers: { ...CLAUDE_CODE, authorization: 'Bearer any' },
        body: BODY,
    });
    assert.equal(answer.status, 200);
    const [record] = await provider.log();
    assert.equal(record.target, '/v1/messages?beta=true');
    assert.equal(record.body_sha256, provider.digest(BODY));
    // Of codings only those in which an error event can stand at a stream's end.
    const sent = { ...CLAUDE_CODE, 'accept-encoding': 'gzip, deflate' };
    for (const [name, value] of Object.entries(sent))
        assert.deepEqual(headersOf(record, name), [value], name);
});

test('its key may come as a Bearer token, as x-api-key, or both: one of ours goes up', async (world) => {
    const { provider, node } = await world.setting();
    const ways = [
        { authorization: 'Bearer helper' },
        { 'x-api-key': 'helper' },
        { authorization: 'Bearer helper', 'x-api-key': 'helper' },
    ];
    for (const headers of ways) assert.equal((await post(node.port, { headers })).status, 200);
    for (const record of await provider.log()) {
        assert.deepEqual(headersOf(record, 'x-api-key'), [key('alpha')]);
        assert.deepEqual(headersOf(record, 'authorization'), []);
    }
});

test("an OAuth token's beta joins those of the client, once, and takes none away", async (world) => {
    const provider = await world.provider();
    const list = world.subscriptions(provider, 1, { api_key: 'sk-ant-oat01-0123456789abcdef' });
    const redis = await world.redis();
    const node = await world.node({ config: { subscriptions: list, redis: { url: redis.url } } });
    const OAUTH = 'oauth-2025-04-20';
    for (const betas of [CLAUDE_CODE['anthropic-beta'], `a-1,${OAUTH},b-2`]) {
        await post(node.port, { headers: { ...CLAUDE_CODE, 'anthropic-beta': betas } });
        const record = (await provider.log()).at(-1);
        const sent = headersOf(record, 'anthropic-beta').join(',').split(/, */);
        assert.deepEqual(
            sent.filter((one) => one !== OAUTH),
            betas.split(',').filter((one) => one !== OAUTH),
        );
        assert.equal(sent.filter((one) => one === OAUTH).length, 1);
        assert.deepEqual(headersOf(record, 'authorization'), [`Bearer ${list[0].api_key}`]);
    }
});

test('counting tokens goes up, and a provider without it is heard as it is', async (world) => {
    const { provider, node } = await world.setting();
    const target = '/v1/messages/count_tokens?beta=true';
    const answer = await post(node.port, { target, headers: CLAUDE_CODE });
    assert.equal(answer.status, 200);
    assert.equal((await provider.log())[0].target, target);
    for (const status of [404, 501]) {
        await provider.fault('alpha', { status });
        assert.equal((await post(node.port, { target, headers: CLAUDE_CODE })).status, status);
    }
    assert.equal((await post(node.port)).status, 200);
});

test('25 counts at once leave room for the turn beside them', async (world) => {
    const { node } = await world.setting({ max: 50 });
    const target = '/v1/messages/count_tokens?beta=true';
    const counts = Array.from({ length: 25 }, () => post(node.port, { target }));
    assert.equal((await post(node.port, { stream: true })).status, 200);
    for (const answer of await Promise.all(counts)) assert.equal(answer.status, 200);
});

test('discovery: GET /v1/models?limit=1000 comes back without a redirect', async (world) => {
    const { provider, node } = await world.setting();
    const answer = await call(node.port, 'GET', '/v1/models?limit=1000', { headers: CLAUDE_CODE });
    assert.equal(answer.status, 200);
    assert.ok(Array.isArray(answer.json.data));
    assert.equal((await provider.log())[0].target, '/v1/models?limit=1000');
});

test('probes and paths that are optional are answered by the node, and ask no provider', async (world) => {
    const { provider, node } = await world.setting();
    for (const [method, path] of [
        ['HEAD', '/'],
        ['GET', '/.well-known/oauth-authorization-server'],
        ['GET', '/managed/settings'],
        ['GET', '/api/oauth/usage'],
    ]) {
        const answer = await call(node.port, method, path, { headers: CLAUDE_CODE });
        const isProbe = method === 'HEAD';
        assert.equal(answer.status, isProbe ? 200 : 404, `${method} ${path}`);
        assert.equal(answer.header('location'), undefined);
        if (!isProbe) assert.match(answer.header('content-type'), /^application\/json/);
    }
    assert.deepEqual(await provider.log(), []);
});

test("quota headers and what is the provider's own do not come down", async (world) => {
    const { provider, node } = await world.setting();
    const HIDDEN = {
        'anthropic-ratelimit-unified-status': 'allowed',
        'anthropic-ratelimit-unified-representative-claim': 'five_hour',
        'anthropic-ratelimit-unified-5h-utilization': '0.4',
        'anthropic-ratelimit-requests-remaining': '12',
        'anthropic-organization-id': 'f0e1',
        'set-cookie': '__cf_bm=x',
        'strict-transport-security': 'max-age=1',
        'alt-svc': 'h3=":443"',
        connection: 'keep-alive, x-hop',
        'x-hop': '1',
    };
    const SHOWN = { 'request-id': 'req_011', 'anthropic-new-header': 'v', 'x-robots-tag': 'none' };
    for (const stream of [false, true]) {
        await provider.fault('alpha', { headers: { ...HIDDEN, ...SHOWN } });
        const answer = await post(node.port, { stream });
        assert.equal(answer.status, 200);
        for (const name of Object.keys(HIDDEN))
            if (name !== 'connection') assert.equal(answer.header(name), undefined, name);
        for (const [name, value] of Object.entries(SHOWN)) assert.equal(answer.header(name), value);
    }
});

test('what it recovers from by its wording comes down to the byte', async (world) => {
    const { provider, node } = await world.setting({ subscriptions: 2 });
    const ERRORS = [
        [400, 'invalid_request_error', 'prompt is too long: 213042 tokens > 200000 maximum'],
        [400, 'invalid_request_error', 'messages.3.content.0: Invalid `signature` in `thinking` block'],
        [400, 'invalid_request_error', 'safeguards: Extra inputs are not permitted'],
        [404, 'not_found_error', 'model: claude-nope'],
        [413, 'request_too_large', 'Request exceeds the maximum size'],
    ];
    for (const [status, type, message] of ERRORS) {
        const body = `{"type":"error","error":{"type":"${type}",  "message":"${message}"},"request_id":"req_1"}`;
        const before = (await provider.log()).length;
        await provider.fault('*', { status, body });
        const answer = await post(node.port, { stream: true, headers: CLAUDE_CODE });
        assert.equal(answer.status, status);
        assert.equal(answer.text, body);
        assert.equal((await provider.log()).length, before + 1, 'once');
    }
});

test('refusals of ours say whether to try again: 401 and 501 never, 529 when all is taken', async (world) => {
    const { provider, node } = await world.setting({ max: 1 });
    const wire = await connect(node.port);
    const headers = { ...CLAUDE_CODE, 'cf-ray': '8f-FRA' };
    await wire.send(request('POST', '/v1/messages', { headers, body: messages() }));
    const refused = await wire.answer();
    ownError(refused, 401, 'authentication_error');
    assert.equal(refused.header('x-should-retry'), 'false');
    const coded = { 'transfer-encoding': 'gzip, chunked' };
    const strange = await connect(node.port);
    await strange.send(request('POST', '/v1/messages', { headers: coded, body: '' }));
    const unknown = await strange.answer();
    assert.equal(unknown.status, 501);
    assert.equal(unknown.header('x-should-retry'), 'false');
    await provider.fault('alpha', { hold: true });
    const held = await connect(node.port);
    await held.send(request('POST', '/v1/messages', { headers: CLAUDE_CODE, body: BODY }));
    await provider.activeReaches(1);
    const busy = await post(node.port);
    ownError(busy, 529, 'overloaded_error');
    assert.notEqual(busy.header('x-should-retry'), 'false');
    assert.match(busy.header('retry-after'), /^\d+$/);
    held.leave();
});

test('a body whose length is not told is taken too', async (world) => {
    const { provider, node } = await world.setting();
    const wire = await connect(node.port);
    const headers = { 'content-type': 'application/json', 'transfer-encoding': 'chunked' };
    const bytes = Buffer.from(BODY);
    const chunked = `${bytes.length.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`;
    await wire.send(request('POST', '/v1/messages', { headers, body: chunked }));
    assert.equal((await wire.answer()).status, 200);
    assert.equal((await provider.log())[0].body_sha256, provider.digest(BODY));
});
