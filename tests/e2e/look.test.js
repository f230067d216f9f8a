// What an operator sees: health, readiness, status, metrics, and the log.
import assert from 'node:assert/strict';
import { call, eventually, ownError, post, quiet, test } from './harness/index.js';

test('/health says that it is alive, and how Redis is', async (world) => {
    const { redis, node } = await world.setting();
    const answer = await node.get('/health');
    assert.equal(answer.status, 200);
    const health = answer.json;
    assert.equal(health.status, 'healthy');
    assert.equal(health.redis, 'up');
    assert.equal(health.node, 'n1');
    assert.match(health.version, /^\d+\.\d+\.\d+/);
    assert.ok(Math.abs(new Date(health.timestamp) - Date.now()) < 60000, health.timestamp);
    await redis.kill();
    let now;
    do now = (await node.get('/health')).json.redis;
    while (now !== 'down');
});

test('/ready says whether requests are welcome', async (world) => {
    const { redis, node } = await world.setting();
    const ready = await node.get('/ready');
    assert.equal(ready.status, 200);
    assert.equal(ready.json.status, 'ready');
    await redis.kill();
    let answer;
    do answer = await node.get('/ready');
    while (answer.status === 200);
    assert.equal(answer.status, 503);
    assert.equal(answer.json.status, 'redis down');
});

test('/status has the shape its users know, and more', async (world) => {
    const { provider, node } = await world.setting({ subscriptions: 2, max: 3 });
    const held = post(node.port, { script: { hold: true } });
    await provider.activeReaches(1);
    const status = await node.status();
    assert.deepEqual(
        status.subscriptions.map((s) => s.name),
        ['alpha', 'beta'],
    );
    const { name, ...alpha } = status.subscriptions[0];
    const known = {
        active_connections: 1,
        max_concurrent: 3,
        available: 2,
        in_cooldown: false,
        cooldown_remaining: 0,
        total_requests: 0,
        total_errors: 0,
        enabled: true,
    };
    for (const [field, value] of Object.entries(known)) {
        if (field !== 'total_requests') assert.deepEqual(alpha[field], value, `${name}.${field}`);
    }
    assert.equal(status.total_active, 1);
    assert.equal(status.total_capacity, 6);
    assert.equal(status.available_capacity, 5);
    assert.ok(Math.abs(new Date(status.timestamp) - Date.now()) < 60000);
    assert.equal(status.node.id, 'n1');
    assert.match(status.node.version, /^\d/);
    assert.equal(status.redis, 'up');
    assert.equal(status.pool, 'main');
    assert.equal(status.leases, 1);
    assert.deepEqual(
        status.nodes.map((n) => n.leases),
        [1],
    );
    await provider.step('alpha', -1);
    await held;
    await quiet({ node, provider });
});

/** What a caller was told, without the moment: two looks at a clock. */
const words = (text) => text.replaceAll(/\d\d:\d\d(:\d\d)?/g, 'T');

test('/status says what a request would get now, in the words that one hears', async (world) => {
    const { provider, node } = await world.setting({ subscriptions: 2, max: 2 });
    const now = async () => (await node.status()).requests_now;
    assert.deepEqual(await now(), [
        { admitted: true, text: 'admitted at once (4 of 4 slots free)', for: '', available: 4 },
    ]);
    const full = { status: 429, headers: { 'retry-after': '7200' } };
    for (const name of ['alpha', 'beta']) await provider.fault(name, full);
    const heard = [await post(node.port), await post(node.port)];
    assert.deepEqual(heard.map((answer) => answer.status), [429, 429]);
    const [refused, ...others] = await now();
    assert.deepEqual(others, []);
    assert.deepEqual([refused.admitted, refused.status, refused.available], [false, 429, 0]);
    const told = heard[1].json.error.message.replace(/^\S+: /, '');
    assert.equal(words(refused.text), words(told));
    assert.match(told, /all 2 subscriptions are limited .*; next free at/);
    const retryAfter = Number(heard[1].header('retry-after'));
    assert.ok(Math.abs(refused.retry_after - retryAfter) <= 3, `${refused.retry_after}`);
});

test('closed for one model only is not closed: /status names the model', async (world) => {
    const { provider, node } = await world.setting({ max: 2 });
    const of = (field) => `anthropic-ratelimit-unified-${field}`;
    const reset = String(Math.floor(Date.now() / 1000) + 90000);
    const headers = { [of('7d_opus-status')]: 'rejected', [of('7d_opus-reset')]: reset };
    await provider.fault('alpha', { status: 429, headers });
    const model = 'claude-opus-4-5';
    await post(node.port, { model });
    const heard = await post(node.port, { model });
    assert.equal(heard.status, 429, heard.text);
    const [any, opus] = (await node.status()).requests_now;
    assert.equal(any.text, 'admitted at once (2 of 2 slots free)');
    assert.deepEqual([opus.for, opus.admitted, opus.status], [`model:${model}`, false, 429]);
    assert.equal(words(opus.text), words(heard.json.error.message));
    assert.equal((await post(node.port, { model: 'claude-haiku-4-5' })).status, 200);
});

test('/status lists clients: what each has running now, and what was booked today', async (world) => {
    const { provider, redis, node } = await world.setting({ max: 5 });
    const written = { ephemeral_5m_input_tokens: 2, ephemeral_1h_input_tokens: 1 };
    const cached = { cache_read_input_tokens: 5, cache_creation: written };
    const usage = { input_tokens: 10, output_tokens: 3, ...cached };
    await post(node.port, { headers: { 'x-client-id': 'done' }, script: { usage } });
    const held = post(node.port, { headers: { 'x-client-id': 'busy' }, script: { hold: true } });
    await provider.activeReaches(1);
    await redis.bookedReaches('client:done', { requests: 1 });
    const { clients, clients_today: count, leases_unread: unread } = await eventually(
        'both clients',
        async () => {
            const status = await node.status();
            return status.clients.length === 2 && status;
        },
    );
    const none = { input: 0, output: 0, cache_read: 0, cache_write_5m: 0, cache_write_1h: 0 };
    const used = { input: 10, output: 3, cache_read: 5, cache_write_5m: 2, cache_write_1h: 1 };
    assert.deepEqual(clients, [
        { name: 'busy', running: 1, requests: 0, errors: 0, tokens: none },
        { name: 'done', running: 0, requests: 1, errors: 0, tokens: used },
    ]);
    assert.deepEqual([count, unread], [2, 0]);
    await provider.step('alpha', -1);
    await held;
    await quiet({ node, provider });
});

test('a disabled subscription counts for no capacity', async (world) => {
    const provider = await world.provider();
    const subscriptions = world.subscriptions(provider, 2, { max_concurrent: 4 });
    subscriptions[1].enabled = false;
    const { node } = await world.setting({ provider, config: { subscriptions } });
    const status = await node.status();
    assert.equal(status.total_capacity, 4);
    assert.deepEqual([status.slots.total, status.slots.held_back.disabled], [8, 4]);
    assert.deepEqual(
        status.subscriptions.map((s) => s.enabled),
        [true, false],
    );
});

test('what is in use, free and held back is all there is, in /status and in /metrics', async (world) => {
    const { provider, redis, node } = await world.setting({ subscriptions: 3, max: 4 });
    const held = post(node.port, { script: { hold: true } });
    await provider.activeReaches(1);
    await provider.fault('beta', { status: 429, headers: { 'retry-after': '60' } });
    assert.equal((await post(node.port)).status, 200);
    await redis.cli('FCALL', 'weir_enable', '1', 'weir:{main}', 'gamma', 'off');
    const status = await node.status();
    const { total, in_use: inUse, free, held_back: causes } = status.slots;
    const none = { ceiling: 0, broken: 0, burst: 0, trial: 0, restoring: 0, disabled: 0, leaving: 0 };
    assert.deepEqual([total, inUse, free, causes], [12, 1, 3, { ...none, cooling: 4, paused: 4 }]);
    assert.deepEqual(
        status.subscriptions.map((s) => [s.available, s.held_back, s.held_back_by]),
        [
            [3, 0, undefined],
            [0, 4, 'cooling'],
            [0, 4, 'paused'],
        ],
    );
    const metrics = await node.metrics();
    const rows = metrics.all('weir_slots').map(({ labels, value }) => [labels.is, value]);
    assert.deepEqual(Object.fromEntries(rows), { in_use: inUse, free, ...causes });
    assert.equal(metrics.value('weir_slots_above_max'), 0);
    await provider.step('alpha', -1);
    await held;
});

test('/ describes the service', async (world) => {
    const { node } = await world.setting();
    const { json } = await node.get('/');
    assert.match(json.service, /weir/i);
    assert.match(json.version, /^\d/);
    assert.equal(typeof json.endpoints, 'object');
});

test('/metrics is what a Prometheus scraper accepts', async (world) => {
    const { provider, redis, node } = await world.setting({ subscriptions: 2 });
    await provider.fault('alpha', { status: 429, headers: { 'retry-after': '30' } });
    for (const stream of [false, true]) await post(node.port, { stream });
    await post(node.port, { body: 'nonsense' });
    await redis.bookedReaches('sub:beta', { requests: 3 });
    const answer = await node.get('/metrics');
    assert.match(answer.header('content-type'), /^text\/plain; version=0\.0\.4/);
    const metrics = await node.metrics();
    const families = [...metrics.types.keys()];
    for (const family of families) assert.match(family, /^(weir|process)_/, family);
    const has = (pattern, type) => {
        const found = families.filter((f) => pattern.test(f) && metrics.types.get(f) === type);
        assert.ok(found.length > 0, `no ${type} ${pattern} in ${families.join(' ')}`);
        return found;
    };
    const [requests] = has(/requests_total$/, 'counter');
    assert.ok(metrics.value(requests) >= 3);
    for (const part of ['admission', 'first_byte', 'request', 'overhead']) {
        const [family] = has(new RegExp(`${part}.*_seconds$`), 'histogram');
        assert.ok(metrics.value(`${family}_count`) >= 3, family);
    }
    has(/active/, 'gauge');
    has(/cool/, 'counter');
    has(/redis.*_seconds$/, 'histogram');
    has(/connections/, 'gauge');
});

test('after a healthy start no call to Redis has failed, with a Redis of its own or another', async (world) => {
    const { provider, redis, node } = await world.setting();
    const own = await world.node({ id: 'n2', config: { subscriptions: world.subscriptions(provider, 1) } });
    const second = await world.node({ id: 'n3', config: { ...node.config, node: { id: 'n3' } } });
    for (const one of [node, own, second]) {
        assert.equal((await post(one.port)).status, 200);
        const metrics = await one.metrics();
        assert.ok(metrics.value('weir_redis_calls_total') > 0);
        assert.equal(metrics.value('weir_redis_failures_total'), 0, one.id);
    }
    await redis.kill();
    assert.equal((await post(node.port)).status, 503);
    await eventually('some to have failed then', async () => {
        return (await node.metrics()).value('weir_redis_failures_total') > 0;
    });
});

test('each node shows its own figures, and whose they are', async (world) => {
    const { node } = await world.setting();
    const other = await world.node({ id: 'n2', config: { ...node.config, node: { id: 'n2' } } });
    await post(node.port);
    const [first, second] = [await node.metrics(), await other.metrics()];
    assert.deepEqual(
        [first, second].map((page) => page.all('weir_build_info').map(({ labels }) => labels.node)),
        [['n1'], ['n2']],
    );
    assert.deepEqual(
        [first, second].map((page) => page.value('weir_upstream_attempts_total', { result: 'ok' })),
        [1, 0],
    );
    await eventually('what the pool counts to be the same from both', async () => {
        const pages = [await node.metrics(), await other.metrics()];
        const counts = pages.map((page) => page.value('weir_subscription_requests_total', { subscription: 'alpha' }));
        return counts.every((count) => count === 1);
    });
});

for (const path of ['/status', '/metrics']) {
    test(`${path}: 200 at once, on four workers, cost Redis two looks at most`, async (world) => {
        const { redis, node } = await world.setting({ config: { server: { workers: 4 } } });
        const seen = await redis.monitor();
        const began = performance.now();
        const answers = await Promise.all(Array.from({ length: 200 }, () => node.get(path)));
        const seconds = Math.floor((performance.now() - began) / 1000);
        for (const answer of answers) {
            assert.equal(answer.status, 200);
            assert.match(answer.text, /"name":"alpha"|subscription="alpha"/);
        }
        await seen.catchUp();
        const looks = seen.calls('snapshot');
        // Two if all are answered within a second, and one more for each that it takes longer.
        assert.ok(looks >= 1 && looks <= 2 + seconds, `${looks} looks in ${seconds} s`);
    });
}

test('who asks while the pool is being looked at waits for that look, and hears its error', async (world) => {
    const { redis, node } = await world.setting({ config: { server: { workers: 4 } } });
    redis.suspend();
    const asked = Array.from({ length: 40 }, () => node.get('/status'));
    const own = node.get('/metrics');
    for (const answer of await Promise.all(asked)) {
        const { error } = ownError(answer, 503, 'api_error');
        assert.match(error.message, /cannot reach its Redis: no answer within 2000 ms/);
    }
    assert.equal((await own).status, 200, 'what the node counts itself is still shown');
    redis.resume();
    await node.event('redis is back');
    assert.equal((await node.status()).redis, 'up', 'and the next look finds it');
});

test('a look is given out for a second, then there is another', async (world) => {
    const { redis, node } = await world.setting({ config: { server: { workers: 4 } } });
    const seen = await redis.monitor();
    const [first, second] = [await node.get('/status'), await node.get('/status')];
    const took = Date.parse(second.json.timestamp) - Date.parse(first.json.timestamp);
    assert.ok(took === 0 || took >= 900, `${took} ms between two looks`);
    await seen.catchUp();
    const before = seen.calls('snapshot');
    const later = await node.status(); // as of after the question
    assert.ok(Date.parse(later.timestamp) - Date.parse(first.json.timestamp) >= 900);
    await seen.catchUp();
    assert.ok(seen.calls('snapshot') > before);
});

test('whatever has been written to Redis, /status and /metrics can be read', async (world) => {
    const { redis, node } = await world.setting();
    const view = await redis.view();
    const strange = Buffer.from([0x67, 0xff, 0x22, 0x5c, 0x0a, 0xc3, 0xbc]);
    const boot = Buffer.concat([strange, Buffer.from('.0000000b')]);
    await view.zAdd('weir:{main}:boots', { score: Date.now(), value: boot });
    const ids = (await node.status()).nodes.map((n) => n.id).sort();
    assert.deepEqual(ids, ['g?"\\\nü', 'n1']);
    const metrics = await node.metrics();
    assert.equal(metrics.value('weir_redis_connections_up'), 2);
    assert.equal(metrics.all('weir_subscription_active').length, 1);
});

test('counters only grow, and by what happened', async (world) => {
    const { redis, node } = await world.setting();
    await post(node.port);
    const before = await node.metrics();
    for (let i = 0; i < 5; i++) await post(node.port);
    await redis.bookedReaches('sub:alpha', { requests: 6 });
    const after = await node.metrics();
    for (const sample of before.samples) {
        const family = sample.name.replace(/_(bucket|count|sum)$/, '');
        const type = before.types.get(sample.name) ?? before.types.get(family);
        if (type === 'gauge') continue;
        assert.ok(after.value(sample.name, sample.labels) >= sample.value, sample.name);
    }
});

test('one line per finished exchange says what happened to it', async (world) => {
    const { provider, node } = await world.setting({ subscriptions: 2 });
    await provider.fault('alpha', { status: 500 });
    const options = { stream: true, headers: { 'x-client-id': 'bot' }, model: 'claude-haiku-4-5' };
    const answer = await post(node.port, { ...options, target: '/v1/messages?beta=true' });
    const line = await node.finished(answer);
    assert.equal(line.client, 'bot');
    assert.equal(line.method, 'POST');
    assert.match(line.path, /^\/v1\/messages/);
    assert.equal(line.model, 'claude-haiku-4-5');
    assert.equal(line.status, 200);
    assert.equal(line.subscription, 'beta');
    assert.equal(line.attempts, 2);
    assert.match(line.route, /\S/);
    assert.equal(line.bytes_out, answer.body.length);
    assert.ok(line.bytes_in > 0);
    for (const field of ['input', 'output', 'cache_read', 'cache_write'])
        assert.ok(line[field] > 0);
    for (const field of ['admission_ms', 'first_byte_ms', 'total_ms']) {
        assert.ok(Number(line[field]) >= 0, `${field}: ${line[field]}`);
    }
    assert.ok(Number(line.total_ms) >= Number(line.first_byte_ms));
    assert.equal(line.end, 'ok');
    assert.match(line.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/);
    assert.equal(line.level, 'info');
    const same = node.events('exchange finished', (other) => other.id === line.id);
    assert.equal(same.length, 1);
});

test('a refusal is logged with its reason', async (world) => {
    const { provider, node } = await world.setting({ max: 1 });
    const held = post(node.port, { script: { hold: true } });
    await provider.activeReaches(1);
    const answer = await post(node.port);
    const line = await node.finished(answer);
    assert.equal(line.end, 'refused');
    assert.equal(line.status, 529);
    await provider.step('alpha', -1);
    await held;
});

test('every log line is JSON on its own', async (world) => {
    const { node } = await world.setting();
    await post(node.port, { headers: { 'x-client-id': 'a"b\\c' } });
    await call(node.port, 'GET', '/v1/%00%0a"<>', {});
    await node.stop();
    assert.deepEqual(node.events('text'), []);
});

test('text lines for people, when asked', async (world) => {
    const { node } = await world.setting({
        config: { logging: { format: 'text', level: 'info' } },
    });
    assert.equal((await post(node.port)).status, 200);
    await node.stop();
    assert.ok(node.lines.some((line) => line.includes('exchange finished')));
    assert.ok(!node.lines.some((line) => line.startsWith('{')));
});
