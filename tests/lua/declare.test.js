'use strict';
const assert = require('node:assert/strict');
const { after, before, beforeEach, test } = require('node:test');
const { startPool } = require('./helper');

let server, pool;
before(async () => ({ server, pool } = await startPool()));
beforeEach(() => pool.redis('FLUSHALL'));
after(() => server.stop());

test('a declared subscription is readable as one line', async () => {
    await pool.declare({ 'team-a': { max: 5, priority: 2, burst: 10 } });
    assert.equal(
        await pool.redis('HGET', pool.key('subs'), 'team-a'),
        'active=0 max=5 state=on priority=2 burst=10 cooling_until=0 used=0',
    );
});

test('declaring again keeps slots in use, cooldown, last use and totals', async () => {
    await pool.declare({ a: { max: 5 } });
    const [one, two] = [await pool.admit(), await pool.admit()];
    await pool.settle(one, {
        status: 429,
        outcome: 'error',
        cooldownMs: 60000,
        reason: 'limited',
        input: 7,
    });
    const before = (await pool.snapshot()).subs.a;
    assert.deepEqual(await pool.declare({ a: { max: 9, priority: 3, burst: 4, enabled: 0 } }), {
        ok: true,
        dropped: 0,
    });
    const after = (await pool.snapshot()).subs.a;
    assert.deepEqual(
        [after.max, after.priority, after.burst_limit, after.state],
        ['9', '3', '4', 'off'],
    );
    for (const field of [
        'active',
        'cooldown_until_ms',
        'cooldown_reason',
        'last_used_ms',
        'total_requests',
        'total_errors',
        'total_input',
    ]) {
        assert.equal(after[field], before[field], field);
    }
    assert.deepEqual(await pool.leases(), [two.id]);
});

test('a lower max lets run what runs, and admits nothing until that has drained', async () => {
    await pool.declare({ a: { max: 3 } });
    const grants = [await pool.admit(), await pool.admit(), await pool.admit()];
    await pool.declare({ a: { max: 1 } });
    for (const grant of grants) {
        assert.equal((await pool.admit()).reason, 'full');
        await pool.settle(grant);
    }
    assert.equal((await pool.admit()).granted, true);
});

test('what is not named takes nothing more and goes when idle', async () => {
    await pool.declare({ busy: { max: 9, burst: 3 }, idle: {} });
    const grant = await pool.admit();
    assert.equal(grant.sub, 'busy');
    await pool.declare({ fresh: { max: 1 } });
    const { subs } = await pool.snapshot();
    assert.deepEqual(
        Object.values(subs).map((s) => [s.name, s.state, s.active]),
        [
            ['busy', 'leaving', '1'],
            ['fresh', 'on', '0'],
        ],
    );
    assert.equal((await pool.admit({ excluded: 'fresh' })).granted, false);
    await pool.settle(grant, { input: 5 });
    assert.deepEqual(Object.keys((await pool.snapshot()).subs), ['fresh']);
    assert.equal(await pool.redis('EXISTS', pool.key('burst', 'busy')), 0);
    await pool.declare({ busy: {} });
    assert.equal((await pool.snapshot()).subs.busy.total_input, '5', 'its totals were kept');
});

test('what was leaving and is named again goes on as before', async () => {
    await pool.declare({ a: { max: 5 } });
    await pool.admit();
    await pool.declare({});
    await pool.declare({ a: { max: 5 } });
    assert.deepEqual([(await pool.snapshot()).subs.a.state, await pool.active('a')], ['on', 1]);
    assert.equal((await pool.admit()).sub, 'a');
});

test('a restarted node drops its own former leases at once, never those of others', async () => {
    const subs = { a: { max: 9 } };
    const other = pool.as({ node: 'n2', boot: '0000000b' });
    const alike = pool.as({ node: 'n1.x', boot: '0000000c' });
    for (const node of [pool, other, alike]) {
        await node.declare(subs);
    }
    const mine = [await pool.admit(), await pool.admit()];
    const theirs = [await other.admit(), await alike.admit()];
    const reborn = pool.as({ boot: '0000000d' });
    assert.deepEqual(await reborn.declare(subs), { ok: true, dropped: 2 });
    assert.deepEqual((await pool.leases()).sort(), theirs.map((g) => g.id).sort());
    assert.equal(await pool.active('a'), 2);
    const fresh = await reborn.admit();
    assert.deepEqual(
        await reborn.declare(subs),
        { ok: true, dropped: 0 },
        'a reload drops nothing',
    );
    assert.ok((await pool.leases()).includes(fresh.id));
    assert.equal(await pool.settle(mine[0], { input: 3 }), 'late', 'its outbox is still booked');
    const [event] = (await pool.events('node started')).slice(-1);
    assert.deepEqual([event.node, event.boot, event.dropped], ['n1', '0000000d', '2']);
});

test('a restart among many leases finds all its own', async () => {
    await pool.declare({ a: { max: 2000 } });
    const other = pool.as({ node: 'n2', boot: '0000000b' });
    await other.declare({ a: { max: 2000 } });
    const calls = [];
    for (let i = 0; i < 450; i += 1) {
        calls.push(pool.admit(), other.admit());
    }
    await Promise.all(calls);
    assert.equal((await pool.as({ boot: '0000000d' }).declare({ a: { max: 2000 } })).dropped, 450);
    assert.equal(await pool.active('a'), 450);
});

test('every change of a subscription leaves an event; declaring the same leaves none', async () => {
    await pool.declare({ a: {}, b: {} });
    await pool.declare({ a: {}, b: {} });
    await pool.declare({ a: { max: 7 } });
    const events = (await pool.events()).filter((e) => e.event.startsWith('subscription'));
    assert.deepEqual(
        events.map((e) => [e.event, e.subscription]),
        [
            ['subscription added', 'a'],
            ['subscription added', 'b'],
            ['subscription changed', 'a'],
            ['subscription removed', 'b'],
        ],
    );
});

test('a bad declaration is refused by name and changes nothing', async () => {
    await pool.declare({ a: {} });
    const before = await pool.dump();
    const bad = (argument, ...args) =>
        assert.rejects(
            pool.call('declare', ...args),
            new RegExp(`ERR weir: ${argument}: expected`),
        );
    await bad('node', 'a b', '0000000a', '0');
    await bad('boot', 'n1', 'xyz', '0');
    await bad('count', 'n1', '0000000e', '501');
    await bad('ARGV', 'n1', '0000000e', '2', 'b', '1', '1', '1', '1');
    await bad('subscription 1 name', 'n1', '0000000e', '1', 'b/c', '1', '1', '1', '1');
    await bad('subscription 1 max_concurrent', 'n1', '0000000e', '1', 'b', '-1', '1', '1', '1');
    await bad('subscription 1 priority', 'n1', '0000000e', '1', 'b', '1', 'x', '1', '1');
    await bad('subscription 1 enabled', 'n1', '0000000e', '1', 'b', '1', '1', '2', '1');
    await bad('subscription 1 burst_limit', 'n1', '0000000e', '1', 'b', '1', '1', '1', '1.5');
    await bad(
        'subscription 2 name',
        'n1',
        '0000000e',
        '2',
        'b',
        '1',
        '1',
        '1',
        '1',
        'b',
        '1',
        '1',
        '1',
        '1',
    );
    assert.equal(await pool.dump(), before);
});
