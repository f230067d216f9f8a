// What an answer means reaches no further than what it speaks of, and the pool answers for the pool.
import assert from 'node:assert/strict';
import { call, messages, ownError, post, test } from './harness/index.js';

const SHOWN = { server: { expose_subscription: true } };
const NAMES = ['alpha', 'beta', 'gamma'];
const LIMITS = { 'anthropic-ratelimit-requests-remaining': '3' };

const setting = (world, count, more = {}) =>
    world.setting({ subscriptions: count, config: { ...SHOWN, ...more } });

/** The same fault for each of these subscriptions, as often as they are asked. */
async function everyone(provider, names, fault) {
    for (const name of names) await provider.fault(name, { times: -1, ...fault });
}

async function cooling(node) {
    const { subscriptions } = await node.status();
    return subscriptions.filter((one) => one.in_cooldown).map((one) => one.name);
}

const error = (type, message, code) => ({
    type: 'error',
    error: { ...(code ? { details: { error_code: code } } : {}), type, message },
});

test('a path that a caller made up closes nothing, whatever it is answered', async (world, t) => {
    for (const status of [401, 402, 403]) {
        for (const [method, path] of [
            ['GET', '/v1/organizations/me'],
            ['GET', '/v1/responses'],
            ['GET', '/v1/messages'],
        ]) {
            await t.test(`${status} ${method} ${path}`, async () => {
                const { provider, node } = await setting(world, 3);
                await everyone(provider, NAMES, { status, headers: { 'x-own': 'kept' } });
                const answer = await call(node.port, method, path);
                assert.equal(answer.status, status);
                assert.equal(answer.header('x-own'), 'kept');
                assert.equal((await provider.log()).length, 1, 'the answer goes back once');
                assert.deepEqual(await cooling(node), []);
                await provider.reset();
                assert.equal((await post(node.port)).status, 200);
            });
        }
    }
});

test('the limit of token counting closes nothing of messages', async (world) => {
    const { provider, node } = await setting(world, 2);
    await provider.fault('alpha', { status: 429, headers: { 'retry-after': '3600' } });
    const target = '/v1/messages/count_tokens';
    const counted = await post(node.port, { target });
    assert.equal(counted.status, 200, 'another subscription counts');
    assert.equal(counted.header('x-weir-subscription'), 'beta');
    assert.deepEqual(await cooling(node), []);
    assert.equal((await post(node.port)).header('x-weir-subscription'), 'alpha');
});

test('a closed window of one family of models does not close the others', async (world) => {
    const { provider, node } = await setting(world, 2);
    const reset = String(Math.floor(Date.now() / 1000) + 90000);
    const of = (field) => `anthropic-ratelimit-unified-${field}`;
    const headers = { [of('7d_opus-status')]: 'rejected', [of('7d_opus-reset')]: reset };
    await provider.fault('alpha', { status: 429, headers });
    assert.equal((await post(node.port)).header('x-weir-subscription'), 'beta');
    assert.deepEqual(await cooling(node), []);
    headers[of('5h-status')] = 'rejected';
    headers[of('5h-reset')] = String(Math.floor(Date.now() / 1000) + 5000);
    await provider.fault('alpha', { status: 429, headers });
    const other = await post(node.port, { model: 'claude-test-2' });
    assert.equal(other.header('x-weir-subscription'), 'beta');
    const event = await node.event('subscription cooling');
    assert.ok(event.seconds > 4990 && event.seconds <= 5000, `${event.seconds}`);
    assert.match(event.reason, /5h/);
    assert.deepEqual(await cooling(node), ['alpha']);
});

const ACCOUNT = {
    'credit balance': error(
        'invalid_request_error',
        'Your credit balance is too low to access the Anthropic API.',
    ),
    disabled: error('invalid_request_error', 'This organization has been disabled.'),
    'on hold': error('invalid_request_error', 'On hold', 'organization_on_hold'),
    'spend limit': error('invalid_request_error', 'You have reached your specified API usage limits.'),
};

test('a 400 that speaks of the account goes to the next, and that one rests', async (world, t) => {
    for (const [name, body] of Object.entries(ACCOUNT)) {
        await t.test(name, async () => {
            const { provider, node } = await setting(world, 2);
            await everyone(provider, ['alpha'], { status: 400, body });
            for (let i = 0; i < 3; i++) {
                const answer = await post(node.port);
                assert.equal(answer.status, 200);
                assert.equal(answer.header('x-weir-subscription'), 'beta');
            }
            const event = await node.event('subscription cooling');
            assert.equal(event.level, 'error', 'an alert');
            assert.match(event.reason, /its /);
            assert.deepEqual(await cooling(node), ['alpha']);
            assert.equal((await provider.asked()).alpha, 1, 'asked once, and then it rests');
        });
    }
});

test('a 400 of the caller comes back once, in his own words', async (world) => {
    const { provider, node } = await setting(world, 2);
    const body = JSON.stringify(error('invalid_request_error', 'max_tokens: Field required'));
    await provider.fault('alpha', { status: 400, body });
    const answer = await post(node.port);
    assert.equal(answer.status, 400);
    assert.equal(answer.text, body);
    assert.equal((await provider.log()).length, 1);
});

test('of several limits the caller hears the earliest end', async (world) => {
    const { provider, node } = await setting(world, 2);
    await provider.fault('alpha', { status: 429, headers: { 'retry-after': '20' } });
    await provider.fault('beta', { status: 429, headers: { 'retry-after': '3600' } });
    const answer = await post(node.port);
    ownError(answer, 429, 'rate_limit_error');
    assert.equal(answer.header('retry-after'), '20');
    const next = await post(node.port);
    ownError(next, 429, 'rate_limit_error');
    assert.ok(Number(next.header('retry-after')) <= 20);
    assert.equal((await provider.log()).length, 2, 'nobody is asked while all cool');
});

test('overload of all is 529, a limit beside an overload too', async (world) => {
    const { provider, node } = await setting(world, 2);
    await provider.fault('alpha', { status: 529, headers: { 'retry-after': '4' } });
    await provider.fault('beta', { status: 429, headers: { ...LIMITS, 'retry-after': '900' } });
    const answer = await post(node.port);
    ownError(answer, 529, 'overloaded_error');
    assert.equal(answer.header('retry-after'), '4');
});

test("nobody hears of another's credential or credit", async (world, t) => {
    const faults = {
        401: { status: 401 },
        402: { status: 402 },
        403: { status: 403 },
        'credit balance': { status: 400, body: ACCOUNT['credit balance'] },
        'a page to log in': {
            status: 403,
            body: '<html>who are you?',
            headers: { 'content-type': 'text/html' },
        },
    };
    for (const [name, fault] of Object.entries(faults)) {
        await t.test(name, async () => {
            const { provider, node } = await setting(world, 2);
            await everyone(provider, ['alpha', 'beta'], fault);
            const answer = await post(node.port);
            ownError(answer, 503, 'api_error');
            assert.doesNotMatch(answer.text, /balance|who are you|x-api-key/);
            assert.deepEqual(await provider.asked(), { alpha: 1, beta: 1 });
        });
    }
});

test('a limit without a name is one hop, then the answer as it is', async (world) => {
    const { provider, node } = await setting(world, 3);
    const body = JSON.stringify(error('rate_limit_error', 'Error'));
    await everyone(provider, NAMES, { status: 429, body, headers: { 'retry-after': null } });
    const answer = await post(node.port);
    assert.equal(answer.status, 429);
    assert.equal(answer.text, body);
    assert.equal((await provider.log()).length, 2);
    assert.deepEqual(await cooling(node), []);
});

test("a provider's page is not passed on for its API's error", async (world) => {
    const { provider, node } = await setting(world, 2);
    const page = { status: 502, body: '<html>', headers: { 'content-type': 'text/html' } };
    await everyone(provider, ['alpha', 'beta'], page);
    ownError(await post(node.port), 502, 'api_error');
});

test("a CDN's refusal of a large body reaches the caller as it is", async (world) => {
    const { provider, node } = await setting(world, 2);
    const body = '<html><center><h1>413 Request Entity Too Large</h1></center></html>';
    await provider.fault('*', { status: 413, body, headers: { 'content-type': 'text/html' } });
    const answer = await post(node.port);
    assert.equal(answer.status, 413);
    assert.equal(answer.text, body);
});

test('an error too large to be kept still reaches its caller whole', async (world) => {
    const { provider, node } = await setting(world, 2);
    const body = JSON.stringify(error('invalid_request_error', 'x'.repeat(700000)));
    await provider.fault('*', { status: 400, body });
    const answer = await post(node.port, { body: messages({ text: 'y' }) });
    assert.equal(answer.status, 400);
    assert.equal(answer.text, body);
});

test('an error that comes slowly is decided by what is there, and still comes whole', async (world) => {
    const { provider, node } = await setting(world, 2);
    const body = JSON.stringify(error('invalid_request_error', 'x'.repeat(400)));
    await provider.fault('*', { status: 400, body, drip_bytes: 60, drip_ms: 500 });
    const answer = await post(node.port);
    assert.equal(answer.status, 400);
    assert.equal(answer.text, body);
});
