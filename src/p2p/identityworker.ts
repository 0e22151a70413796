/** The thread that makes a key and its certificate: the library for that takes 20 MB, which go with the thread. */
import { parentPort } from 'node:worker_threads';
import { makeIdentity } from '../protocol/certificate.js';

parentPort?.postMessage(await makeIdentity('parley'));
