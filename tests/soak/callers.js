// callers.js - the load: so many callers of each kind, who ask, wait, and ask again. Each request
// ends in one word; whoever stays checks that the answer is his and is whole.
import { messages, messagesRequest } from '../e2e/harness/http.js';
import { pause } from '../e2e/harness/wait.js';
import { connect } from '../e2e/harness/wire.js';
import { junkName, KINDS } from './questions.js';

const STUCK_MS = 45000; // longer than any timeout of a node

/** What a caller calls its model: whether it stays, whom it asks. All ledgers are kept by it. */
export const modelOf = (boot, stays) => `soak-${stays ? 'stay' : 'leave'}-${boot.number}`;

function read(text, isStream) {
    if (!isStream) {
        const { content, usage } = JSON.parse(text);
        return { said: content[0].text, usage, isWhole: true, isError: false };
    }
    const events = text
        .split('\n')
        .filter((line) => line.startsWith('data: '))
        .map((line) => JSON.parse(line.slice(6)));
    const of = (type) => events.filter((event) => event.type === type);
    return {
        said: of('content_block_delta')
            .map(({ delta }) => delta.text)
            .join(''),
        usage: of('message_delta').at(-1)?.usage,
        isWhole: of('message_stop').length === 1,
        isError: of('error').length > 0,
    };
}

const WORDS = { 429: 'limited', 503: 'unavailable', 529: 'overloaded' };

export class Callers {
    #isOver = false;
    #gate = null; // {promise, open}: while it is shut nobody asks
    #busy = 0;
    #idle = () => {};
    #lanes = [];
    #asked = 0;

    constructor(fleet, chance) {
        this.fleet = fleet;
        this.chance = chance;
        this.outcomes = {}; // "kind outcome" -> how often
        this.wrong = []; // what must never happen, in words
        this.wholes = new Map(); // boot -> {answers, output}: whole answers and their tokens
    }

    start() {
        for (const [kind, settings] of Object.entries(KINDS)) {
            for (let i = 0; i < settings.lanes; i++) {
                const lane = { kind, ...settings, chance: this.chance.branch(), line: null };
                this.#lanes.push(this.#run(lane));
            }
        }
    }

    /** Nobody asks any more, until resume(); returns when all have their answers and have gone. */
    async hold() {
        let open;
        this.#gate = { promise: new Promise((resolve) => (open = resolve)), open };
        while (this.#busy > 0) await new Promise((resolve) => (this.#idle = resolve));
    }

    resume() {
        this.#gate?.open();
        this.#gate = null;
    }

    async stop() {
        this.#isOver = true;
        await this.hold();
        this.resume();
        await Promise.all(this.#lanes);
    }

    async #run(lane) {
        await pause(lane.chance.wait(lane.pause_ms));
        while (!this.#isOver) {
            this.#busy++;
            const outcome = await this.#turn(lane).catch((error) => this.#fault(lane, error));
            this.#note(lane.kind, outcome);
            this.#busy--;
            if (this.#gate) {
                hangUp(lane);
                this.#idle();
                await this.#gate.promise;
            }
            await pause(lane.chance.wait(lane.pause_ms));
        }
        hangUp(lane);
    }

    #note(kind, outcome) {
        const key = `${kind} ${outcome}`;
        this.outcomes[key] = (this.outcomes[key] ?? 0) + 1;
    }

    /** Sums over all kinds: outcome -> how often. */
    totals() {
        const sums = {};
        for (const [key, count] of Object.entries(this.outcomes)) {
            const outcome = key.split(' ')[1];
            sums[outcome] = (sums[outcome] ?? 0) + count;
        }
        return sums;
    }

    /** What became of a request that has no answer, or half of one. */
    #fault(lane, error) {
        const { line } = lane;
        const boot = line?.boot;
        hangUp(lane);
        if (boot) boot.left++;
        if (!line) return 'unreachable';
        if (/^waited \d+ ms/.test(error.message)) {
            this.wrong.push(`${lane.kind}: an answer neither came nor ended: ${error.message}`);
            return 'stuck';
        }
        if (boot.end !== null) return 'cut'; // its node was told to go, or was killed
        return line.hasHead ? 'broken' : 'dropped';
    }

    async #turn(lane) {
        const { chance } = lane;
        if (lane.line && (!lane.line.boot.isTaking || chance.isOne(0.1))) hangUp(lane);
        if (!lane.line) {
            const boot = this.fleet.pick(chance);
            if (!boot) return 'unreachable';
            lane.line = { boot, wire: await connectTo(boot, lane) };
        }
        lane.line.hasHead = false;
        const question = this.#question(lane);
        return lane.stays ? this.#stay(lane, question) : this.#leave(lane, question);
    }

    #question(lane) {
        const { chance, line } = lane;
        const { stream, script, padding = 0 } = lane.make(chance);
        const word = `q${++this.#asked}q`;
        const text = `${word} ${'x'.repeat(padding)}`;
        const model = modelOf(line.boot, lane.stays);
        const client = lane.isNamedJunk ? junkName(chance) : `${lane.kind}-${chance.between(1, 5)}`;
        const body = messages({ stream, model, text });
        const headers = { 'x-client-id': client, 'x-soak': model };
        // Without orders for another text the provider says what it was told.
        const own = script?.events ?? script?.text_bytes ? '' : word;
        return { word: own, stream, bytes: messagesRequest({ body, script, headers }) };
    }

    async #stay(lane, { word, stream, bytes }) {
        const { line } = lane;
        await line.wire.send(bytes);
        const answer = await line.wire.head({ ms: STUCK_MS });
        line.hasHead = true;
        const text = await (lane.isSlow ? readSlowly(answer, lane.chance) : readAll(answer));
        if (answer.mustClose) hangUp(lane);
        if (answer.status !== 200) {
            const usual = answer.status >= 500 ? 'provider-error' : 'client-error';
            return WORDS[answer.status] ?? usual;
        }
        return this.#judge(lane, line.boot, read(text, stream), word);
    }

    #judge(lane, boot, { said, usage, isWhole, isError }, word) {
        if (isError) return 'told-broken';
        if (!isWhole || !said.startsWith(word)) {
            const what = isWhole ? 'an answer to another question' : 'half an answer looks whole';
            this.wrong.push(`${lane.kind}: ${what}: ${JSON.stringify(said.slice(0, 80))}`);
            return isWhole ? 'crossed' : 'looks-whole';
        }
        const sum = this.wholes.get(boot) ?? { answers: 0, output: 0 };
        this.wholes.set(boot, {
            answers: sum.answers + 1,
            output: sum.output + (usage?.output_tokens ?? 0),
        });
        return 'whole';
    }

    /** Goes at a random moment: within the request, before an answer, or in the middle of one. */
    async #leave(lane, { bytes }) {
        const { chance, line } = lane;
        const isCutShort = chance.isOne(0.2);
        const sent = isCutShort
            ? bytes.subarray(0, Math.floor(bytes.length * chance.next()))
            : bytes;
        line.wire.send(sent).catch(() => {});
        await pause(chance.wait(400));
        line.boot.left++;
        if (chance.isOne(0.3)) line.wire.reset();
        hangUp(lane);
        return 'left';
    }
}

async function connectTo(boot, lane) {
    try {
        return await connect(boot.port);
    } catch (error) {
        lane.line = null;
        throw error;
    }
}

function hangUp(lane) {
    lane.line?.wire.leave();
    lane.line = null;
}

async function readAll(answer) {
    await answer.readBody({ ms: STUCK_MS });
    return answer.text;
}

/** Takes some of it, looks away, takes some more: what waits for it must wait at the provider. */
async function readSlowly(answer, chance) {
    const pieces = [];
    for (let piece; (piece = await answer.piece({ ms: STUCK_MS }));) {
        pieces.push(piece);
        if (chance.isOne(0.3)) await pause(chance.wait(120));
    }
    return Buffer.concat(pieces).toString();
}
