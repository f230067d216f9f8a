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

const names = (grants) => grants.map((g) => g.sub);

async function admitMany(count, options) {
    const grants = [];
    for (let i = 0; i < count; i += 1) {
        grants.push(await pool.admit(options));
    }
    return grants;
}

test('the subscription with the most free slots is chosen', async () => {
    await pool.declare({ a: { max: 2 }, b: { max: 5 }, c: { max: 3 } });
    const first = await pool.admit();
    assert.equal(first.sub, 'b');
    assert.equal(first.how, 'headroom');
    assert.deepEqual([first.active, first.max], [1, 5]);
    assert.deepEqual(names(await admitMany(2)), ['b', 'c']);
});

test('of equally free ones the lower priority number is chosen', async () => {
    await pool.declare({ a: { max: 3, priority: 2 }, b: { max: 3, priority: 1 } });
    const grant = await pool.admit();
    assert.equal(grant.sub, 'b');
    assert.equal(grant.how, 'priority');
});

test('of equals the least recently used is chosen', async () => {
    await pool.declare({ a: { max: 2 }, b: { max: 2 }, c: { max: 2 } });
    const used = [];
    for (let i = 0; i < 6; i += 1) {
        const grant = await pool.admit();
        assert.equal(grant.how, 'least-recent');
        used.push(grant.sub);
        await pool.settle(grant);
        const now = await pool.now();
        await until(async () => (await pool.now()) > now, 'the next millisecond');
    }
    assert.deepEqual(used, ['a', 'b', 'c', 'a', 'b', 'c']);
});

test('max_concurrent is never exceeded, and a slot given back is free at once', async () => {
    await pool.declare({ a: { max: 2 }, b: { max: 1 } });
    const grants = await admitMany(3);
    assert.deepEqual(names(grants).sort(), ['a', 'a', 'b']);
    assert.deepEqual(await pool.admit().then((r) => [r.reason, r.retryMs]), ['full', 1000]);
    await pool.settle(grants.find((g) => g.sub === 'b'));
    assert.equal((await pool.admit()).sub, 'b');
});

test('an id asked for again keeps its slot and takes no second one', async () => {
    await pool.declare({ a: { max: 2 }, b: { max: 2 } });
    const first = await pool.admit();
    const again = await pool.admit({ id: first.id });
    assert.deepEqual(
        [again.granted, again.sub, again.active, again.how],
        [true, first.sub, 1, 'repeat'],
    );
    assert.deepEqual(await pool.leases(), [first.id]);
    assert.equal((await pool.snapshot()).pool.active, '1');
});

test('an id asked for again keeps its slot though its subscription takes nothing', async () => {
    await pool.declare({ a: { max: 1 } });
    const first = await pool.admit();
    assert.equal((await pool.admit({ id: first.id })).sub, 'a');
    assert.equal((await pool.admit({ id: first.id, excluded: 'a' })).sub, 'a');
    await pool.declare({ a: { max: 1, enabled: 0 } });
    assert.equal((await pool.admit({ id: first.id })).sub, 'a');
    assert.equal(await pool.active('a'), 1);
});

test('an id asked for again keeps what it has, a further grant keeps its holder alive', async () => {
    await pool.declare({ a: {} });
    const first = await pool.admit({ leaseMs: 200 });
    const before = await pool.expiry(first);
    const again = await pool.admit({ id: first.id, leaseMs: 20000 });
    assert.deepEqual([again.how, again.active], ['repeat', 1]);
    await pool.admit({ leaseMs: 20000 });
    assert.ok((await pool.expiry(first)) > before + 10000, 'a grant keeps its holder alive');
});

test('excluded subscriptions are passed over', async () => {
    await pool.declare({ a: { max: 9 }, b: { max: 5 }, c: { max: 1 } });
    assert.equal((await pool.admit({ excluded: 'a' })).sub, 'b');
    assert.equal((await pool.admit({ excluded: 'a b' })).sub, 'c');
    const refused = await pool.admit({ excluded: 'a b c' });
    assert.deepEqual([refused.reason, refused.retryMs], ['excluded', 1000]);
});

test('a refusal says the most hopeful reason', async () => {
    assert.equal((await pool.admit()).reason, 'none');
    await pool.declare({ off: { enabled: 0 } });
    assert.equal((await pool.admit()).reason, 'disabled');
    await pool.declare({ off: { enabled: 0 }, tried: {} });
    assert.equal((await pool.admit({ excluded: 'tried' })).reason, 'excluded');
    const cooled = await pool.admit();
    await pool.settle(cooled, { status: 429, outcome: 'error', cooldownMs: 60000 });
    await pool.declare({ off: { enabled: 0 }, tried: {}, x: {} });
    assert.equal((await pool.admit({ excluded: 'x' })).reason, 'cooling');
    await pool.declare({ off: { enabled: 0 }, tried: {}, x: {}, full: { max: 0 } });
    assert.equal((await pool.admit({ excluded: 'x' })).reason, 'full');
    await pool.declare({ off: { enabled: 0 }, tried: {}, fast: { burst: 1 }, full: { max: 0 } });
    await pool.admit();
    assert.equal((await pool.admit()).reason, 'burst');
});

test('retry_ms is the end of the first cooldown, also of one that is excluded', async () => {
    await pool.declare({ a: { max: 1 }, b: { max: 1 } });
    const [one, two] = await admitMany(2);
    await pool.settle(one, { outcome: 'error', status: 429, cooldownMs: 7000 });
    await pool.settle(two, { outcome: 'error', status: 429, cooldownMs: 90000 });
    for (const [excluded, reason] of [
        ['', 'cooling'],
        ['a b', 'excluded'],
    ]) {
        const refused = await pool.admit({ excluded });
        assert.equal(refused.reason, reason);
        assert.ok(refused.retryMs > 6000 && refused.retryMs <= 7000, `${refused.retryMs}`);
    }
});

test('retry_ms is a known time or, if earlier, the second given to running requests', async () => {
    await pool.declare({ a: { max: 1 }, b: { max: 1 } });
    const [one] = await admitMany(2);
    const cool = async (ms) =>
        pool.mend('cool', one.sub, ms, 'by hand');
    await cool(600);
    const soon = await pool.admit();
    assert.equal(soon.reason, 'full');
    assert.ok(soon.retryMs <= 600, `${soon.retryMs}`);
    await cool(90000);
    assert.equal((await pool.admit()).retryMs, 1000);
});

test('a refusal changes nothing at all', async () => {
    await pool.declare({
        a: { max: 1, burst: 5 },
        b: { max: 3, burst: 1 },
        c: { enabled: 0 },
        d: {},
    });
    const [one] = await admitMany(3, {});
    await pool.settle(one, { outcome: 'error', status: 429, cooldownMs: 60000 });
    for (;;) {
        const before = await pool.dump();
        const reply = await pool.admit();
        if (!reply.granted) {
            assert.equal(await pool.dump(), before);
            break;
        }
    }
    for (const excluded of ['a', 'a b', 'a b c d', 'nobody']) {
        const before = await pool.dump();
        assert.equal((await pool.admit({ excluded })).granted, false);
        assert.equal(await pool.dump(), before);
    }
});

test('a cooled subscription takes nothing until the cooldown ends', async () => {
    await pool.declare({ a: { max: 9 }, b: { max: 1 } });
    const one = await pool.admit();
    assert.equal(one.sub, 'a');
    await pool.settle(one, { outcome: 'error', status: 429, cooldownMs: 150 });
    assert.equal((await pool.admit()).sub, 'b');
    const refused = await pool.admit();
    assert.equal(refused.granted, false);
    const next = await until(async () => {
        const reply = await pool.admit();
        return reply.granted && reply;
    }, 'the end of the cooldown');
    assert.equal(next.sub, 'a');
});

test('no sliding second of a subscription has more than burst_limit admissions', async () => {
    await pool.declare({ a: { max: 100, burst: 7 } });
    const times = [];
    await until(
        async () => {
            const reply = await pool.admit();
            if (reply.granted) {
                times.push(await pool.redis('LINDEX', pool.key('burst', 'a'), '0'));
                await pool.settle(reply);
            } else {
                assert.equal(reply.reason, 'burst');
                assert.ok(reply.retryMs >= 1 && reply.retryMs <= 1001, `${reply.retryMs}`);
            }
            return times.length >= 24;
        },
        '24 admissions',
        30000,
        1,
    );
    for (let i = 7; i < times.length; i += 1) {
        assert.ok(times[i] - times[i - 7] > 1000, `${times[i - 7]} .. ${times[i]}`);
    }
});

test('retry_ms of a burst is when the next one fits, not a millisecond later', async () => {
    await pool.declare({ a: { max: 9, burst: 2 } });
    await admitMany(2);
    const refused = await pool.admit();
    const oldest = Number(await pool.redis('LINDEX', pool.key('burst', 'a'), '1'));
    const due = oldest + 1001;
    assert.ok(Math.abs((await pool.now()) + refused.retryMs - due) < 100);
    const granted = await until(async () => {
        const reply = await pool.admit();
        return reply.granted && reply;
    }, 'room in the window');
    assert.ok(granted);
    assert.ok(Number(await pool.redis('LINDEX', pool.key('burst', 'a'), '0')) >= due);
});

test('when the best has reached its burst limit the next best is taken', async () => {
    await pool.declare({
        a: { max: 100, burst: 2 },
        b: { max: 50, burst: 1 },
        c: { max: 10, burst: 1 },
    });
    assert.deepEqual(names(await admitMany(4)), ['a', 'a', 'b', 'c']);
    assert.equal((await pool.admit()).reason, 'burst');
});

test('the times kept for the burst limit do not grow without end', async () => {
    await pool.declare({ a: { max: 2000, burst: 3 }, b: { max: 1000, burst: 1000000 } });
    const fill = (name, count) =>
        pool.redis('LPUSH', pool.key('burst', name), ...Array(count).fill('1795222800000'));
    const count = (name) => pool.redis('LLEN', pool.key('burst', name));
    await fill('a', 255);
    assert.equal((await pool.admit()).sub, 'a');
    assert.equal(await count('a'), 3);
    await fill('b', 255);
    for (const [added, left] of [
        [1, 128],
        [63, 191],
        [1, 96],
    ]) {
        for (let i = 0; i < added; i += 1) {
            assert.equal((await pool.admit({ excluded: 'a' })).sub, 'b');
        }
        assert.equal(await count('b'), left);
    }
});

test('a slot whose node died is found by admit itself when nobody sweeps', async () => {
    await pool.declare({ a: { max: 1 } });
    const dead = await pool.admit({ leaseMs: 50 });
    await pool.expired();
    await pool.redis('HSET', pool.key('sweeps'), 'last_ms', `${(await pool.now()) - 9000}`);
    const start = await pool.now();
    const refused = await pool.admit({ leaseMs: 300 });
    assert.deepEqual([refused.granted, refused.reason], [false, 'full'], 'spared first');
    const granted = await until(async () => {
        const reply = await pool.admit({ leaseMs: 300 });
        return reply.granted && reply;
    }, 'the slot of the dead');
    assert.ok((await pool.now()) - start >= 300, 'not before one more lease time');
    assert.deepEqual(await pool.leases(), [granted.id]);
    assert.equal(await pool.active('a'), 1);
    assert.equal(await pool.settle(dead), 'late');
});

test('admit takes an expired slot at once while nodes sweep', async () => {
    await pool.declare({ a: { max: 1 } });
    await pool.admit({ leaseMs: 50 });
    await pool.expired();
    await pool.redis('HSET', pool.key('sweeps'), 'last_ms', `${await pool.now()}`);
    assert.equal((await pool.admit()).granted, true);
    assert.equal(await pool.active('a'), 1);
});

test('a clock that was set back blocks nothing for long', async () => {
    await pool.declare({ a: { max: 5, burst: 1 }, b: { max: 4, burst: 1 } });
    const ahead = (await pool.now()) + 3600000;
    await pool.redis('HSET', pool.key('slots'), 'a', `active=0 cooling=0 used=${ahead}`);
    await pool.sweep();
    await pool.redis('LPUSH', pool.key('burst', 'a'), `${ahead}`);
    assert.equal((await pool.admit()).sub, 'a');
});

test('a cooldown that is over does not begin again when the clock is set back', async () => {
    await pool.declare({ a: {} });
    const grant = await pool.admit();
    await pool.settle(grant, { outcome: 'error', cooldownMs: 20, reason: 'r' });
    await until(async () => (await pool.admit()).granted, 'the end of the cooldown');
    await pool.sweep();
    const { a } = await pool.lines(pool.key('slots'));
    assert.equal(a.cooling, '0');
    assert.equal(await pool.redis('EXISTS', pool.key('cooldowns')), 0);
});

test('a line edited by hand costs its own subscription, never the pool', async () => {
    await pool.declare({ a: { max: 5 }, b: { max: 2 } });
    const set = async (key, line) => {
        await pool.redis('HSET', pool.key(key), 'a', line);
        await pool.sweep();
    };
    await set('slots', 'nonsense');
    assert.equal((await pool.admit()).sub, 'a', 'what is missing in it counts as 0');
    await set('roster', 'nonsense');
    assert.equal((await pool.admit()).sub, 'b', 'without an account it has no settings');
    await set('roster', 'account=a max=7 state=on color=blue');
    const grant = await pool.admit();
    assert.deepEqual([grant.sub, grant.active, grant.max], ['a', 2, 7]);
    await pool.declare({ a: { max: 6 }, b: { max: 2 } });
    const { a } = await pool.lines(pool.key('roster'));
    assert.deepEqual([a.color, a.max], ['blue', '6'], 'what it does not know it keeps');
});

test('a bad argument is refused by name, and nothing is written', async () => {
    await pool.declare({ a: {} });
    await pool.register();
    const head = [pool.holder, '1', pool.epoch, '7', 'bot', 'model', '15000', '', 'messages'];
    const good = [...head, '0', '1000', '1'];
    const cases = [
        [0, 'spaces are bad', 'holder'],
        [0, 'n1.0', 'holder'],
        [0, `${'x'.repeat(150)}.0000000a.0`, 'holder'],
        [1, '0', 'link'],
        [2, '-1', 'epoch'],
        [3, '0', 'seq'],
        [3, '1.5', 'seq'],
        [4, 'a b', 'client'],
        [4, '', 'client'],
        [5, 'x'.repeat(129), 'model'],
        [5, 'm\n', 'model'],
        [6, '0', 'lease_ms'],
        [6, '60001', 'lease_ms'],
        [6, 'abc', 'lease_ms'],
        [6, 'nan', 'lease_ms'],
        [6, '15000.5', 'lease_ms'],
        [7, 'x'.repeat(16385), 'excluded'],
        [8, 'x'.repeat(513), 'labels'],
        [8, 'a\nb', 'labels'],
        [9, '-1', 'wait_ms'],
        [9, '86400001', 'wait_ms'],
        [10, 'x', 'queue_max'],
        [11, '0', 'weight'],
        [11, '1001', 'weight'],
    ];
    const before = await pool.dump();
    for (const [index, value, name] of cases) {
        const args = [...good];
        args[index] = value;
        await assert.rejects(
            pool.call('admit', ...args),
            new RegExp(`ERR weir: ${name}: expected`),
        );
    }
    await assert.rejects(pool.call('admit', ...good.slice(1)), /ERR weir: ARGV: expected 12/);
    await assert.rejects(pool.as({ base: 'no-hash-tag' }).admit(), /ERR weir: KEYS\[1\]/);
    assert.equal(await pool.dump(), before);
});

test('a refusal tells what stands in the way of each, and until when', async () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
    const subs = Object.fromEntries(names.map((name) => [name, { max: 1 }]));
    subs.h.burst = 1;
    subs.h.max = 5;
    subs.g.enabled = 0;
    await pool.declare(subs, { editedMs: 5000 });
    await pool.sweptRecently();
    const only = (name) => names.filter((each) => each !== name).join(' ');
    const labels = 'messages model:opus';
    const end = async (name, used) => {
        const grant = await pool.admit({ excluded: only(name), labels });
        assert.equal(grant.sub, name, grant.reason);
        await pool.settle(grant, { outcome: 'error', ...used });
    };
    await end('a', { status: 429, cooldownMs: 60000, reason: 'its quota is used up: 7d' });
    await end('b', { status: 402, cooldownMs: 90000, reason: 'credit' });
    await end('c', { status: 429, cooldownMs: 30000, reason: 'opus', scope: 'model:opus' });
    for (let i = 0; i < 5; i += 1) await end('d', { status: 500, health: 'bad' });
    assert.equal((await pool.admit({ excluded: only('e') })).sub, 'e');
    assert.equal((await pool.admit({ excluded: only('h') })).sub, 'h');
    const { reason, told } = await pool.admit({ excluded: 'f', labels });
    assert.equal(reason, 'burst');
    const near = { limited_ms: 60000, refused_ms: 90000, closed_ms: 30000, broken_ms: 30000, busy_ms: 1000 };
    for (const [field, ms] of Object.entries(near)) {
        assert.ok(told[field] > ms - 2000 && told[field] <= ms, `${field} ${told[field]}`);
        delete told[field];
    }
    assert.ok(told.burst_ms > 0 && told.burst_ms <= 1001);
    delete told.burst_ms;
    delete told.tried_ms;
    assert.deepEqual({ ...told }, {
        candidates: '8',
        limited: '1',
        limited_why: 'its quota is used up: 7d',
        refused: '1',
        closed: '1',
        closed_why: 'opus',
        closed_for: 'model:opus',
        broken: '1',
        burst: '1',
        busy: '1',
        tried: '1',
        disabled: '1',
    });
});

test('a refusal counts what the asking node knows, and one that was tried and cools as limited', async () => {
    const other = pool.as({ node: 'n2', boot: '0000000b' });
    await other.declare({ z: { max: 1 } });
    const grant = await other.admit();
    await other.settle(grant, { outcome: 'error', status: 429, cooldownMs: 9000, reason: 'r' });
    const { reason, told } = await other.admit({ excluded: 'z' });
    assert.equal(reason, 'excluded');
    assert.deepEqual([told.candidates, told.limited, told.tried], ['1', '1', undefined]);
    await pool.mend('cool', 'z', 60000, 'words of an operator');
    assert.equal((await other.admit()).told.limited_why, 'by hand');
});
