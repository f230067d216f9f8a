'use strict';
// All nodes are asked to read their configurations again, and tell what came of it.
const assert = require('node:assert/strict');
const { after, before, beforeEach, test } = require('node:test');
const { startPool } = require('./helper');

let server, pool;
before(async () => ({ server, pool } = await startPool()));
beforeEach(() => pool.wipe());
after(() => server.stop());

const ask = async (...who) => Number((await pool.mend('reload', 'all', ...who))[1]);
const told = async (node = 'n1') => {
    const { reload_asked, reload_result, reload_words } = (await pool.snapshot()).nodes[node];
    return [Number(reload_asked), reload_result, reload_words];
};

test('every beat tells when a reload was asked, each asking another number', async () => {
    assert.equal((await pool.beat()).reload, 0);
    const first = await ask();
    assert.equal((await pool.beat()).reload, first);
    assert.ok(Math.abs(first - (await pool.now())) < 60000);
    const second = await ask('me');
    assert.ok(second > first);
    const other = pool.as({ node: 'n2', boot: '0000000b' });
    assert.equal((await other.beat()).reload, second);
    const events = await pool.events('reload asked');
    assert.deepEqual(events.map((event) => event.by), ['redis-cli', 'me']);
});

test('what a node says of its reload is shown until it says something else', async () => {
    await pool.beat();
    assert.deepEqual(await told(), [0, '', '']);
    const asked = await ask();
    await pool.beat({ reload: [asked, 'refused', 'port: found\n"x"'] });
    await pool.beat();
    assert.deepEqual(await told(), [asked, 'refused', 'port: found "x"']);
    await pool.beat({ reload: [0, 'taken', 'y'.repeat(2000)] });
    assert.deepEqual(await told(), [0, 'taken', 'y'.repeat(500)]);
});

test('a node alone with its Redis and idle says it too, once', async () => {
    await pool.declare({ a: {} }, { alone: 1 });
    await pool.beat({ alone: 1 });
    await pool.beat({ alone: 1, reload: [7, 'taken', 'unchanged'] });
    assert.deepEqual(await told(), [7, 'taken', 'unchanged']);
    const before = await pool.dump();
    await pool.beat({ alone: 1 });
    assert.equal(await pool.dump(), before);
});
