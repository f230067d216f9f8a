'use strict';
const assert = require('node:assert/strict');
const { after, before, beforeEach, test } = require('node:test');
const { startPool } = require('./helper');

let server, pool;
before(async () => ({ server, pool } = await startPool()));
beforeEach(async () => {
    await pool.wipe();
    await pool.sweptRecently();
});
after(() => server.stop());

const WAIT = { waitMs: 60000 };

const ask = (options) => pool.admit({ ...WAIT, ...options });
const again = (waiter) => ask({ id: waiter.id, client: waiter.client, model: waiter.model });

/** Which of those that wait have been granted something: each asks again. */
async function granted(waiters) {
    const names = [];
    for (const one of waiters) {
        const held = await pool.redis('HEXISTS', pool.key(`held:${pool.holder}`), seqOf(one));
        if (held) names.push(one);
    }
    return names;
}

const seqOf = ({ id }) => id.match(/-(\d+)$/)[1];

/** The pool's memory of who waits is empty. */
async function nothingRemains() {
    const keys = await pool.redis('KEYS', `${pool.base}:*`);
    const left = keys.filter((key) => /:(queue|classes|line:.*|untaken)$/.test(key));
    assert.deepEqual(left, []);
}

test('when all is full a request waits, and the slot that frees is its own in the same step', async () => {
    await pool.declare({ a: { max: 1 } });
    const first = await ask();
    const second = await ask({ client: 'other' });
    assert.equal(second.queued, true);
    assert.equal(second.reason, 'full');
    assert.equal(await pool.redis('HLEN', pool.key('queue')), 1);
    await pool.settle(first);
    assert.equal((await pool.snapshot()).subs.a.active, '1');
    const taken = await again(second);
    assert.deepEqual([taken.granted, taken.sub, taken.how], [true, 'a', 'repeat']);
    assert.equal(await pool.settle(taken), 'settled');
    assert.equal((await pool.snapshot()).subs.a.active, '0');
    await nothingRemains();
});

test('who does not want to wait is refused, and changes nothing', async () => {
    await pool.declare({ a: { max: 1 } });
    await ask();
    const before = await pool.dump();
    const refused = await pool.admit();
    assert.deepEqual([refused.granted, refused.queued], [false, false]);
    assert.equal(await pool.dump(), before);
});

test('a line that is full takes nobody more, and nothing changes', async () => {
    await pool.declare({ a: { max: 1 } });
    await ask();
    assert.equal((await ask({ queueMax: 2 })).queued, true);
    assert.equal((await ask({ queueMax: 2 })).queued, true);
    const before = await pool.dump();
    const refused = await ask({ queueMax: 2 });
    assert.equal(refused.queued, false);
    assert.equal(await pool.dump(), before);
});

test('what cools for longer than a caller would wait is refused at once', async () => {
    await pool.declare({ a: { max: 5 } });
    await pool.mend('cool', 'a', 90000, 'x');
    assert.equal((await ask()).queued, false);
    assert.equal((await ask({ waitMs: 100000 })).queued, true);
});

test('one client: first come, first served', async () => {
    await pool.declare({ a: { max: 1 } });
    let running = await ask();
    const waiting = [];
    for (let i = 0; i < 5; i += 1) {
        const now = await pool.now();
        while ((await pool.now()) === now);
        waiting.push(await ask());
    }
    for (const next of waiting) {
        await pool.settle(running);
        running = await again(next);
        assert.equal(running.granted, true);
    }
});

test('a single request is next, however many of another client wait', async () => {
    await pool.declare({ a: { max: 1 } });
    let running = await ask({ client: 'many' });
    const many = [];
    for (let i = 0; i < 50; i += 1) many.push(await ask({ client: 'many' }));
    const single = await ask({ client: 'single' });
    await pool.settle(running);
    const [one] = await granted([...many, single]);
    // `many` has had slot time, `single` none.
    assert.equal(one.client, 'single');
});

/** Runs so long at saturation, in steps of `step` ms of Redis' time: what each client had. */
async function share(clients, { slots, grants }) {
    await pool.declare({ a: { max: slots } });
    const waiting = new Map();
    const running = [];
    const had = {};
    const enter = async (client) => {
        const { weight, ms } = clients[client];
        const one = await ask({ client, weight });
        if (one.granted) running.push({ one, client, ends: elapsed + ms(), since: elapsed });
        else waiting.set(one.id, client);
    };
    let elapsed = 0;
    for (let i = 0; i < 3 * slots; i += 1) {
        for (const client of Object.keys(clients)) await enter(client);
    }
    for (let i = 0; i < grants; i += 1) {
        running.sort((a, b) => a.ends - b.ends);
        const { one, client, ends, since } = running.shift();
        await clock(ends - elapsed);
        elapsed = ends;
        had[client] = (had[client] ?? 0) + ends - since;
        await pool.settle(one);
        for (const id of await pool.redis('HKEYS', pool.key('untaken'))) {
            const name = waiting.get(id);
            waiting.delete(id);
            running.push({
                one: await ask({ id, client: name }),
                client: name,
                ends: elapsed + clients[name].ms(),
                since: elapsed,
            });
        }
        await enter(client);
    }
    return had;
}

/** Time passes for what runs: it has begun so much earlier. */
async function clock(ms) {
    const key = pool.key('clients');
    const all = await pool.redis('HGETALL', key);
    const changed = [];
    for (let i = 0; i < all.length; i += 2) {
        const [line] = [all[i + 1]];
        const active = Number(line.match(/active=(\d+)/)?.[1] ?? 0);
        if (all[i] === '@' || active === 0) continue;
        const since = Number(line.match(/since=(\d+)/)[1]) - active * ms;
        changed.push(all[i], line.replace(/since=\d+/, `since=${since}`));
    }
    if (changed.length) await pool.redis('HSET', key, ...changed);
    const held = pool.key(`held:${pool.holder}`);
    const leases = await pool.redis('HGETALL', held);
    for (let i = 0; i < leases.length; i += 2) {
        const since = leases[i + 1].match(/ since=(\d+)$/)?.[1];
        if (!since) continue;
        const line = leases[i + 1].replace(/ since=\d+$/, ` since=${since - ms}`);
        await pool.redis('HSET', held, leases[i], line);
    }
    await readAnew();
}

/** The next call remembers nothing. */
async function readAnew() {
    const guard = await pool.redis('HGET', pool.key('slots'), '@');
    const turned = guard.replace(/turn=(\d+)/, (_, turn) => `turn=${+turn + 1}`);
    await pool.redis('HSET', pool.key('slots'), '@', turned);
}

test('two clients with weights 1 and 3 get 25 and 75 of the slot time, whatever their requests last', async () => {
    const second = () => 1000;
    for (const [slow, fast] of [
        [second, second],
        [() => 6000, second],
        [second, () => 6000],
    ]) {
        await pool.wipe();
        await pool.sweptRecently();
        const had = await share(
            { one: { weight: 1, ms: slow }, three: { weight: 3, ms: fast } },
            { slots: 8, grants: slow === fast ? 300 : 1500 },
        );
        const part = had.three / (had.one + had.three);
        assert.ok(part > 0.72 && part < 0.78, `${JSON.stringify(had)} ${part}`);
    }
});

test('what is granted and not taken within a second goes to the next one', async () => {
    await pool.declare({ a: { max: 1 } });
    const running = await ask();
    const first = await ask({ client: 'first' });
    const second = await ask({ client: 'second' });
    await pool.settle(running);
    const record = await pool.redis('HGET', pool.key('untaken'), first.id);
    const past = (await pool.now()) - 1000;
    await pool.redis(
        ...['HSET', pool.key('untaken'), first.id],
        record.replace(/granted=\d+/, `granted=${past}`),
    );
    await pool.sweep();
    assert.deepEqual((await granted([first, second])).length, 1);
    assert.equal((await pool.snapshot()).subs.a.active, '1');
    // It kept its place: whoever was granted now, the other is next.
    const [now] = await granted([first, second]);
    const held = await again(now);
    assert.equal(held.granted, true);
    await pool.settle(held);
    const [other] = await granted([first, second]);
    assert.notEqual(other.id, now.id);
});

test('who has left the line is never granted anything', async () => {
    await pool.declare({ a: { max: 1 } });
    const running = await ask();
    const leaves = await ask({ client: 'leaves' });
    const stays = await ask({ client: 'stays' });
    assert.equal(await pool.settle(leaves, { outcome: 'unused' }), 'left');
    await pool.settle(running);
    assert.deepEqual(await granted([leaves, stays]), [stays]);
});

test('who leaves when it has just been granted something gives it to the next one', async () => {
    await pool.declare({ a: { max: 1 } });
    const running = await ask();
    const first = await ask({ client: 'first' });
    const second = await ask({ client: 'second' });
    await pool.settle(running);
    const [one] = await granted([first, second]);
    assert.equal(await pool.settle(one, { outcome: 'unused' }), 'settled');
    const rest = await granted([first, second]);
    assert.equal(rest.length, 1);
    assert.notEqual(rest[0].id, one.id);
});

test('waiters of a node that is gone are passed over', async () => {
    await pool.declare({ a: { max: 1 } });
    const other = pool.as({ node: 'n2', boot: '0000000b' });
    await other.declare({ a: { max: 1 } });
    const running = await ask();
    await other.admit({ ...WAIT, client: 'dead' });
    const alive = await ask({ client: 'alive' });
    await pool.redis('ZADD', pool.key('holders'), '1', other.holder);
    await pool.settle(running);
    assert.deepEqual(await granted([alive]), [alive]);
    await pool.settle(await again(alive));
    await pool.sweep();
    await nothingRemains();
});

test('a waiter that only a closed subscription could serve keeps nobody up', async () => {
    await pool.declare({ a: { max: 1 }, b: { max: 1 } });
    const [one, two] = [await ask(), await ask()];
    const onA = one.sub === 'a' ? one : two;
    const onB = one.sub === 'a' ? two : one;
    const choosy = await ask({ client: 'choosy', excluded: 'b' });
    const easy = await ask({ client: 'easy' });
    await pool.settle(onB);
    assert.deepEqual(await granted([choosy, easy]), [easy]);
    await pool.settle(onA);
    assert.equal((await granted([choosy, easy])).length, 2);
});

test('one whose model is closed after it came keeps nobody up', async () => {
    await pool.declare({ a: { max: 2 } });
    const [one, two] = [await ask(), await ask()];
    const opus = await ask({ client: 'opus', labels: 'messages model:opus' });
    const other = await ask({ client: 'other', labels: 'messages model:haiku' });
    await pool.settle(one, { status: 429, outcome: 'error', cooldownMs: 60000, scope: 'model:opus' });
    assert.deepEqual(await granted([opus, other]), [other]);
    await pool.settle(two);
    assert.deepEqual(await granted([opus, other]), [other]);
});

test('what frees by time is granted by the sweep, in the order of the line', async () => {
    await pool.declare({ a: { max: 5 } });
    await pool.mend('cool', 'a', 30000, 'x');
    const first = await ask();
    assert.equal(first.queued, true);
    const now = await pool.now();
    while ((await pool.now()) === now);
    const second = await ask();
    const [, until] = await pool.mend('cool', 'a', 1, 'x');
    while ((await pool.now()) <= until);
    await pool.sweep();
    assert.equal((await granted([first, second])).length, 2);
});

test("a line that a hand has made something else costs those who stand in it, and nobody else", async () => {
    for (const key of ['line:-', 'line:-:bot']) {
        await pool.wipe();
        await pool.sweptRecently();
        await pool.declare({ a: { max: 1 } });
        const running = await ask();
        await ask();
        await pool.redis('DEL', pool.key(key));
        await pool.redis('SET', pool.key(key), 'a string');
        assert.equal(await pool.settle(running), 'settled');
        const next = await ask({ client: 'next' });
        assert.ok(next.granted || next.queued, JSON.stringify(next));
    }
});

test("a hand's mistake that a grant meets does not undo the settlement", async () => {
    await pool.declare({ a: { max: 1 } });
    const other = pool.as({ node: 'n2', boot: '0000000b' });
    await other.declare({ a: { max: 1 } });
    const running = await ask();
    await other.admit(WAIT);
    await pool.redis('DEL', pool.key('boot:n2.0000000b'));
    await pool.redis('SET', pool.key('boot:n2.0000000b'), 'a string');
    await readAnew();
    assert.equal(await pool.settle(running), 'settled');
    assert.equal((await pool.snapshot()).total.requests, '1');
});

test('an epoch in which nothing is admitted grants nothing', async () => {
    await pool.declare({ a: { max: 1 } });
    const running = await ask();
    const waiter = await ask();
    await pool.redis(
        ...['HSET', pool.key('slots'), '@'],
        (await pool.redis('HGET', pool.key('slots'), '@')).replace(/closed=\d+/, `closed=${(await pool.now()) + 9000}`),
    );
    await pool.settle(running);
    assert.deepEqual(await granted([waiter]), []);
});

test('a grant wakes its worker, by a channel of its node', async () => {
    await pool.declare({ a: { max: 1 } });
    const listener = await server.connect();
    const heard = new Promise((resolve) => {
        listener.sSubscribe(`${pool.base}:wake:${pool.boot}`, resolve);
    });
    const running = await ask();
    const waiter = await ask();
    await pool.settle(running);
    assert.equal(await heard, `wake seq=${seqOf(waiter)} worker=0`);
    await listener.disconnect?.();
});

test('a node that only waits stays known as long as it renews', async () => {
    await pool.declare({ a: { max: 1 } });
    const other = pool.as({ node: 'n2', boot: '0000000b' });
    await other.declare({ a: { max: 1 } });
    await ask();
    await other.admit(WAIT);
    await pool.redis('ZADD', pool.key('holders'), `${(await pool.now()) + 100}`, other.holder);
    await other.compare({ count: 0, open: 1 });
    const until = await pool.redis('ZSCORE', pool.key('holders'), other.holder);
    assert.ok(until > (await pool.now()) + 10000);
});
