// What is concluded from several answers, by all nodes together: failures in a row, a credential
// that is refused, limits that concern some requests only.
import assert from 'node:assert/strict';
import { eventually, post, test } from './harness/index.js';

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
