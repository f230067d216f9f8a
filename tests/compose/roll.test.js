// scripts/roll as deploy/README.md has it: five nodes are replaced by those of a new image, under
// streams and requests, and nobody notices; interrupted in the middle, too.
import assert from 'node:assert/strict';
import { utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { post } from '../e2e/harness/http.js';
import { WholeLoad, Load } from './load.js';
import { ROOT, Stack } from './stack.js';

const NODES = 5;
// Longer ones make a roll longer, and show nothing else: WEIR_STREAM_SECONDS=25 for once.
const STREAM = { events: 10 * (Number(process.env.WEIR_STREAM_SECONDS) || 12), event_delay_ms: 100 };

describe('scripts/roll', () => {
    const stack = new Stack();
    before(async () => {
        await stack.buildOldImage();
        await stack.up(NODES);
    }, { timeout: 500000 });
    after(() => stack.down(), { timeout: 150000 });

    const imageOf = (id) => stack.inspect(id, '{{.Image}}');
    const images = async () => new Set(await Promise.all((await stack.nodes()).map(imageOf)));

    async function rolled(...args) {
        const roll = stack.roll(...args);
        const { code } = await roll.wait(400000);
        const text = roll.err.items.filter((line) => !/^(Step | --->)/.test(line)).join('\n');
        return { code, text };
    }

    test('a config that is wrong changes nothing', async () => {
        const nodes = await stack.nodes();
        stack.env.LOG_LEVEL = 'loud';
        const { code, text } = await rolled('--no-build');
        stack.env.LOG_LEVEL = '';
        assert.equal(code, 1);
        assert.match(text, /LOG_LEVEL \(environment\): logging.level: found "loud"/);
        assert.deepEqual(await stack.nodes(), nodes);
    });

    test('no stream and no request fails, and an interrupted one goes on', async (t) => {
        const before = await stack.nodes();
        const [old] = await images();
        const loads = [
            new WholeLoad(stack.port, { clients: 2, script: STREAM, keeps: false, pause_ms: 10000 }),
            new WholeLoad(stack.port, { clients: 2, stream: false, pause_ms: 100 }),
            new Load(stack.port, { clients: 2, script: { events: 5, event_delay_ms: 20 } }),
        ];
        // Newer than HAProxy's start: that has to read it again, and may lose nobody by it.
        await utimes(join(ROOT, 'deploy/haproxy/haproxy.cfg'), new Date(), new Date());
        try {
            const first = stack.roll('--nodes', `${NODES}`);
            await first.err.find('a node that leaves', (line) => /leaves: /.test(line), { ms: 120000 });
            first.signal('SIGINT');
            assert.equal((await first.wait()).code, 130);
            assert.ok(first.err.items.some((line) => /HAProxy has read/.test(line)), first.tail());
            const { code, text } = await rolled('--nodes', `${NODES}`);
            t.diagnostic(text);
            assert.equal(code, 0, text);
        } finally {
            await Promise.all(loads.map((load) => load.end()));
        }
        const counts = loads.map(({ answers }) => answers);
        t.diagnostic(`${counts[0]} streams, ${counts[1] + counts[2]} requests`);
        assert.deepEqual(loads.flatMap(({ faults }) => faults), []);
        const nodes = await stack.nodes();
        assert.equal(nodes.length, NODES);
        assert.ok(nodes.every((id) => !before.includes(id)));
        const now = await images();
        assert.deepEqual([now.size, now.has(old)], [1, false]);
    });

    test('docker-compose up has nothing to do after it, nor has another roll', async () => {
        const nodes = await stack.nodes();
        await stack.scale(NODES);
        assert.deepEqual(await stack.nodes(), nodes);
        const { code, text } = await rolled('--no-build');
        assert.equal(code, 0, text);
        assert.match(text, /all nodes are as they should be/);
        assert.deepEqual(await stack.nodes(), nodes);
    });

    test('a new node that does not get ready is taken away, the others go on', async () => {
        const nodes = await stack.nodes();
        await stack.breakImage();
        const { code, text } = await rolled('--no-build');
        assert.equal(code, 1);
        assert.match(text, /does not stay up.*the others go on/);
        assert.deepEqual(await stack.nodes(), nodes);
        assert.equal((await post(stack.port)).status, 200);
    });
});
