// ledger.js - two sets of books: what the pool has booked (Redis), and what the provider's journal
// says it was asked. At the end they are held against each other, model by model: each boot's
// callers give their models a name of their own, and who stays another than who leaves.
//
// What one side alone can know is counted, and bounded by what a third party says:
//   unseen  granted, but the provider saw no head of it: its caller left, or the connection failed,
//           while it was being sent. Booked. At most what the node's log calls unheard
//   late    granted to a caller who had left while his question was on its way to Redis. Booked as
//           cancelled, and nobody was asked. At most as many as the log has who left while asking
//   lost    the provider was asked, and the node was killed before it could book. Not booked. At
//           most the leases of that boot that Redis has swept
//   again   the provider was asked once more within one slot (it was overloaded), or over a new
//           connection (the old one was at its end). Booked once. As many as the log has, exactly or,
//           where a connection ended, at most
// Whatever is left over is unexplained: there must be none.
import { modelOf } from './callers.js';

const BASE = 'weir:{main}';
const TOKENS_OUT = 40; // of an answer of the provider, if nobody says otherwise
const TRIES_MAX = 3; // requests within one slot: retry.attempts

function numbersOf(line = '') {
    const numbers = {};
    for (const [, key, value] of line.matchAll(/(\w+)=(\d+)/g)) numbers[key] = Number(value);
    return numbers;
}

/** The provider's side. */
export class Journal {
    #last = 0;
    seen = 0;
    models = new Map();

    constructor(provider) {
        this.provider = provider;
    }

    /** What came since it was last read. */
    async read() {
        for (;;) {
            const records = await this.provider.log({ since: this.#last, limit: 1000 });
            for (const { seq, headers } of records) {
                if (seq !== this.#last + 1) throw new Error(`no record before ${seq} any more`);
                this.#last = seq;
                const model = headers.find(([name]) => name.toLowerCase() === 'x-soak')?.[1];
                this.models.set(model, (this.models.get(model) ?? 0) + 1);
                this.seen++;
            }
            if (records.length < 1000) return;
        }
    }

    /** How many requests are over there, however they ended. */
    async ended() {
        const { total } = await this.provider.stats();
        return total.complete + total.closed + total.faulted + total.limited;
    }
}

/** How many requests are booked now, posted or not; slots in use by the counts, and leases. */
export async function look(redis) {
    const view = await redis.view();
    const [all, open, posting, slots, holders] = await view
        .multi()
        .hGet(`${BASE}:totals`, 'all')
        .hGetAll(`${BASE}:open`)
        .hGetAll(`${BASE}:posting`)
        .hGetAll(`${BASE}:slots`)
        .zRange(`${BASE}:holders`, 0, -1)
        .exec();
    const sum = (lines, field) =>
        lines.reduce((count, line) => count + (numbersOf(line)[field] ?? 0), 0);
    const unposted = [...Object.values(open), ...Object.values(posting)];
    const { '@': guard, ...counts } = slots;
    void guard;
    const held = await Promise.all(holders.map((holder) => view.hKeys(`${BASE}:held:${holder}`)));
    return {
        booked: sum([all ?? '', ...unposted], 'requests'),
        unposted: unposted.length,
        slots: sum(Object.values(counts), 'active'),
        leases: held.flat().filter((seq) => seq !== '@').length,
    };
}

/** The books, once all is posted: field -> numbers. */
async function totals(redis) {
    const view = await redis.view();
    const lines = Object.entries(await view.hGetAll(`${BASE}:totals`));
    return new Map(lines.map(([field, line]) => [field, numbersOf(line)]));
}

/** Leases that ended by force and were never settled: model -> how many. */
async function swept(redis) {
    const view = await redis.view();
    const counts = new Map();
    for (const key of await view.keys(`${BASE}:swept:*`)) {
        for (const record of Object.values(await view.hGetAll(key))) {
            const model = /model=(\S+)/.exec(record)?.[1];
            counts.set(model, (counts.get(model) ?? 0) + 1);
        }
    }
    return counts;
}

const outside = (value, least, most) => Math.max(0, least - value) + Math.max(0, value - most);

/** One line of the comparison. All numbers are attempts. */
export function compare({ isKilled, left, journal, booked, sweptLeases, log }) {
    const again = log.inPlace + log.sentAgain;
    if (isKilled) {
        const [lost, early] = [Math.max(0, journal - booked), Math.max(0, booked - journal)];
        const most = sweptLeases * TRIES_MAX + again;
        const unexplained = outside(lost, 0, most) + outside(early, 0, left);
        return { unseen: early, late: 0, lost, again: 0, unexplained };
    }
    const [unseen, late] = [log.granted + again - journal, booked - log.granted];
    const most = log.unheard + log.sentAgain;
    const beyond = outside(unseen, 0, most) + outside(late, 0, log.asking);
    return { unseen, late, lost: 0, again, unexplained: beyond + sweptLeases };
}

/** What each kind of name adds up to must be the same: requests of "all" that a kind has not. */
function missingIn(books) {
    const sums = { sub: 0, client: 0, model: 0 };
    for (const [field, { requests = 0 }] of books) {
        const kind = field.split(':', 1)[0];
        if (kind in sums) sums[kind] += requests;
    }
    const all = books.get('all')?.requests ?? 0;
    return Object.values(sums).reduce((missing, sum) => missing + Math.abs(all - sum), 0);
}

/** Tokens of whole answers are booked, and none that nobody sent; estimates apart. */
function tokensWrong({ wholes, boot, booked, journal }) {
    if (boot.end === 'killed') return 0;
    const told = wholes.get(boot)?.output ?? 0;
    const exact = (booked.output ?? 0) - (booked.output_estimated ?? 0);
    return outside(exact, told, journal * TOKENS_OUT);
}

/** Both sides, when nothing runs any more. */
export async function balance({ fleet, journal, redis, wholes }) {
    await journal.read();
    const [books, sweptCounts] = [await totals(redis), await swept(redis)];
    const sum = { journal: journal.seen, booked: books.get('all')?.requests ?? 0 };
    Object.assign(sum, { unseen: 0, late: 0, lost: 0, again: 0, unexplained: missingIn(books), tokens: 0 });
    sum.lines = [];
    for (const boot of fleet.boots) {
        for (const stays of [true, false]) {
            const model = modelOf(boot, stays);
            const booked = books.get(`model:${model}`) ?? {};
            const line = {
                isKilled: boot.end === 'killed',
                left: boot.left,
                journal: journal.models.get(model) ?? 0,
                booked: booked.requests ?? 0,
                sweptLeases: sweptCounts.get(model) ?? 0,
                log: boot.attempts.of(model),
            };
            const result = compare(line);
            sum.lines.push({ model, ...line, ...result });
            for (const word of ['unseen', 'late', 'lost', 'again', 'unexplained']) sum[word] += result[word];
            if (stays)
                sum.tokens += tokensWrong({ wholes, boot, booked, journal: line.journal });
        }
    }
    // What is in neither boot's names is nobody's.
    sum.unexplained += Math.abs(sum.booked - sum.journal - sum.unseen - sum.late + sum.lost + sum.again);
    return sum;
}
