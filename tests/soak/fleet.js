// fleet.js - the nodes of a soak, and each start of one: a boot. The first node is never restarted:
// its memory and descriptors are what is measured. What a boot's log says of its attempts is added
// up as it comes.
import { Attempts } from './attempts.js';

const LINES_KEPT = 500; // of a node's log, for what goes wrong

/** A node's last lines; each is shown to `look` as it comes. */
class Tail extends Array {
    constructor(look) {
        super();
        this.look = look;
    }

    static get [Symbol.species]() {
        return Array;
    }

    push(line) {
        super.push(line);
        if (this.length > 2 * LINES_KEPT) this.splice(0, LINES_KEPT);
        this.look(line);
        return this.length;
    }
}

/** One start of a node. Callers put its number into what they ask, so all ledgers know it. */
class Boot {
    constructor(number, node) {
        this.number = number;
        this.node = node;
        this.end = null; // 'rolled', 'killed'
        this.isTaking = true;
        this.attempts = new Attempts();
        this.left = 0; // callers who went before their answer was whole
    }

    get port() {
        return this.node.port;
    }
}

export class Fleet {
    constructor(world, makeConfig) {
        this.world = world;
        this.makeConfig = makeConfig; // (variant) -> a node's configuration
        this.variant = 0;
        this.nodes = [];
        this.boots = [];
        this.problems = new Map(); // what nodes logged as an error -> how often
    }

    async start(count) {
        for (let i = 1; i <= count; i++) {
            const node = this.world.nodeToCome({ id: `n${i}`, config: this.makeConfig(0) });
            node.lines = new Tail((line) => this.#read(node, line));
            this.nodes.push(node);
            await this.#boot(node);
        }
    }

    get measured() {
        return this.nodes[0];
    }

    async #boot(node) {
        const boot = new Boot(this.boots.length + 1, node);
        node.boot = boot;
        boot.isTaking = false;
        await node.start();
        boot.isTaking = true;
        this.boots.push(boot);
    }

    #read(node, line) {
        if (/"level":"error"/.test(line)) {
            const { event } = JSON.parse(line);
            this.problems.set(event, (this.problems.get(event) ?? 0) + 1);
        }
        node.boot.attempts.read(line);
    }

    /** A boot that takes requests, or null. */
    pick(chance) {
        const takers = this.nodes.map((node) => node.boot).filter((boot) => boot.isTaking);
        return takers.length > 0 ? chance.pick(takers) : null;
    }

    #restartable(chance) {
        return chance.pick(this.nodes.slice(1));
    }

    /** As a service manager does it: SIGTERM, what runs may end, a new one. */
    async roll(chance) {
        const { boot } = this.#leave(this.#restartable(chance), 'rolled');
        await boot.node.child.end({ signal: 'SIGTERM', ms: 30000 });
        boot.node.check();
        await this.#boot(boot.node);
    }

    /** In the middle of whatever it does. */
    async kill(chance) {
        const { boot } = this.#leave(this.#restartable(chance), 'killed');
        await boot.node.kill9();
        await this.#boot(boot.node);
    }

    #leave(node, end) {
        node.boot.isTaking = false;
        node.boot.end = end;
        node.boot.attempts.isLeaving = true;
        return node;
    }

    /** All read another configuration: slots and preferences change, credentials do not. */
    async reload() {
        this.variant++;
        for (const node of this.nodes) {
            if (node.isRunning) await node.reload(this.makeConfig(this.variant));
        }
    }

    /** The harness keeps what a node logs until somebody has waited for it; a soak is too long. */
    forgetOldLines() {
        for (const { log } of this.nodes) {
            if (log.waiters.size === 0 && log.items.length > LINES_KEPT) log.items.length = 0;
        }
    }
}
