'use strict';
const assert = require('node:assert/strict');
const { after, before, beforeEach, test } = require('node:test');
const { startPool } = require('./helper');

let server, pool;
before(async () => ({ server, pool } = await startPool()));
beforeEach(() => pool.wipe());
after(() => server.stop());

test('a declared subscription is readable as one line', async () => {
    await pool.declare({ 'team-a': { max: 5, priority: 2, burst: 10, account: '3f9a1c20b7d4' } });
    assert.equal(
        await pool.redis('HGET', pool.key('roster'), 'team-a'),
        'account=3f9a1c20b7d4 max=5 priority=2 burst=10 edited=1000 state=on paused=0 tier=1',
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
    const declared = await pool.declare({ a: { max: 9, priority: 3, burst: 4, enabled: 0 } });
    assert.deepEqual([declared.ok, declared.behind], [true, 0]);
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
    await pool.sweep();
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
    await pool.sweep();
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

test('a node is lent only what it knows', async () => {
    const other = pool.as({ node: 'n2', boot: '0000000b' });
    await pool.declare({ a: { max: 1 } });
    await other.declare({ a: { max: 1 }, new: { max: 9 } }, { editedMs: 2000 });
    assert.equal((await other.admit()).sub, 'new');
    assert.equal((await pool.admit()).sub, 'a');
    assert.equal((await pool.admit()).reason, 'full');
    assert.equal((await pool.admit({ excluded: 'a' })).reason, 'excluded');
    assert.equal((await pool.sweep()).behind, 1, 'and it hears that it is behind');
    assert.equal((await other.sweep()).behind, 0);
    assert.equal((await pool.declare({ a: { max: 1 }, new: { max: 9 } })).behind, 0);
    assert.equal((await pool.admit()).sub, 'new');
});

test('an older configuration takes nothing away and sets nothing back', async () => {
    const other = pool.as({ node: 'n2', boot: '0000000b' });
    await other.declare({ a: { max: 8 }, new: { max: 9 } }, { editedMs: 2000 });
    const { behind } = await pool.declare({ a: { max: 5 } }, { editedMs: 1000 });
    assert.equal(behind, 1);
    const { subs } = await pool.snapshot();
    assert.deepEqual([subs.a.max, subs.new.state], ['8', 'on']);
    await pool.declare({ a: { max: 6 } }, { editedMs: 3000 });
    assert.equal((await pool.snapshot()).subs.a.max, '6', 'a later written one does');
});

test('what the last of its nodes declared stays until that is forgotten, then goes', async () => {
    const other = pool.as({ node: 'n2', boot: '0000000b' });
    await pool.declare({ a: {} });
    await other.declare({ a: {}, new: {} });
    await other.sweep();
    const silent = (ms) => pool.redis('ZINCRBY', pool.key('boots'), `-${ms}`, 'n2.0000000b');
    await silent(30000);
    await pool.sweep();
    assert.equal((await pool.snapshot()).subs.new.state, 'on');
    await silent(31000);
    await pool.sweep();
    await pool.sweep();
    assert.deepEqual(Object.keys((await pool.snapshot()).subs), ['a']);
});

test('a rename keeps slots, cooldown and books', async () => {
    await pool.declare({ a: { max: 2, account: 'aaaa00000001' } });
    const [one, two] = [await pool.admit(), await pool.admit()];
    await pool.settle(one, { status: 429, outcome: 'error', cooldownMs: 60000, input: 7 });
    const third = await pool.declare({ b: { max: 2, account: 'aaaa00000001' } });
    assert.equal(third.ok, true);
    await pool.sweep();
    const { subs } = await pool.snapshot();
    assert.deepEqual(Object.keys(subs), ['b']);
    assert.deepEqual(
        [subs.b.active, subs.b.in_cooldown, subs.b.total_input, subs.b.day_input],
        ['1', '1', '7', '7'],
    );
    assert.equal(await pool.settle(two, { input: 1 }), 'settled');
    assert.deepEqual([(await pool.snapshot()).subs.b.total_input, await pool.active('b')], ['8', 0]);
});

test('two subscriptions that change names change nothing else', async () => {
    const [x, y] = ['aaaa00000001', 'bbbb00000002'];
    await pool.declare({ a: { max: 9, account: x }, b: { max: 1, account: y } });
    const grant = await pool.admit();
    assert.equal(grant.sub, x);
    await pool.settle(await pool.admit({ excluded: x }), { input: 5 });
    await pool.sweep();
    await pool.declare({ b: { max: 9, account: x }, a: { max: 1, account: y } });
    const { subs } = await pool.snapshot();
    assert.deepEqual([subs.b.active, subs.b.max, subs.a.active], ['1', '9', '0']);
    assert.deepEqual([subs.a.total_input, subs.b.total_input], ['5', '0']);
});

test('a new credential under an old name begins without a block, the old one drains', async () => {
    const [old, fresh] = ['aaaa00000001', 'bbbb00000002'];
    await pool.declare({ a: { max: 2, account: old } });
    const [one, two] = [await pool.admit(), await pool.admit()];
    await pool.settle(one, { status: 401, outcome: 'error', cooldownMs: 60000, input: 3 });
    await pool.declare({ a: { max: 2, account: fresh } });
    const { subs } = await pool.snapshot();
    assert.deepEqual([subs.a.account, subs.a.in_cooldown, subs.a.active], [fresh, '0', '0']);
    assert.deepEqual([subs['a~aaaa'].state, subs['a~aaaa'].active], ['leaving', '1']);
    assert.equal((await pool.admit()).sub, fresh);
    await pool.settle(two, { input: 4 });
    await pool.sweep();
    assert.equal((await pool.snapshot()).subs.a.total_input, '7', 'the name keeps its books');
});

test('two nodes with different credentials under one name have two accounts', async () => {
    const other = pool.as({ node: 'n2', boot: '0000000b' });
    await pool.declare({ a: { max: 1, account: 'aaaa00000001' } }, { editedMs: 1000 });
    await other.declare({ a: { max: 1, account: 'bbbb00000002' } }, { editedMs: 2000 });
    assert.equal((await pool.admit()).sub, 'aaaa00000001');
    assert.equal((await other.admit()).sub, 'bbbb00000002');
    assert.equal((await pool.admit()).reason, 'full');
    const { subs } = await pool.snapshot();
    assert.deepEqual(Object.keys(subs).sort(), ['a', 'a~aaaa']);
});

test('every change of a subscription leaves an event; declaring the same leaves none', async () => {
    await pool.declare({ a: {}, b: {} });
    await pool.declare({ a: {}, b: {} });
    await pool.declare({ a: { max: 7 } });
    await pool.sweep();
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
    const settings = ['headroom', '18000000'];
    const head = ['n1', '0000000e', '0', '0', ...settings];
    const row = ['b', 'bbbb', '1', '1', '1', '1', '1', ''];
    await bad('node', 'a b', ...head.slice(1));
    await bad('boot', 'n1', 'xyz', '0', '0', ...settings);
    await bad('edited_ms', 'n1', '0000000e', '-1', '0', ...settings);
    await bad('strategy', ...head.slice(0, 4), 'fastest', '18000000');
    await bad('session_ms', ...head.slice(0, 5), '5');
    await bad('subscriptions', ...head, ...row.slice(1));
    await bad('subscriptions', ...head, ...Array(501).fill(row).flat());
    const names = ['name', 'account', 'max', 'priority', 'enabled', 'burst', 'tier', 'limits'];
    for (const [i, name] of names.entries()) {
        const wrong = row.map((value, at) => (at === i ? '-/' : value));
        await bad(`subscriptions 2 ${name}`, ...head, ...row, ...wrong);
    }
    assert.equal(await pool.dump(), before);
});
