/**
 * The parts of undici that connections are made of. Loaded by `import()` when the first connection is opened: it takes
 * tens of milliseconds. Named one by one, because a bundle gives no names to a package that it imports whole.
 */
export { Agent, buildConnector, Pool, ProxyAgent } from 'undici';
