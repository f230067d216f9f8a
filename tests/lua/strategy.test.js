'use strict';
const assert = require('node:assert/strict');
const { after, before, beforeEach, test } = require('node:test');
const { startPool, until } = require('./helper');

let server, pool;
before(async () => ({ server, pool } = await startPool()));
beforeEach(async () => {
    await pool.wipe();
    await pool.sweptRecently();
});
after(() => server.stop());

/** So many requests, one at a time: who got each. */
async function take(count, from = pool) {
    const names = [];
    for (let i = 0; i < count; i += 1) {
        const grant = await from.admit();
        names.push(grant.sub);
        await from.settle(grant);
    }
    return names;
}

const counted = (names) =>
    names.reduce((counts, name) => ({ ...counts, [name]: (counts[name] ?? 0) + 1 }), {});

const nextMs = async () => {
    const now = await pool.now();
    await until(async () => (await pool.now()) > now, 'the next millisecond');
};

test('round-robin goes around by name, whatever is free', async () => {
    await pool.declare({ b: { max: 1 }, a: { max: 9 }, c: { max: 5 } }, { strategy: 'round-robin' });
    assert.deepEqual(await take(7), ['a', 'b', 'c', 'a', 'b', 'c', 'a']);
    assert.equal((await pool.admit()).how, 'round-robin');
});

test('round-robin: who could take nothing for a while does not catch up', async () => {
    await pool.declare({ a: {}, b: {}, c: {} }, { strategy: 'round-robin' });
    await pool.mend('enable', 'b', 'off');
    await take(20);
    await pool.mend('enable', 'b', 'on');
    const { b } = counted(await take(9));
    assert.ok(b === 3 || b === 4, `${b} of 9`);
});

test('least-requests: who could take nothing for a while catches up', async () => {
    await pool.declare({ a: {}, b: {}, c: {} }, { strategy: 'least-requests' });
    await take(3);
    await pool.mend('enable', 'b', 'off');
    await take(4);
    await pool.mend('enable', 'b', 'on');
    assert.deepEqual(await take(3), ['b', 'b', 'a']);
});

test('least-requests: a new one begins where the others are', async () => {
    await pool.declare({ a: {}, c: {} }, { strategy: 'least-requests' });
    await take(100);
    await pool.declare({ a: {}, b: {}, c: {} }, { strategy: 'least-requests', editedMs: 2000 });
    assert.deepEqual(counted(await take(9)), { a: 3, b: 3, c: 3 });
});

test('a new one begins where turns are taken, not where somebody is who could take none', async () => {
    for (const strategy of ['least-requests', 'weighted']) {
        await pool.wipe();
        await pool.declare({ a: {}, b: {}, c: {} }, { strategy });
        await take(3);
        await pool.mend('enable', 'b', 'off');
        await take(60);
        await pool.declare({ a: {}, b: {}, c: {}, d: {} }, { strategy, editedMs: 2000 });
        const { d } = counted(await take(9));
        assert.ok(d >= 3 && d <= 4, `${strategy}: ${d} of 9`);
    }
});

test('a pass that nobody can have come to, written by hand, costs no other its turns', async () => {
    await pool.declare({ a: {}, b: {}, c: {} }, { strategy: 'round-robin' });
    await take(3);
    for (const pass of ['99999999999999999999', '1e300', 'nan', '-5', '1.2.3']) {
        const line = `active=0 cooling=0 used=0 pass=${pass}`;
        await pool.redis('HSET', 'weir:{main}:slots', 'b', line);
        await pool.sweep();
        const { a, b, c } = counted(await take(9));
        assert.ok(Math.max(a, b, c) - Math.min(a, b, c) <= 2, `${pass}: ${a} ${b} ${c}`);
    }
});

test('turns go on where numbers would cease to be exact: all go back alike', async () => {
    for (const strategy of ['round-robin', 'least-requests']) {
        await pool.wipe();
        await pool.declare({ a: {}, b: {}, c: {} }, { strategy });
        await take(3);
        for (const name of ['a', 'b', 'c']) {
            const line = 'active=0 cooling=0 used=0 pass=99999999999';
            await pool.redis('HSET', 'weir:{main}:slots', name, line);
        }
        for (let i = 0; i < 3; i += 1) {
            await pool.sweep();
            assert.equal((await take(6)).join(''), 'abcabc', strategy);
        }
        const lines = (await pool.redis('HGETALL', 'weir:{main}:slots')).join();
        assert.equal(lines.match(/pass=\d+(?=,|$)/g).length, 3, lines);
    }
});

const TIERS = { a: { tier: 1 }, b: { tier: 5 }, c: { tier: 20 } };

for (const strategy of ['weighted', 'weighted-round-robin']) {
    test(`${strategy}: tiers 1, 5, 20 get exactly that of each 26, in between each other`, async () => {
        await pool.declare(TIERS, { strategy });
        for (let cycle = 0; cycle < 4; cycle += 1) {
            const names = await take(26);
            assert.deepEqual(counted(names), { a: 1, b: 5, c: 20 });
            // Nobody waits longer than twice its share of the cycle.
            const longest = (name) =>
                Math.max(...names.join('').split(name).map((between) => between.length));
            assert.ok(longest('c') <= 2, names.join(''));
            assert.ok(longest('b') <= 10, names.join(''));
        }
    });
}

test('weighted catches up, weighted-round-robin does not', async () => {
    for (const [strategy, expected] of [
        ['weighted', { c: 20 }],
        ['weighted-round-robin', { b: 4, c: 16 }],
    ]) {
        await pool.wipe();
        await pool.declare({ b: { tier: 5 }, c: { tier: 20 } }, { strategy });
        await take(25);
        await pool.mend('enable', 'c', 'off');
        await take(25);
        await pool.mend('enable', 'c', 'on');
        const names = await take(20);
        assert.deepEqual(counted(names), expected, `${strategy}: ${names}`);
    }
});

test("turns are the pool's: three nodes of 200 requests each give every one of three 200", async () => {
    await pool.declare({ a: {}, b: {}, c: {} }, { strategy: 'round-robin' });
    const nodes = [1, 2, 3].map((n) => pool.as({ node: `m${n}`, boot: `0000000${n}` }));
    for (const node of nodes) {
        await node.declare({ a: {}, b: {}, c: {} }, { strategy: 'round-robin' });
        await node.register();
    }
    const all = await Promise.all(nodes.map((node) => take(200, node)));
    assert.deepEqual(counted(all.flat()), { a: 200, b: 200, c: 200 });
});

test('priority: the lowest number, and the next only when it is full or cooling', async () => {
    await pool.declare(
        { a: { max: 9, priority: 2 }, b: { max: 2, priority: 1 }, c: { max: 9, priority: 3 } },
        { strategy: 'priority' },
    );
    const grants = [];
    for (let i = 0; i < 3; i += 1) grants.push(await pool.admit());
    assert.deepEqual(
        grants.map((g) => g.sub),
        ['b', 'b', 'a'],
    );
    await pool.settle(grants[0]);
    assert.equal((await pool.admit()).sub, 'b');
    await pool.mend('cool', 'b', '60000', 'test');
    assert.equal((await pool.admit()).sub, 'a');
});

test('session: one takes all, on every node, for exactly its time from its first request', async () => {
    const settings = { strategy: 'session', sessionMs: 1500 };
    await pool.declare({ a: {}, b: {} }, settings);
    const other = pool.as({ node: 'm2', boot: '00000002' });
    await other.declare({ a: {}, b: {} }, settings);
    await other.register();
    const began = (await pool.now()) + 1;
    await nextMs();
    assert.deepEqual(await take(3), ['a', 'a', 'a']);
    const since = Number((await pool.snapshot()).subs.a.session_since_ms);
    assert.ok(since >= began);
    let last = 'a';
    let lastOfA = 0;
    await until(async () => {
        const asked = await pool.now();
        [last] = await take(1, other);
        if (last === 'a') lastOfA = asked;
        return last === 'b';
    }, 'the next session');
    assert.ok(lastOfA < since + 1500);
    const next = Number((await pool.snapshot()).subs.b.session_since_ms);
    assert.ok(next >= since + 1500, 'not before its time is over');
    assert.equal((await pool.snapshot()).subs.a.session_since_ms, '0');
});

test('session: one that is full is helped out, and keeps the session', async () => {
    await pool.declare({ a: { max: 1 }, b: {} }, { strategy: 'session' });
    const first = await pool.admit();
    assert.deepEqual([first.sub, first.how], ['a', 'session']);
    const second = await pool.admit();
    assert.deepEqual([second.sub, second.how], ['b', 'spill']);
    await pool.settle(first);
    assert.deepEqual(await take(2), ['a', 'a']);
});

test('session: a limit ends it, and it does not come back when the limit is over', async () => {
    await pool.declare({ a: {}, b: {}, c: {} }, { strategy: 'session' });
    assert.deepEqual(await take(1), ['a']);
    await pool.mend('cool', 'a', '60000', 'test');
    assert.deepEqual(await take(2), ['b', 'b']);
    await pool.mend('open', 'a');
    await pool.settle(await pool.admit()); // tries what was opened
    assert.deepEqual(await take(2), ['b', 'b']);
});

test('session: closed to this model only, it is helped out for that model', async () => {
    await pool.declare({ a: {}, b: {} }, { strategy: 'session' });
    const grant = await pool.admit({ labels: 'messages model:opus' });
    await pool.settle(grant, { status: 429, cooldownMs: 60000, scope: 'model:opus' });
    const opus = await pool.admit({ labels: 'messages model:opus' });
    assert.deepEqual([opus.sub, opus.how], ['b', 'spill']);
    assert.equal((await pool.admit({ labels: 'messages model:haiku' })).sub, 'a');
});

test("a person's word holds before every configuration, until it is taken back", async () => {
    const subs = { a: { max: 9 }, b: { max: 5 } };
    await pool.declare(subs);
    assert.deepEqual(await pool.mend('strategy', 'round-robin', 'me at my desk'), [
        'ok',
        'round-robin',
        'headroom',
    ]);
    assert.deepEqual(await take(4), ['a', 'b', 'a', 'b']);
    await pool.declare(subs, { strategy: 'priority', editedMs: 9000 });
    assert.deepEqual(
        [(await pool.snapshot()).pool.strategy, (await pool.snapshot()).pool.strategy_by],
        ['round-robin', 'person'],
    );
    assert.deepEqual(await pool.mend('strategy', 'configured'), ['ok', 'priority', 'round-robin']);
    assert.equal((await pool.snapshot()).pool.strategy_by, 'configuration');
    assert.equal((await pool.admit()).how, 'priority');
});

test('of two configurations the later written one holds, as long as somebody has it', async () => {
    const subs = { a: {}, b: {} };
    await pool.declare(subs, { strategy: 'round-robin', editedMs: 2000 });
    const other = pool.as({ node: 'm2', boot: '00000002' });
    const { behind } = await other.declare(subs, { strategy: 'priority', editedMs: 1000 });
    assert.equal(behind, 1);
    assert.equal((await pool.snapshot()).pool.strategy, 'round-robin');
    await pool.leave();
    await other.declare(subs, { strategy: 'priority', editedMs: 1000 });
    assert.equal((await pool.snapshot()).pool.strategy, 'priority');
});

test('a change of strategy forgets turns and sessions, is told to all, and is an event', async () => {
    await pool.declare({ a: {}, b: {} }, { strategy: 'round-robin' });
    await take(3);
    const before = (await pool.snapshot()).pool.generation;
    await pool.mend('strategy', 'session');
    assert.ok(Number((await pool.snapshot()).pool.generation) > Number(before));
    const lines = await pool.redis('HGETALL', 'weir:{main}:slots');
    assert.doesNotMatch(lines.filter((line) => line.startsWith('active')).join(), /pass|session/);
    await take(1);
    assert.match((await pool.redis('HGETALL', 'weir:{main}:slots')).join(), / session=\d+/);
    const events = await pool.redis('XREVRANGE', 'weir:{main}:events', '+', '-', 'COUNT', '1');
    assert.match(events.flat(2).join(' '), /strategy changed strategy session was round-robin by redis-cli/);
});

test('a wrong name is refused with the right ones, and changes nothing', async () => {
    await pool.declare({ a: {} });
    await assert.rejects(pool.mend('strategy', 'fastest'), /strategy: expected .*round-robin/);
    assert.equal((await pool.snapshot()).pool.strategy, 'headroom');
});

test('turns survive whatever the library remembers being forgotten', async () => {
    await pool.declare({ a: {}, b: {}, c: {} }, { strategy: 'round-robin' });
    await take(4);
    await pool.redis('FUNCTION', 'FLUSH');
    await pool.loadLibraries();
    assert.deepEqual(await take(2), ['b', 'c']);
});
