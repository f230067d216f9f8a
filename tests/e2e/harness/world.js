// world.js - one test, one world: its own provider, Redis and nodes, all of them gone at its end.
import nodeTest from 'node:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Balancer } from './balancer.js';
import { forgetPlace, rememberPlace } from './child.js';
import { Node } from './node.js';
import { key, Provider } from './provider.js';
import { Redis } from './redis.js';
import { FullPort, Mute, Puppet } from './strangers.js';
import { within } from './wait.js';
import { forgetWires } from './wire.js';

const NAMES = ['alpha', 'beta', 'gamma', 'delta', 'epsilon'];

/** Declares a test; `run(world, t)` gets a world, which ends with it however it goes. */
export function test(name, options, run) {
    if (typeof options === 'function') [options, run] = [{}, options];
    const { ms = 60000, ...rest } = options;
    nodeTest(name, { timeout: ms + 60000, ...rest }, async (t) => {
        const world = await World.create();
        let failure = null;
        try {
            await within(ms, `the test's end`, run(world, t));
        } catch (error) {
            failure = error;
        }
        const faults = await world.end();
        if (failure || faults.length > 0) world.tell(t);
        if (failure) throw failure;
        if (faults.length > 0) throw faults[0];
    });
}

export class World {
    #actors = []; // in the order of their start
    #count = 0;

    static async create() {
        const world = new World();
        world.dir = await mkdtemp(join(tmpdir(), 'weir-e2e-'));
        rememberPlace(world.dir);
        return world;
    }

    /** A directory for an actor. */
    place(name) {
        return join(this.dir, `${name}-${++this.#count}`);
    }

    async #enter(actor, options) {
        this.#actors.push(actor); // first, so that a start that fails half-way is cleaned up
        return actor.start(options);
    }

    async provider(options = {}) {
        return this.#enter(new Provider(options));
    }

    async redis(options = {}) {
        return this.#enter(new Redis(this.place('redis'), options));
    }

    /** A peer that takes connections and says nothing. */
    async mute() {
        return this.#enter(new Mute());
    }

    /** A port that takes no more connections. */
    async fullPort() {
        return this.#enter(new FullPort());
    }

    /** A provider of which the test writes every byte. */
    async puppet(options) {
        return this.#enter(new Puppet(options));
    }

    /** HAProxy before nodes at these ports. */
    async balancer(ports) {
        return this.#enter(new Balancer(this.place('balancer'), ports));
    }

    async node(options = {}) {
        const dir = options.dir ?? this.place('node');
        return this.#enter(new Node(dir, options));
    }

    /** A node that is not started: for one that may wait before it is there. */
    nodeToCome(options = {}) {
        const node = new Node(options.dir ?? this.place('node'), options);
        this.#actors.push(node);
        return node;
    }

    /**
     * The usual: a provider, a Redis, and a node with `subscriptions` of `max` slots each, named
     * alpha, beta, ... and preferred in that order while all are idle. `url`: alpha's, if it is not
     * the provider's. Further sections of the config go into `config`.
     */
    async setting({
        subscriptions = 1,
        max = 5,
        url,
        config = {},
        provider,
        redis,
        ...options
    } = {}) {
        provider ??= await this.provider();
        redis ??= await this.redis();
        const list = this.subscriptions(provider, subscriptions, { max_concurrent: max });
        if (url) list[0].base_url = url;
        const full = {
            subscriptions: list,
            redis: { url: redis.url },
            ...config,
        };
        const node = await this.node({ ...options, config: full });
        return { provider, redis, node };
    }

    /** Subscriptions of a config, at that provider. Their credentials: key(name). */
    subscriptions(provider, count, fields = {}) {
        return NAMES.slice(0, count).map((name, i) => ({
            name,
            api_key: key(name),
            base_url: provider.url,
            priority: i + 1,
            ...fields,
        }));
    }

    /** Ends everything, last started first; what went wrong with that. */
    async end() {
        const faults = [];
        forgetWires();
        for (const actor of this.#actors.reverse()) {
            try {
                await actor.stop();
            } catch (error) {
                faults.push(error);
            }
        }
        const strays = forgetPlace(this.dir);
        if (strays.length > 0) faults.push(new Error(`left running: ${strays.join('; ')}`));
        // A program that is ending may still write there.
        await rm(this.dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
        return faults;
    }

    /** What the nodes said last, for a test that failed. */
    tell(t) {
        for (const actor of this.#actors) {
            if (!(actor instanceof Node) || !actor.child) continue;
            t.diagnostic(`log of node ${actor.id}, its last lines:`);
            for (const line of actor.lines.slice(-40)) t.diagnostic(line);
        }
    }
}
