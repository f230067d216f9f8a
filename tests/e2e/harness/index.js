// index.js - what a test file imports.
export { authority } from './certificates.js';
export { headersOf, ownError, quiet } from './expect.js';
export { run } from './child.js';
export {
    call,
    EventReader,
    messages,
    messagesRequest,
    open,
    parseEvent,
    post,
    request,
} from './http.js';
export { environment, Node, weir } from './node.js';
export { isSanitized, PATHS, size } from './paths.js';
export { Load } from './load.js';
export { Metrics } from './prometheus.js';
export { clockMs, key } from './provider.js';
export { freePort, Redis } from './redis.js';
export { Arrivals, eventually, pause, turn, within } from './wait.js';
export { Closed, connect } from './wire.js';
export { test } from './world.js';
export { filesOf, FRUGAL, inRounds, nothingRemains } from './remains.js';
