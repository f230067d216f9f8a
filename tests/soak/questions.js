// questions.js - what the callers of a soak ask: short requests, long streams, large uploads, large
// answers for slow readers; and what they call themselves.
// A question with a script says how it is to be answered; one without takes what is queued at the
// provider, where trouble.js puts its faults.

const KIB = 1024;

const short = (chance) => ({
    stream: chance.isOne(0.5),
    script: chance.isOne(0.3) ? { delay_ms: chance.between(5, 200) } : undefined,
});

const stream = (chance) => ({
    stream: true,
    script: chance.isOne(0.8)
        ? { events: chance.between(20, 100), event_delay_ms: chance.between(20, 120) }
        : undefined,
});

const upload = (chance) => {
    const isHuge = chance.isOne(0.7);
    return {
        stream: chance.isOne(0.3),
        padding: isHuge ? chance.between(256, 6144) * KIB : chance.between(70, 512) * KIB,
        script: isHuge ? { text_bytes: 400 } : undefined, // else its own words come back
    };
};

const slow = (chance) => ({
    stream: true,
    script: { text_bytes: chance.between(300, 1200) * KIB, events: 40 },
});

const any = (chance) => chance.pick([short, short, stream, upload, slow])(chance);

// How many callers ask it at once, and how long each waits in between, on the average: some 40
// requests a second in all. `stays`: reads its answer to the end.
export const KINDS = {
    short: { make: short, lanes: 8, pause_ms: 300, stays: true },
    stream: { make: stream, lanes: 10, pause_ms: 500, stays: true },
    upload: { make: upload, lanes: 2, pause_ms: 1000, stays: true },
    slow: { make: slow, lanes: 2, pause_ms: 800, stays: true, isSlow: true },
    junk: { make: short, lanes: 1, pause_ms: 300, stays: true, isNamedJunk: true },
    leaver: { make: any, lanes: 4, pause_ms: 300, stays: false },
};

const JUNK = [
    () => '',
    (chance) => 'x'.repeat(chance.between(100, 4000)),
    (chance) => `bot ${chance.between(1, 1e9)}`,
    (chance) => `"${chance.between(1, 1e9)}"; DROP TABLE clients`,
    (chance) => `../../${chance.between(1, 1e9)}`,
    (chance) => Buffer.from(`bøt-${chance.between(1, 1e9)}-✨`).toString('latin1'),
    (chance) => `client=x model=y requests=${chance.between(1, 1e9)}`,
    () => '(other)',
    (chance) => `b${chance.between(1, 1e9)}`, // thousands of good ones are junk as well
];

export const junkName = (chance) => chance.pick(JUNK)(chance);
