'use strict';
// What finished requests leave for `weir why`: found by each of their ids, as long as there is room.
const assert = require('node:assert/strict');
const { after, before, beforeEach, test } = require('node:test');
const { startPool } = require('./helper');

let server, pool;
before(async () => ({ server, pool } = await startPool()));
beforeEach(() => pool.wipe());
after(() => server.stop());

const remember = (max, ...rows) => pool.call('remember', max, ...rows.flat());
const row = (id, others = '', lines = `{"id":"${id}"}`) => [id, others, lines];
const recall = (id) => pool.mend('recall', id);
const part = async () => +(await pool.redis('HGET', pool.key('history'), 'part'));

// As many requests as were asked for, some at a time.
async function fill(max, count, { from = 0, lines } = {}) {
    for (let i = 0; i < count; i += 50) {
        const rows = Array.from({ length: Math.min(50, count - i) }, (_, n) => from + i + n);
        await remember(max, ...rows.map((n) => row(`weir_r${n}`, `req_${n}`, lines)));
    }
}

async function keysOf(pattern) {
    return (await pool.redis('KEYS', pool.key(pattern))).sort();
}

test('a request is found by its own id and by each that a provider gave it', async () => {
    const lines = '{"event":"attempt failed"}\n{"event":"exchange finished"}';
    assert.deepEqual(await remember(100, row('weir_1', 'req_a req_b', lines), row('weir_2')), ['ok']);
    for (const id of ['weir_1', 'req_a', 'req_b']) {
        assert.deepEqual(await recall(id), ['found', 'weir_1', lines], id);
    }
    assert.deepEqual(await recall('weir_2'), ['found', 'weir_2', '{"id":"weir_2"}']);
    for (const id of ['req_c', '@req_a', 'weir_1@', 'weir_3']) {
        assert.equal((await recall(id))[0], 'none', id);
    }
});

test('what is sent twice is kept once, and the newer of two with one id is found', async () => {
    await remember(100, row('weir_1', 'req_a', 'old'));
    await remember(100, row('weir_1', 'req_a', 'new'), row('weir_2', 'req_a', 'second'));
    assert.equal((await recall('weir_1'))[2], 'new');
    assert.equal((await recall('req_a'))[2], 'second', 'a provider that gives one id to all');
});

test('so many are kept, about, and the oldest make room', async () => {
    const max = 800;
    await fill(max, 3 * max);
    const kept = [];
    for (let n = 0; n < 3 * max; n++) {
        if ((await recall(`req_${n}`))[0] === 'found') kept.push(n);
    }
    assert.ok(kept.length <= max + 8 * 50 && kept.length >= (max * 7) / 8, `${kept.length} are kept`);
    assert.equal(kept[0], 3 * max - kept.length, 'the newest, without a gap');
    assert.ok((await keysOf('history*')).length <= 9);
    assert.ok(+(await pool.redis('PTTL', (await keysOf('history:*'))[0])) > 0);
    const [, since, count, now] = await recall('weir_long_gone');
    assert.equal(+count, kept.length);
    assert.ok(+since > 0 && +since <= +now);
});

test('long lines cost others their place, and no memory beyond 2 KiB a request', async () => {
    await fill(800, 800, { lines: 'x'.repeat(12288) });
    let bytes = 0;
    for (const key of await keysOf('history:*')) {
        bytes += +(await pool.redis('HGET', key, '#bytes'));
    }
    assert.ok(bytes <= 800 * 2048 + 8 * 50 * 12288, `${bytes} bytes`);
    assert.equal((await recall('weir_r799'))[0], 'found');
});

test('a setting that shrinks holds from the next batch on', async () => {
    await fill(8000, 900);
    assert.equal(await part(), 1);
    await fill(80, 80, { from: 900 });
    assert.ok((await part()) >= 2);
    await fill(80, 400, { from: 980 });
    assert.equal((await recall('weir_r899'))[0], 'none');
});

test('nothing found says how far back it goes, and whose id it is', async () => {
    assert.deepEqual((await recall('weir_1')).slice(0, 3), ['none', '0', '0']);
    await pool.as({ node: 'n2', boot: '0000beef' }).join();
    assert.equal((await recall('weir_0000beef-0-7'))[4], 'n2');
    assert.equal((await recall('weir_0000beee-0-7'))[4], '');
});

test('wrong arguments are refused by name, and nothing is kept', async () => {
    const refused = async (...args) => assert.rejects(remember(...args), /ERR weir: /);
    await refused(0, row('weir_1'));
    await refused(100, row('weir 1'));
    await refused(100, row('weir_1', 'a b c d e f g h i'));
    await refused(100, row('weir_1', 'req_\u00e4'));
    await refused(100, row('weir_1', '', 'x'.repeat(12289)));
    await refused(100, ...Array.from({ length: 65 }, (_, n) => row(`weir_${n}`)));
    await assert.rejects(recall('weir_1\n'), /ERR weir: id: /);
    assert.deepEqual(await keysOf('history*'), []);
});

test('a key of the wrong type costs what stood in it', async () => {
    await remember(100, row('weir_1'));
    await pool.redis('SET', pool.key('history:1'), 'oops');
    assert.equal((await recall('weir_1'))[0], 'none');
    await remember(100, row('weir_2'));
    assert.equal((await recall('weir_2'))[0], 'found');
    await pool.redis('SET', pool.key('history'), 'oops');
    await remember(100, row('weir_3'));
    assert.equal((await recall('weir_3'))[0], 'found');
    await pool.redis('DEL', pool.key('history'));
    await pool.redis('HSET', pool.key('history'), 'part', '-3', 'first', '9e99');
    await remember(100, row('weir_4'));
    assert.equal((await recall('weir_4'))[0], 'found');
});
