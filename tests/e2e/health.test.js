// What is concluded from several answers, by all nodes together: failures in a row, a credential
// that is refused, limits that concern some requests only.
import assert from 'node:assert/strict';
import { call, eventually, ownError, post, test, weir } from './harness/index.js';

const SHOWN = { server: { expose_subscription: true } };
const setting = (world, more = {}) =>
    world.setting({ subscriptions: 2, config: { ...SHOWN, ...more } });

const failing = (provider, name, fault) => provider.fault(name, { times: -1, ...fault });

async function subscription(node, name) {
    return (await node.status()).subscriptions.find((one) => one.name === name);
}

const FAST = { 'a 500': { status: 500 }, 'a reset': { close_before_answer: true, reset: true } };

for (const [title, fault] of Object.entries(FAST)) {
    test(`one that fails at once with ${title} gets at most 3 of 40 requests`, async (world) => {
        const { provider, node } = await setting(world);
        await failing(provider, 'alpha', fault);
        for (let i = 0; i < 40; i++) assert.equal((await post(node.port)).status, 200);
        const { alpha, beta } = await provider.asked();
        assert.ok(alpha <= 3, `${alpha}`);
        assert.equal(beta, 40);
        assert.match((await subscription(node, 'alpha')).health, /failed in a row/);
    });
}

test('five failures in a row open a breaker, which a person can close', async (world) => {
    const { provider, redis, node } = await world.setting({ subscriptions: 1, config: SHOWN });
    await failing(provider, 'alpha', { status: 500 });
    for (let i = 0; i < 5; i++) await post(node.port);
    await eventually('the breaker', async () =>
        /^broken/.test((await subscription(node, 'alpha')).health),
    );
    const asked = (await provider.asked()).alpha;
    const refused = await post(node.port);
    assert.ok(refused.status === 529 || refused.status === 503, `${refused.status}`);
    assert.match(refused.header('retry-after'), /^[1-9]\d*$/);
    assert.equal((await provider.asked()).alpha, asked, 'nobody asks a broken one');
    await provider.reset();
    await redis.cli('FCALL', 'weir_open', '1', 'weir:{main}', 'alpha');
    assert.equal((await post(node.port)).status, 200);
    assert.equal((await subscription(node, 'alpha')).health, '');
});

test('a revoked key is out after two requests, none of which its callers see', async (world) => {
    const { provider, node } = await setting(world);
    await failing(provider, 'alpha', { status: 401 });
    for (let i = 0; i < 20; i++) assert.equal((await post(node.port)).status, 200);
    assert.ok((await provider.asked()).alpha <= 2);
});

test('one refusal of a credential alone closes nothing', async (world) => {
    const { provider, node } = await setting(world);
    await provider.fault('alpha', { status: 401 });
    assert.equal((await post(node.port)).header('x-weir-subscription'), 'beta');
    await node.event('credential doubted');
    assert.equal((await subscription(node, 'alpha')).in_cooldown, false);
});

test('a limit of token counting closes counting there, and messages go on', async (world) => {
    const { provider, node } = await setting(world);
    await provider.fault('alpha', { status: 429, headers: { 'retry-after': '3600' } });
    const target = '/v1/messages/count_tokens';
    for (let i = 0; i < 3; i++) {
        const counted = await post(node.port, { target });
        assert.equal(counted.header('x-weir-subscription'), 'beta');
    }
    assert.equal((await provider.asked()).alpha, 1, 'asked once, then not for counting');
    assert.equal((await post(node.port)).header('x-weir-subscription'), 'alpha');
    assert.match((await subscription(node, 'alpha')).health, /not for counting/);
});

test('a model that is closed on one subscription is asked of another, others are not', async (world) => {
    const { provider, node } = await setting(world);
    const of = (field) => `anthropic-ratelimit-unified-${field}`;
    const reset = String(Math.floor(Date.now() / 1000) + 90000);
    const headers = { [of('7d_opus-status')]: 'rejected', [of('7d_opus-reset')]: reset };
    await provider.fault('alpha', { status: 429, headers });
    for (let i = 0; i < 3; i++) {
        const answer = await post(node.port, { model: 'claude-opus-4-5' });
        assert.equal(answer.header('x-weir-subscription'), 'beta');
    }
    assert.equal((await provider.asked()).alpha, 1);
    const other = await post(node.port, { model: 'claude-haiku-4-5' });
    assert.equal(other.header('x-weir-subscription'), 'alpha');
});

const clear = (node, body, headers = {}) =>
    call(node.port, 'POST', '/api/cooldown/clear', {
        headers: { 'content-type': 'application/json', ...headers },
        body: typeof body === 'string' ? body : JSON.stringify(body),
    });

test('a person clears what closes a subscription: one request tries it, and it is open', async (world) => {
    const { provider, redis, node } = await world.setting({ subscriptions: 1, config: SHOWN });
    await provider.fault('alpha', { status: 429, headers: { 'retry-after': '3600' } });
    assert.equal((await post(node.port)).status, 429);
    assert.equal((await post(node.port)).status, 429);
    assert.equal((await provider.asked()).alpha, 1);
    const run = await weir(['cooldown', 'clear', 'alpha', '--url', `http://127.0.0.1:${node.port}`]);
    assert.equal(run.code, 0, run.err);
    assert.match(run.out, /^alpha: lifted cooldown 3\d+s \(.+\); the next request tries it$/);
    for (let i = 0; i < 3; i++) assert.equal((await post(node.port)).status, 200);
    const events = await redis.cli('XRANGE', 'weir:{main}:events', '-', '+');
    assert.match(events, /opened by hand\n[^]*operator at 127\.0\.0\.1, node /);
});

test('of those that come after a clear one only goes to a subscription that still fails', async (world) => {
    const { provider, redis, node } = await world.setting({ subscriptions: 2, max: 10, config: SHOWN });
    const second = await world.node({ config: node.config });
    await failing(provider, 'alpha', { status: 429, headers: { 'retry-after': '3600' } });
    assert.equal((await post(node.port)).status, 200);
    const asked = (await provider.asked()).alpha;
    const answer = await clear(node, { subscription: 'alpha' });
    assert.equal(answer.json.status, 'cleared');
    const many = Array.from({ length: 8 }, (_, i) => post((i % 2 ? node : second).port));
    for (const each of await Promise.all(many)) assert.equal(each.status, 200);
    assert.equal((await provider.asked()).alpha, asked + 1);
    assert.equal((await subscription(node, 'alpha')).in_cooldown, true, 'closed again');
    assert.match(await redis.cli('HGET', 'weir:{main}:cooldowns', 'alpha'), /status=429/);
});

test('clearing answers for a name there is not, for nothing closed, for what is no question', async (world) => {
    const { node } = await setting(world);
    const open = await clear(node, { subscription: 'alpha' });
    assert.deepEqual([open.status, open.json.status, open.json.lifted], [200, 'nothing was closed', '']);
    for (const name of ['gamma', 'b\u00e4d name', 'x'.repeat(200)]) {
        const { error } = ownError(await clear(node, { subscription: name }), 404, 'not_found_error');
        assert.match(error.message, /^name: expected /);
    }
    const unknown = await clear(node, { subscription: 'gamma' });
    assert.match(unknown.json.error.message, /\(alpha, beta\)/);
    for (const body of ['', '{', '[]', '{"subscription": 7}', '{"subscription": ""}', '"alpha"']) {
        ownError(await clear(node, body), 400, 'invalid_request_error');
    }
    ownError(await clear(node, 'x'.repeat(5000)), 413, 'request_too_large');
    ownError(await clear(node, { subscription: 'alpha' }, { 'cf-ray': '1' }), 401, 'authentication_error');
    assert.equal((await call(node.port, 'GET', '/api/cooldown/clear')).status, 405);
});

test('a new key under the same name begins without a block', async (world) => {
    const { provider, node } = await setting(world);
    await failing(provider, 'alpha', { status: 429, headers: { 'retry-after': '3600' } });
    assert.equal((await post(node.port)).header('x-weir-subscription'), 'beta');
    assert.equal((await subscription(node, 'alpha')).in_cooldown, true);
    await provider.reset();
    const config = structuredClone(node.config);
    config.subscriptions[0].api_key = 'sk-ant-another-key';
    await node.reload(config);
    await eventually('the new account', async () => !(await subscription(node, 'alpha')).in_cooldown);
    await eventually('an answer of it', async () => {
        const answer = await post(node.port);
        return answer.header('x-weir-subscription') === 'alpha' && answer.status === 200;
    });
});

const MODEL = 'claude-opus-4-5';
const limit = (seconds) => ({ status: 429, headers: { 'retry-after': `${seconds}` } });
const inAll = (answer, status, words) => {
    const { error } = ownError(answer, status, { 429: 'rate_limit_error', 503: 'api_error', 529: 'overloaded_error' }[status]);
    assert.match(error.message, words);
    assert.doesNotMatch(error.message, /alpha|beta|gamma/);
};

test('a refusal names the model, the candidates, their limits and the next free moment', async (world) => {
    const provider = await world.provider();
    const redis = await world.redis();
    const subscriptions = world.subscriptions(provider, 3);
    subscriptions[2].enabled = false;
    const node = await world.node({ config: { ...SHOWN, subscriptions, redis: { url: redis.url } } });
    await provider.fault('alpha', limit(7200));
    await provider.fault('beta', limit(300000));
    await post(node.port, { model: MODEL });
    const answer = await post(node.port, { model: MODEL });
    inAll(
        answer,
        429,
        /^claude-opus-4-5: 2 of 3 subscriptions are limited \(rate limited, the first until (\d\d:\d\d) UTC\), 1 is disabled; next free at \1 UTC$/,
    );
    const [, hours, minutes] = answer.json.error.message.match(/at (\d\d):(\d\d) UTC$/).map(Number);
    const seconds = Number(answer.header('retry-after'));
    assert.ok(seconds > 7100 && seconds <= 7200, `${seconds}`);
    const told = new Date(Date.now() + seconds * 1000);
    const off = Math.abs(hours * 60 + minutes - (told.getUTCHours() * 60 + told.getUTCMinutes()));
    assert.ok(off <= 1 || off >= 1439, `${answer.json.error.message} at ${told.toISOString()}`);
});

test('what all that were tried said is told with what the pool says', async (world) => {
    const { provider, node } = await setting(world);
    for (const name of ['alpha', 'beta']) await failing(provider, name, { status: 401 });
    inAll(await post(node.port), 503, /^claude-test-1: .*2 .*subscriptions are not usable$/);
    const refused = await post(node.port);
    inAll(refused, 503, /^claude-test-1: /);
    assert.equal(refused.header('retry-after'), undefined);
    inAll(await post(node.port), 503, /^claude-test-1: all 2 subscriptions are not usable$/);
});

test('busy is 529, disabled is 503, and so is said', async (world) => {
    const { provider, node } = await world.setting({ max: 1, config: SHOWN });
    const held = post(node.port, { script: { hold: true } });
    await provider.activeReaches(1);
    const busy = await post(node.port);
    inAll(busy, 529, /^claude-test-1: the only subscription is busy/);
    assert.equal(busy.header('retry-after'), '1');
    await provider.step('alpha', -1);
    assert.equal((await held).status, 200);
    const config = structuredClone(node.config);
    config.subscriptions[0].enabled = false;
    await node.reload(config);
    await eventually('the pool to know', async () => (await post(node.port)).status === 503);
    inAll(await post(node.port), 503, /^claude-test-1: the only subscription is disabled$/);
});

test('one that rests after failures is 529 with the time of the next try', async (world) => {
    const { provider, node } = await world.setting({ subscriptions: 1, config: SHOWN });
    await failing(provider, 'alpha', { status: 500 });
    for (let i = 0; i < 5; i++) await post(node.port);
    const refused = await post(node.port);
    inAll(refused, 529, /^claude-test-1: the only subscription is resting after failures \(until .* UTC\); next free at /);
    assert.ok(Number(refused.header('retry-after')) > 20);
});

test('one that swallows SYNs costs at most one request a connect time, then none', async (world) => {
    const hole = await world.fullPort();
    const { provider, redis } = { provider: await world.provider(), redis: await world.redis() };
    const subscriptions = world.subscriptions(provider, 2);
    subscriptions[0].base_url = `http://127.0.0.1:${hole.port}`;
    const timeouts = { connect_ms: 1000 };
    const config = { ...SHOWN, subscriptions, timeouts, redis: { url: redis.url } };
    const node = await world.node({ config });
    const started = Date.now();
    for (let i = 0; i < 40; i++) {
        const answer = await post(node.port);
        assert.deepEqual([answer.status, answer.header('x-weir-subscription')], [200, 'beta']);
    }
    const seconds = (Date.now() - started) / 1000;
    const failed = node.events('attempt failed').filter((line) => line.subscription === 'alpha');
    assert.ok(failed.length >= 1 && failed.length <= 1 + Math.floor(seconds / 5), `${failed.length} in ${seconds} s`);
    assert.match((await subscription(node, 'alpha')).health, /failed in a row|broken/);
});

test('nor does a crowd wait for it once it is known', async (world) => {
    const hole = await world.fullPort();
    const { provider, redis } = { provider: await world.provider(), redis: await world.redis() };
    const subscriptions = world.subscriptions(provider, 2, { max_concurrent: 40 });
    subscriptions[0].base_url = `http://127.0.0.1:${hole.port}`;
    const config = { ...SHOWN, subscriptions, timeouts: { connect_ms: 1000 }, redis: { url: redis.url } };
    const node = await world.node({ config });
    assert.equal((await post(node.port)).status, 200);
    const many = await Promise.all(Array.from({ length: 40 }, () => post(node.port)));
    for (const answer of many) assert.equal(answer.status, 200);
    await node.event('attempt failed');
    assert.equal(node.events('attempt failed').length, 1, 'the first alone');
});
