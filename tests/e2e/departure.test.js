// A node that leaves says so: the others drop it at once. One that dies does not, and they tell.
import assert from 'node:assert/strict';
import { call, connect, EventReader, eventually, messagesRequest, test, weir } from './harness/index.js';

/** A stream that stands still after its first event. */
async function heldStream(node, provider) {
    const wire = await connect(node.port);
    await wire.send(messagesRequest({ stream: true, script: { hold: true } }));
    await provider.activeReaches(1);
    await provider.step('alpha', 4);
    const events = new EventReader(await wire.head());
    await events.next();
    return { events };
}

/** `weir status`, as a node sees it. */
async function shown(node) {
    const run = await weir(['status', '--url', `http://127.0.0.1:${node.port}`], { dir: node.dir });
    return run.out;
}

test('what ended and what was lost is said, and the pool knows at once that the node has gone', async (world) => {
    const { provider, node } = await world.setting({ config: { server: { drain_seconds: 1 } } });
    const second = await world.node({ id: 'n2', config: { ...node.config, node: { id: 'n2' } } });
    const names = async () => (await second.status()).nodes.map((one) => one.id).sort();
    const left = async (ended, lost) => {
        assert.equal((await node.child.wait()).code, 0);
        const line = await node.event(`left: ${ended} ended, ${lost} lost`);
        assert.deepEqual([line.ended, line.lost, line.pool], [ended, lost, 'knows']);
        assert.equal(line.level, lost > 0 ? 'warn' : 'info');
        await eventually('the look to be a new one', async () => (await names()).length === 1);
        assert.deepEqual(await names(), ['n2']);
        assert.ok(!/SILENT|n1/.test(await shown(second)));
        await node.start();
        await eventually('both to be there', async () => (await names()).length === 2);
    };
    node.child.signal('SIGINT');
    await left(0, 0);
    const { events } = await heldStream(node, provider);
    node.child.signal('SIGTERM');
    await provider.step('alpha', -1);
    await events.all();
    await left(1, 0);
    const cut = await heldStream(node, provider);
    node.child.signal('SIGTERM');
    await assert.rejects(cut.events.all(), /ended/);
    await left(0, 1);
    const drained = await call(node.port, 'POST', '/admin/drain', { body: '' });
    assert.equal(drained.status, 200);
    await left(0, 0);
});

test('a node that died without a word is SILENT, and forgotten after a minute', async (world) => {
    const { redis, node } = await world.setting();
    const second = await world.node({ id: 'n2', config: { ...node.config, node: { id: 'n2' } } });
    assert.match(await shown(second), /^n1 .* now$/m);
    await node.kill9();
    const isSilent = async () => /^n1 .* SILENT for \d+ s$/m.test(await shown(second));
    await eventually('it to be silent', isSilent, { ms: 15000 });
    const boots = (await redis.cli('ZRANGE', 'weir:{main}:boots', '0', '-1')).trim().split('\n');
    const boot = boots.find((name) => name.startsWith('n1.'));
    await redis.cli('ZADD', 'weir:{main}:boots', `${Date.now() - 61000}`, boot); // the minute is over
    await eventually('it to be forgotten', async () => !/^n1 /m.test(await shown(second)), { ms: 15000 });
    assert.match(await shown(second), /^n2 .* now$/m);
});
