// What an upstream failure means: who is cooled, who is tried next, and what the client gets.
import assert from 'node:assert/strict';
import {
    call,
    connect,
    EventReader,
    freePort,
    messages,
    messagesRequest,
    open,
    ownError,
    post,
    quiet,
    test,
} from './harness/index.js';

const SHOWN = { server: { expose_subscription: true } };
const two = (world, options = {}) => world.setting({ subscriptions: 2, config: SHOWN, ...options });

/** One request that alpha fails and beta serves. */
async function goesToBeta({ provider, node }, options = {}) {
    const answer = await post(node.port, options);
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.header('x-weir-subscription'), 'beta');
    assert.equal(answer.header('x-weir-attempts'), '2');
    if (options.stream) assert.match(answer.text, /event: message_stop/);
    await node.event('failover');
    await quiet({ node, provider });
    return answer;
}

const FAILURES = {
    'a 429': { status: 429, headers: { 'retry-after': '7' } },
    'a 429 without retry-after': { status: 429 },
    'a 401': { status: 401 },
    'a 403': { status: 403 },
    'a 500': { status: 500 },
    'a 502': { status: 502 },
    'a 503': { status: 503 },
    'a 504': { status: 504 },
    'a 529': { status: 529 },
    'an HTML error page': { status: 503, body: '<html>', headers: { 'content-type': 'text/html' } },
    'no answer but a close': { close_before_answer: true },
    'no answer but a reset': { close_before_answer: true, reset: true },
    'half a head': { close_head_after_bytes: 30 },
    'no HTTP at all': { bad_head: true },
    'no first byte in time': { stall: true },
};

for (const stream of [false, true]) {
    test(`${stream ? 'a stream' : 'JSON'} comes from the next subscription`, async (world, t) => {
        const config = { ...SHOWN, timeouts: { first_byte_ms: 500 } };
        for (const [name, fault] of Object.entries(FAILURES)) {
            await t.test(name, async () => {
                const setting = await two(world, { config });
                await setting.provider.fault('alpha', fault);
                await goesToBeta(setting, { stream });
                assert.deepEqual(await setting.provider.asked(), { alpha: 1, beta: 1 });
                const line = { requests: 1, errors: 1, cancelled: 0 };
                await setting.redis.bookedReaches('sub:alpha', line);
                await setting.redis.bookedReaches('sub:beta', { requests: 1, errors: 0 });
                await setting.node.stop();
                await setting.redis.stop();
                await setting.provider.stop();
            });
        }
    });
}

test('a refused connection sends the request to the next subscription', async (world) => {
    await goesToBeta(await two(world, { url: `http://127.0.0.1:${await freePort()}` }));
});

test('a connection that is not made in time sends it to the next subscription', async (world) => {
    const { port } = await world.fullPort();
    const config = { ...SHOWN, timeouts: { connect_ms: 400 } };
    await goesToBeta(await two(world, { url: `http://127.0.0.1:${port}`, config }));
});

test('a TLS handshake that fails sends it to the next subscription', async (world) => {
    const setting = await two(world, {});
    const config = structuredClone(setting.node.config);
    config.subscriptions[0].base_url = `https://127.0.0.1:${setting.provider.port}`;
    await setting.node.reload(config);
    await goesToBeta(setting);
});

test('a name that is not known sends it to the next subscription', async (world) => {
    const config = { ...SHOWN, timeouts: { connect_ms: 1500 } };
    await goesToBeta(await two(world, { url: 'http://no-such-host.invalid:8080', config }));
});

test('the next subscription gets the same body and headers', async (world) => {
    const setting = await two(world);
    await setting.provider.fault('alpha', { status: 500 });
    const body = messages({ text: 'z'.repeat(300000) });
    await goesToBeta(setting, { body, headers: { 'x-odd': 'kept' } });
    const [first, second] = await setting.provider.log();
    assert.equal(second.body_sha256, first.body_sha256);
    assert.equal(second.body_sha256, setting.provider.digest(body));
    const others = (record) =>
        record.headers.filter(([name]) => name.toLowerCase() !== 'x-api-key');
    assert.deepEqual(others(second), others(first));
});

test('a 429 cools its subscription for exactly retry-after', async (world) => {
    const { provider, node } = await two(world);
    await provider.fault('alpha', { status: 429, headers: { 'retry-after': '2' } });
    assert.equal((await post(node.port)).header('x-weir-subscription'), 'beta');
    const cooling = await node.event('subscription cooling');
    assert.equal(cooling.subscription, 'alpha');
    assert.equal(cooling.status, 429);
    assert.equal(Number(cooling.seconds), 2);
    const cooled = performance.now();
    const [alpha] = (await node.status()).subscriptions;
    assert.equal(alpha.in_cooldown, true);
    assert.ok(
        alpha.cooldown_remaining > 0 && alpha.cooldown_remaining <= 2,
        alpha.cooldown_remaining,
    );
    let served;
    while (served !== 'alpha') {
        served = (await post(node.port)).header('x-weir-subscription');
        if (served === 'beta') assert.ok(performance.now() - cooled < 4000, 'alpha stays cooled');
    }
    assert.ok(performance.now() - cooled > 1500, 'alpha was used while it cooled');
    assert.equal((await provider.asked()).alpha, 2);
});

test('a 429 whose body breaks off cools all the same, and counts once', async (world) => {
    const { provider, node } = await two(world);
    const fault = { status: 429, headers: { 'retry-after': '60' }, close_after_bytes: 5 };
    await provider.fault('alpha', fault);
    assert.equal((await post(node.port)).header('x-weir-subscription'), 'beta');
    const { subscriptions } = await node.status();
    assert.equal(subscriptions[0].in_cooldown, true);
    const metrics = await node.metrics();
    const attempts = (result) => metrics.value('weir_upstream_attempts_total', { result });
    assert.deepEqual([attempts('ok'), attempts('limited'), attempts('failed')], [1, 1, 0]);
});

test('a limit that names no time cools for rate_limit.cooldown_seconds', async (world) => {
    const config = { ...SHOWN, rate_limit: { cooldown_seconds: 33 } };
    const { provider, node } = await two(world, { config });
    const headers = { 'anthropic-ratelimit-requests-remaining': '3' };
    await provider.fault('alpha', { status: 429, headers });
    await post(node.port);
    assert.equal(Number((await node.event('subscription cooling')).seconds), 33);
    const [alpha] = (await node.status()).subscriptions;
    assert.ok(alpha.cooldown_remaining > 30 && alpha.cooldown_remaining <= 33);
});

test('retry-after is understood as a date too', async (world) => {
    const { provider, node } = await two(world);
    const date = new Date(Date.now() + 20000).toUTCString();
    await provider.fault('alpha', { status: 429, headers: { 'retry-after': date } });
    await post(node.port);
    const { seconds } = await node.event('subscription cooling');
    assert.ok(Number(seconds) >= 18 && Number(seconds) <= 21, `${seconds}`);
});

test("the client's own mistakes are returned verbatim, once", async (world, t) => {
    const { provider, redis, node } = await two(world);
    let count = 0;
    for (const status of [400, 404, 409, 413, 422]) {
        await t.test(`${status}`, async () => {
            await provider.reset();
            const body = `{"type":"error",  "error":{"type":"x","message":"too long: ${status}"}}`;
            const headers = { 'request-id': `req_${status}`, 'x-should-retry': 'false' };
            await provider.fault('*', { status, body, headers });
            const answer = await post(node.port, { stream: status === 400 });
            assert.equal(answer.status, status);
            assert.equal(answer.text, body);
            assert.equal(answer.header('request-id'), `req_${status}`);
            assert.equal(answer.header('x-should-retry'), 'false');
            assert.equal((await provider.log()).length, 1);
            assert.equal((await node.status()).subscriptions[0].in_cooldown, false);
            count++;
        });
    }
    await redis.bookedReaches('client:127.0.0.1', { requests: count });
});

test('when every subscription fails the client gets the last error verbatim', async (world, t) => {
    for (const stream of [false, true]) {
        await t.test(stream ? 'as a stream' : 'as JSON', async () => {
            const { provider, node } = await two(world);
            const body = '{"type":"error","error":{"type":"api_error","message":"the last"}}';
            await provider.fault('alpha', { status: 500 });
            await provider.fault('beta', {
                status: 502,
                body,
                headers: { 'request-id': 'req_last' },
            });
            const answer = await post(node.port, { stream });
            assert.equal(answer.status, 502);
            assert.equal(answer.text, body);
            assert.equal(answer.header('request-id'), 'req_last');
            assert.deepEqual(await provider.asked(), { alpha: 1, beta: 1 });
            await quiet({ node, provider });
        });
    }
});

test('a limit of the only subscription is said with its time, before and after', async (world) => {
    const { provider, node } = await world.setting();
    await provider.fault('alpha', { status: 429, headers: { 'retry-after': '9', 'x-a': 'b' } });
    const first = await post(node.port);
    ownError(first, 429, 'rate_limit_error');
    assert.equal(first.header('retry-after'), '9');
    assert.equal(first.header('x-a'), undefined, 'what the provider said of its account');
    const second = await post(node.port);
    ownError(second, 429, 'rate_limit_error');
    const seconds = Number(second.header('retry-after'));
    assert.ok(seconds >= 8 && seconds <= 9, `retry-after ${seconds}`);
    assert.deepEqual(await provider.asked(), { alpha: 1 });
});

test('an upstream that cannot be reached is said in the Anthropic shape', async (world) => {
    const { node } = await world.setting({ url: `http://127.0.0.1:${await freePort()}` });
    const answer = await post(node.port);
    ownError(answer, 502, 'api_error');
});

test('an upstream that does not answer in time is a 504', async (world) => {
    const { provider, node } = await world.setting({
        config: { timeouts: { first_byte_ms: 400 } },
    });
    await provider.fault('alpha', { stall: true });
    ownError(await post(node.port), 504, 'timeout_error');
    await quiet({ node, provider });
});

test('at most retry.total subscriptions are tried', async (world) => {
    const config = { ...SHOWN, retry: { total: 2 } };
    const { provider, node } = await world.setting({ subscriptions: 4, config });
    await provider.fault('*', { status: 500, times: -1 });
    assert.equal((await post(node.port)).status, 500);
    assert.equal((await provider.log()).length, 2);
});

test('when nothing is free: 529 overloaded_error with retry-after', async (world) => {
    const { provider, node } = await world.setting({ max: 2 });
    const held = [1, 2].map(() => post(node.port, { script: { hold: true } }));
    await provider.activeReaches(2);
    const answer = await post(node.port);
    ownError(answer, 529, 'overloaded_error');
    assert.match(answer.header('retry-after'), /^[1-9][0-9]*$/);
    await provider.step('alpha', -1);
    for (const one of await Promise.all(held)) assert.equal(one.status, 200);
    assert.equal((await provider.credential('alpha')).high_water, 2);
});

test('burst_limit holds: so many admissions of a subscription in any second', async (world) => {
    const config = { ...SHOWN, rate_limit: { burst_limit: 3 } };
    const { provider, node } = await world.setting({ subscriptions: 2, max: 50, config });
    const answers = await Promise.all(Array.from({ length: 12 }, () => post(node.port)));
    const served = answers.filter((answer) => answer.status === 200);
    const refused = answers.filter((answer) => answer.status === 529);
    assert.equal(served.length + refused.length, 12);
    assert.ok(refused.length > 0);
    for (const answer of refused) assert.match(answer.header('retry-after'), /^[12]$/);
    for (const name of ['alpha', 'beta']) {
        const log = await provider.log({ name });
        const starts = log.map((record) => record.started_ms);
        const crowd = starts.filter((_, i) => i >= 3 && starts[i] - starts[i - 3] < 900);
        assert.deepEqual(crowd, [], `${name}: ${starts}`);
    }
});

test('the one with most free slots is chosen, then the lower priority number', async (world) => {
    const { provider, node } = await world.setting({ subscriptions: 3, max: 2, config: SHOWN });
    const wires = [];
    const order = [];
    for (let i = 0; i < 6; i++) {
        const { answer, wire } = await open(node.port, { script: { stall_after_events: 4 } });
        order.push(answer.header('x-weir-subscription'));
        wires.push(wire);
    }
    assert.deepEqual(order.slice(0, 3).sort(), ['alpha', 'beta', 'gamma']);
    assert.deepEqual(order.slice(3).sort(), ['alpha', 'beta', 'gamma']);
    assert.equal(order[0], 'alpha');
    assert.equal(order[3], 'alpha');
    for (const wire of wires) wire.leave();
    await quiet({ node, provider });
});

test('a disabled subscription gets nothing', async (world) => {
    const provider = await world.provider();
    const subscriptions = world.subscriptions(provider, 2);
    subscriptions[0].enabled = false;
    const { node } = await world.setting({ provider, config: { ...SHOWN, subscriptions } });
    for (let i = 0; i < 4; i++) await post(node.port);
    assert.deepEqual(await provider.asked(), { beta: 4 });
    const { node: none } = await world.setting({
        provider,
        id: 'n2',
        config: { subscriptions: [subscriptions[0]] },
    });
    ownError(await post(none.port), 503, 'api_error');
});

/** An answer whose end never comes: {text, end} of the connection. */
async function brokenOff(node, options) {
    const wire = await connect(node.port);
    await wire.send(messagesRequest(options));
    const answer = await wire.head();
    const pieces = [];
    await assert.rejects(
        async () => {
            for (let piece; (piece = await answer.piece());) pieces.push(piece);
        },
        /ended/,
        'an answer that broke off upstream looks whole',
    );
    return { answer, text: Buffer.concat(pieces).toString() };
}

test('a stream that breaks off ends with an SSE error and no proper end', async (world, t) => {
    const cuts = {
        'between two events': { close_after_events: 5 },
        'with a reset': { close_after_events: 5, reset: true },
        'within an event': { close_after_bytes: 900 },
        'by silence': { stall_after_events: 5 },
    };
    for (const [name, script] of Object.entries(cuts)) {
        await t.test(name, async () => {
            const config = { ...SHOWN, timeouts: { idle_ms: 500 } };
            const { provider, redis, node } = await two(world, { config });
            const options = { stream: true, text: 'x'.repeat(400), script };
            const { answer, text } = await brokenOff(node, options);
            const events = text.trimEnd().split(/\n\n+/);
            const last = events.at(-1);
            assert.match(last, /^event: error\ndata: \{/);
            const data = JSON.parse(/^data: (.*)$/m.exec(last)[1]);
            assert.equal(data.type, 'error');
            assert.equal(typeof data.error.message, 'string');
            assert.equal((await provider.log()).length, 1, 'no second try after content');
            const line = await node.finished(answer);
            assert.equal(line.end, 'broken');
            await redis.bookedReaches('sub:alpha', { requests: 1, errors: 1, input: 100 });
            await quiet({ node, provider });
        });
    }
});

test('an answer that breaks off and is no stream never looks whole', async (world, t) => {
    for (const framing of ['chunked', 'content_length']) {
        await t.test(framing, async () => {
            const { provider, redis, node } = await two(world);
            const script = { [framing]: true, text_bytes: 100000, close_after_bytes: 50000 };
            await brokenOff(node, { script });
            assert.equal((await provider.log()).length, 1);
            await redis.bookedReaches('sub:alpha', { requests: 1, errors: 1 });
            await quiet({ node, provider });
        });
    }
});

test('a stream that ends without message_stop is not passed off as whole', async (world) => {
    const { provider, node } = await two(world);
    const body =
        'event: message_start\ndata: {"type":"message_start","message":{}}\n\n' +
        'event: content_block_start\ndata: {"type":"content_block_start","index":0}\n\n';
    const script = { body, headers: { 'content-type': 'text/event-stream' }, until_close: true };
    const { text } = await brokenOff(node, { stream: true, script });
    assert.match(text, /event: error\n/);
    await quiet({ node, provider });
});

test('an SSE error before any content comes from the next subscription', async (world) => {
    for (const after of [0, 1]) {
        const setting = await two(world);
        const error = { type: 'overloaded_error', message: 'Overloaded', after_events: after };
        await setting.provider.fault('alpha', { error_event: error });
        await goesToBeta(setting, { stream: true });
    }
});

test('an SSE error behind content passes as it is, nobody else is tried', async (world) => {
    const { provider, redis, node } = await two(world);
    const error = { type: 'overloaded_error', message: 'Overloaded', after_events: 6 };
    await provider.fault('alpha', { error_event: error, event_delay_ms: 20 });
    const answer = await post(node.port, { stream: true });
    assert.equal(answer.text.match(/event: error/g).length, 1);
    assert.match(answer.text, /"Overloaded"/);
    assert.equal((await provider.log()).length, 1);
    await redis.bookedReaches('sub:alpha', { requests: 1, errors: 1 });
    await quiet({ node, provider });
});

test('other endpoints fail over too', async (world) => {
    const { provider, node } = await two(world);
    await provider.fault('alpha', { status: 529 });
    const answer = await call(node.port, 'GET', '/v1/models');
    assert.equal(answer.status, 200);
    assert.equal(answer.header('x-weir-subscription'), 'beta');
});

test('a stream waits for its first content and then flows', async (world) => {
    const { provider, node } = await two(world);
    await provider.fault('alpha', { status: 529 });
    await provider.fault('beta', { hold: true });
    const wire = await connect(node.port);
    await wire.send(messagesRequest({ stream: true }));
    await provider.activeReaches(1, { name: 'beta' });
    await provider.step('beta', -1);
    const events = new EventReader(await wire.head());
    assert.equal((await events.all()).at(-1).event, 'message_stop');
});
