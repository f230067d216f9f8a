// Thousands of streams on one node.
import assert from 'node:assert/strict';
import {
    connect,
    EventReader,
    isSanitized,
    messagesRequest,
    post,
    quiet,
    test,
} from './harness/index.js';

const STREAMS = 5000;
const AT_ONCE = 100; // being opened

test('5,000 idle streams on one node', { ms: 120000 }, async (world, t) => {
    const provider = await world.provider({ 'no-log': true });
    const subscriptions = world.subscriptions(provider, 5, { max_concurrent: 1000 });
    const { node } = await world.setting({
        provider,
        config: {
            subscriptions,
            logging: { level: 'warn' },
        },
    });
    const warm = await post(node.port);
    assert.equal(warm.status, 200);
    const before = await node.memory();
    const streams = [];
    const opener = async () => {
        while (streams.length < STREAMS) {
            const stream = {};
            streams.push(stream);
            stream.wire = await connect(node.port);
            await stream.wire.send(messagesRequest({ stream: true, script: { hold: true } }));
        }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, opener));
    await provider.activeReaches(STREAMS, { ms: 60000 });
    await provider.step('*', 4);
    for (const stream of streams) {
        stream.events = new EventReader(await stream.wire.head());
        await stream.events.next();
    }
    const status = await node.status();
    assert.equal(status.total_active, STREAMS);
    assert.equal(status.available_capacity, 0);
    assert.equal((await node.get('/health')).status, 200);
    const grown = (await node.memory()) - before;
    t.diagnostic(`${(grown / STREAMS).toFixed(1)} KiB a stream`);
    if (!isSanitized()) assert.ok(grown / STREAMS < 24, `${grown / STREAMS} KiB a stream`);
    await provider.step('*', -1);
    for (const stream of streams) {
        const events = await stream.events.all({ ms: 60000 });
        assert.equal(events.at(-1).event, 'message_stop');
        stream.wire.leave();
    }
    await quiet({ node, provider });
});
