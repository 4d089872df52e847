/**
 * The verbs of an engine, under one name: `engine.pull`, `engine.push`, `engine.getRepository`. The parts that they take
 * stand beside them in the public face. This file holds no code.
 */
export { type FetchedManifest, getRepository, type OpenedRepository } from './engine/get-repository.js';
export { type PullConfig, type PullResult, pull } from './engine/pull.js';
export { type PushConfig, type PushResult, push } from './engine/push.js';
