// attempts.js - what a node's log says of its attempts, added up by what callers named their model:
// who stays, who leaves. Five numbers a model, for the ledger:
//   granted   attempts that had a slot
//   in_place  requests beyond the first within one slot: the provider was asked once more
//   sent_again requests that met a dying connection; the provider has seen one of the two, or both
//   asking    requests that ended while they asked for a slot: if one was granted that late, it
//             goes back by itself, booked as cancelled
//   unheard   attempts that ended without a head of an answer: the provider may not have seen them

export const NOTHING = { granted: 0, inPlace: 0, sentAgain: 0, asking: 0, unheard: 0 };

export class Attempts {
    #open = new Map(); // request -> what it went through so far
    models = new Map();
    isLeaving = false; // from now on a 503 may be a request that the node itself ended

    read(line) {
        if (!/"event":"(exchange finished|failover|attempt failed)"/.test(line)) return;
        const { event, id, ...more } = JSON.parse(line);
        const seen = this.#open.get(id) ?? { hops: 0, failed: 0 };
        if (event === 'failover') seen.hops++;
        else if (event === 'attempt failed') seen.failed++;
        if (event !== 'exchange finished') {
            this.#open.set(id, seen);
            return;
        }
        this.#open.delete(id);
        if (more.model !== undefined) this.#add(more, seen);
    }

    #add({ model, attempts, tries_in_place: inPlace = 0, sent_again: sentAgain = 0, ...more }, seen) {
        const { status, end } = more;
        const { hops, failed } = seen;
        const sum = this.models.get(model) ?? { ...NOTHING };
        const isCut = end === 'client_gone' || (this.isLeaving && status === 503);
        sum.granted += attempts - inPlace;
        sum.inPlace += inPlace;
        sum.sentAgain += sentAgain;
        sum.unheard += failed;
        if (isCut && attempts - inPlace === hops) sum.asking++;
        else if (isCut) sum.unheard++;
        this.models.set(model, sum);
    }

    of(model) {
        return this.models.get(model) ?? NOTHING;
    }
}
