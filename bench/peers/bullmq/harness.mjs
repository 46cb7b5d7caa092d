// BullMQ in the shape in which Troupe's lifecycles are measured: so many slots, each of which adds a
// job with a priority, waits until a worker has completed it, and begins anew. What completes during
// the measured seconds counts. Prints one JSON object.
//
//   node harness.mjs --url redis://127.0.0.1:6379 [--seconds 8] [--warm-up 2] [--in-flight 200]
//                    [--body-bytes 512] [--result-bytes 64]

import { createRequire } from 'node:module';
import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Queue, Worker } from 'bullmq';
import IORedis from 'ioredis';

const PRIORITIES = 4;
const KEPT_JOBS = 1000;

const text = (value) => ({ type: 'string', default: String(value) });
const { values } = parseArgs({
  options: {
    url: text('redis://127.0.0.1:6379'),
    seconds: text(8),
    'warm-up': text(2),
    'in-flight': text(200),
    'body-bytes': text(512),
    'result-bytes': text(64),
  },
});
const number = (name) => {
  const value = Number(values[name]);
  if (!Number.isFinite(value) || value <= 0) throw new Error(`--${name}: must be a positive number`);
  return value;
};
const inFlight = number('in-flight');

// The JSON text of the job's data has the size that is asked for, as our creations' bodies have.
const data = { payload: 'x'.repeat(number('body-bytes') - '{"payload":""}'.length) };
const result = 'y'.repeat(number('result-bytes') - 2);

const connect = () => new IORedis(values.url, { maxRetriesPerRequest: null });
const connections = [connect(), connect()];
const name = `bench-${process.pid}`;
const keep = { count: KEPT_JOBS };
const queue = new Queue(name, {
  connection: connections[0],
  defaultJobOptions: { removeOnComplete: keep, removeOnFail: keep },
});
const worker = new Worker(name, async () => result, {
  connection: connections[1],
  concurrency: inFlight,
});

// A job can be completed before the answer to its addition is read.
const waiting = new Map();
const early = new Set();
let failure;
worker.on('completed', (job) => {
  const resolve = waiting.get(job.id);
  if (resolve === undefined) early.add(job.id);
  else resolve();
  waiting.delete(job.id);
});
worker.on('failed', (job, why) => (failure ??= why));
worker.on('error', (why) => (failure ??= why));

let measuring = false;
let ending = false;
let completed = 0;

async function slot(first) {
  for (let round = first; !ending; round += 1) {
    const job = await queue.add('task', data, { priority: 1 + (round % PRIORITIES) });
    if (!early.delete(job.id)) await new Promise((resolve) => waiting.set(job.id, resolve));
    if (failure) throw failure;
    if (measuring) completed += 1;
  }
}

await Promise.all([queue.waitUntilReady(), worker.waitUntilReady()]);
const slots = Promise.all(Array.from({ length: inFlight }, (_, index) => slot(index)));
await Promise.race([wait(number('warm-up') * 1000), slots]);
const [began, processor] = [performance.now(), process.cpuUsage()];
measuring = true;
await Promise.race([wait(number('seconds') * 1000), slots]);
measuring = false;
const seconds = (performance.now() - began) / 1000;
const used = process.cpuUsage(processor);
const jobs = completed;
ending = true;
await slots;

const require = createRequire(import.meta.url);
const version = (part) => require(`${part}/package.json`).version;
const server = await connections[0].info('server');
const valkey = /valkey_version:(\S+)/.exec(server) ?? /redis_version:(\S+)/.exec(server);
await worker.close();
await queue.obliterate({ force: true });
await queue.close();
connections.forEach((connection) => connection.disconnect());

console.log(
  JSON.stringify({
    jobs_per_s: jobs / seconds,
    jobs,
    seconds,
    user_s: used.user / 1e6,
    system_s: used.system / 1e6,
    versions: `bullmq ${version('bullmq')}, ioredis ${version('ioredis')}, node ${process.versions.node}, server ${valkey?.[1]}`,
  }),
);
