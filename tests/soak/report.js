// report.js - what a soak amounts to: its numbers in words, and which bounds it has passed.

const RSS_DRIFT_MAX_KIB = 1024;

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

/** Under load, between two parts of the time after the warm-up: the middle value of `name`. */
function underLoad(rows, name, from, to) {
    const load = rows.filter(({ phase }) => phase === 'load');
    const part = load.slice(Math.floor(load.length * from), Math.ceil(load.length * to));
    return median(part.map((row) => row[name]).filter((value) => value !== ''));
}

/** [name, is it so?, what was found]: the promises of a soak. */
function bounds({ rests, end, ledger, wrong, isMemoryJudged }) {
    const [first, last] = rests;
    const rss = last.rss_kib - first.rss_kib;
    const descriptors = last.descriptors - last.idle - (first.descriptors - first.idle);
    const list = [
        ['no subscription had more than its slots', end.highest <= end.allowed, `${end.highest}`],
        ['no lease is left', end.leases === 0, `${end.leases} left`],
        ['no slot is left', end.slots === 0, `${end.slots} left`],
        ['no descriptor is left', descriptors === 0, `${descriptors} more than after the warm-up`],
        ['both ledgers agree', ledger.unexplained === 0, `${ledger.unexplained} unexplained`],
        ['tokens are those sent', ledger.tokens === 0, `${ledger.tokens} unexplained`],
        ['nothing impossible happened', wrong.length === 0, wrong.slice(0, 10).join('; ')],
    ];
    // Not in a short run, nor in a build with checks, which keeps freed memory for a while.
    if (isMemoryJudged)
        list.push(['memory does not grow', rss <= RSS_DRIFT_MAX_KIB, `${rss} KiB more`]);
    return list;
}

const counts = (map) =>
    Object.entries(map)
        .sort((a, b) => b[1] - a[1])
        .map(([name, count]) => `${name} ${count}`)
        .join(', ') || 'none';

function ledgerWords(l) {
    return [
        `${l.journal} attempts seen by the provider, ${l.booked} booked; ` +
            `${l.unexplained} unexplained`,
        `${l.unseen} booked and not seen: cut off while they were sent`,
        `${l.late} booked as cancelled and not seen: granted to a caller who had left`,
        `${l.lost} seen and not booked: their node was killed`,
        `${l.again} more than one for a slot: asked again in place, or over a new connection`,
        `tokens out that were not sent, or not booked: ${l.tokens}`,
    ];
}

function restWords([first, last], [early, late]) {
    const kept = Math.round((last.warm_bytes - first.warm_bytes) / 1024);
    const from = (a, b) => `${a} KiB after the warm-up, ${b} at the end: ${b - a}`;
    return [
        ['memory at rest', `${from(first.rss_kib, last.rss_kib)} (kept for bodies: ${kept})`],
        ['memory under load', `${from(early, late)} (the middle value of a tenth of the time)`],
        [
            'descriptors',
            `${first.descriptors} after the warm-up, ${last.descriptors} at the end ` +
                `(of them idle to the provider: ${first.idle}, ${last.idle})`,
        ],
    ];
}

/** {lines, isGood, numbers}. */
export function report(soak) {
    const { rows, rests, end, ledger, callers, trouble, fleet, options } = soak;
    const rss = `${fleet.measured.id}_rss_kib`;
    const during = [underLoad(rows, rss, 0.2, 0.3), underLoad(rows, rss, 0.9, 1)];
    const totals = callers.totals();
    const asked = Object.values(totals).reduce((sum, count) => sum + count, 0);
    const { boots } = fleet;
    const ends = (how) => boots.filter(({ end: word }) => word === how).length;
    const checked = bounds(soak);
    const [first, ...more] = ledgerWords(ledger);
    const words = [
        ['time', `${options.seconds} s of load, seed ${options.seed}, ${options.nodes} nodes`],
        ['requests', `${asked}: ${counts(totals)}`],
        ['trouble', counts(trouble.counts)],
        ['boots', `${boots.length}: ${ends('rolled')} rolled, ${ends('killed')} killed`],
        ...restWords(rests, during),
        ['leases, slots', `${end.leases}, ${end.slots} left`],
        ['slots at most', `${end.highest} of ${end.allowed} at once, by the provider's word`],
        ['ledger', first],
        ...more.map((line) => ['', line]),
        ['logged as errors', counts(Object.fromEntries(fleet.problems))],
    ];
    const lines = [
        ...words.map(([name, text]) => `${name.padEnd(18)} ${text}`),
        ...checked.map(([name, isSo, found]) =>
            isSo ? `ok     - ${name}` : `not ok - ${name}: ${found}`,
        ),
    ];
    const isGood = checked.every(([, isSo]) => isSo);
    const numbers = { options, totals, outcomes: callers.outcomes, trouble: trouble.counts };
    Object.assign(numbers, { rests, memory_under_load_kib: during, end, ledger, isGood });
    return { lines, isGood, numbers };
}
