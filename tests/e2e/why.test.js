// Why a request went as it did: the log says it in every line it needs for that.
import assert from 'node:assert/strict';
import { connect, key, messagesRequest, post, test } from './harness/index.js';

const error = (type, message) => ({ type: 'error', error: { type, message } });

test('a line says which node it is of; a success is info, what failed or was refused a warning', async (world) => {
    const { provider, node } = await world.setting({ subscriptions: 2, max: 1 });
    const fine = await node.finished(await post(node.port));
    assert.equal(fine.level, 'info');
    assert.equal(fine.node, 'n1');
    assert.match(fine.boot, /^[0-9a-f]{8}$/);
    assert.ok(fine.id.startsWith(`weir_${fine.boot}-`), 'the id begins with the boot');
    assert.match(fine.provider_id, /^req_011/);
    await provider.fault('alpha', {
        status: 500,
        headers: { 'request-id': 'req_provider_1' },
        body: error('api_error', 'Internal\nserver \u001b[31merror'),
    });
    const moved = await post(node.port);
    assert.equal(moved.status, 200);
    const id = moved.header('x-weir-request-id');
    const failed = await node.event('attempt failed', (line) => line.id === id);
    assert.deepEqual(
        [failed.level, failed.node, failed.boot, failed.subscription, failed.status],
        ['warn', 'n1', fine.boot, 'alpha', 500],
    );
    assert.equal(failed.provider_id, 'req_provider_1');
    assert.equal(failed.error_type, 'api_error');
    assert.equal(failed.message, 'Internal\nserver \u001b[31merror');
    const raw = node.lines.find((line) => line.includes('attempt failed'));
    assert.ok(raw.includes('\\u000aserver \\u001b[31merror'), 'on the wire it is escaped');
    assert.equal((await node.finished(moved)).level, 'info', 'it was served in the end');
    for (const line of node.log.items.filter((one) => one.event !== 'text')) {
        assert.equal(line.node, 'n1', JSON.stringify(line));
        assert.equal(line.boot, fine.boot);
    }
});

test(`a caller's own error says what the provider said of it`, async (world) => {
    const { provider, node } = await world.setting();
    const body = error('invalid_request_error', `${'a'.repeat(199)}ä and more`);
    await provider.fault('alpha', { status: 400, headers: { 'request-id': null, 'cf-ray': '8f-FRA' }, body });
    const line = await node.finished(await post(node.port));
    assert.equal(line.level, 'warn');
    assert.equal(line.status, 400);
    assert.equal(line.provider_id, '8f-FRA');
    assert.equal(line.error_type, 'invalid_request_error');
    assert.equal(line.message, 'a'.repeat(199), 'at most 200 bytes, and no half character');
});

test('a limit says so with its words; a page is shown by how it begins', async (world) => {
    const { provider, node } = await world.setting({ subscriptions: 2 });
    await provider.fault('alpha', {
        status: 429,
        headers: { 'retry-after': '30', 'request-id': 'req_limit' },
        body: error('rate_limit_error', 'This would exceed your limit'),
    });
    await provider.fault('beta', {
        status: 502,
        headers: { 'content-type': 'text/html' },
        body: '<html><title>bad gateway</title></html>',
    });
    await post(node.port);
    const cooling = await node.event('subscription cooling');
    assert.equal(cooling.provider_id, 'req_limit');
    assert.equal(cooling.message, 'This would exceed your limit');
    const page = await node.event('attempt failed', (line) => line.subscription === 'beta');
    assert.equal(page.message, '<html><title>bad gateway</title></html>');
});

test('a refusal of ours says its reason', async (world) => {
    const { provider, node } = await world.setting({ max: 1 });
    const wire = await connect(node.port);
    await wire.send(messagesRequest({ stream: true, script: { hold: true } }));
    await provider.activeReaches(1);
    const refused = await post(node.port);
    const line = await node.finished(refused);
    assert.equal(line.level, 'warn');
    assert.equal(line.status, 529);
    assert.equal(line.refused, 'full');
    assert.equal(line.reason, refused.json.error.message);
    await provider.step('alpha', -1);
    const away = await post(node.port, { headers: { host: 'elsewhere.example' } });
    assert.equal(away.status, 403);
    const turned = await node.event('request turned away');
    assert.equal(turned.level, 'warn');
    assert.ok(turned.reason.length > 0);
});

test('a key that a provider repeats is not in the log', async (world) => {
    const { provider, node } = await world.setting({ subscriptions: 2 });
    const message = `invalid x-api-key: ${key('alpha')}, Bearer ${key('alpha')}`;
    await provider.fault('alpha', { status: 401, body: error('authentication_error', message) });
    assert.equal((await post(node.port)).status, 200);
    const line = await node.event('credential doubted');
    assert.match(line.message, /^invalid x-api-key: \*+/);
    assert.ok(!node.lines.some((text) => text.includes(key('alpha'))));
});

test('a stream that breaks off says why', async (world) => {
    const { provider, node } = await world.setting();
    await provider.fault('alpha', { close_after_events: 4 });
    const wire = await connect(node.port);
    await wire.send(messagesRequest({ stream: true }));
    const line = await node.event('exchange finished');
    assert.equal(line.level, 'warn');
    assert.equal(line.end, 'broken');
    assert.match(line.reason, /provider/);
    assert.match(line.provider_id, /^req_011/);
});
