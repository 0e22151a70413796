/** What the server shows to Prometheus: its tally and its gauges as text over plain HTTP, on an address of the operator's choice. */
import { createServer } from 'node:http';
import type { Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import { ParleyError, toParleyError } from '../protocol/errors.js';
import { MAX_SCRAPERS, SCRAPE_DEADLINE_MS } from './limits.js';
import { cannotListen, formatAddress } from './listener.js';
import type { Log } from './log.js';
import type { Server } from './server.js';

export interface MetricsOptions {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  readonly server: Pick<Server, 'core' | 'connections' | 'refused'>;
  readonly version: string;
  readonly log: Log;
}

export interface Metrics {
  /** `host:port`. */
  readonly address: string;
  /** Idempotent. */
  close(): Promise<void>;
}

/** Commands whose refusals are those of messages. */
const MESSAGE_COMMANDS: ReadonlySet<string> = new Set(['message', 'broadcast', 'send_group']);

/** Answers `GET /metrics` on that address only. @throws ParleyError USAGE when it cannot be listened on */
export async function startMetrics({ host, port, server, version, log }: MetricsOptions): Promise<Metrics> {
  const registry = makeRegistry(server, version);
  const http = createServer({ requestTimeout: SCRAPE_DEADLINE_MS, headersTimeout: SCRAPE_DEADLINE_MS });
  http.maxConnections = MAX_SCRAPERS;
  http.on('request', ({ url, method }, response) => {
    if (url?.split('?')[0] !== '/metrics' || (method !== 'GET' && method !== 'HEAD')) {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('metrics are at /metrics\n');
      return;
    }
    registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
      (thrown: unknown) => {
        log.warn({ reason: toParleyError(thrown).message }, 'metrics could not be gathered');
        response.writeHead(500).end();
      },
    );
  });
  const bound = await listen(http, host, port);
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    const closed = new Promise((resolve) => http.close(resolve));
    http.closeAllConnections();
    await closed;
    registry.clear();
  };
  return { address: formatAddress(bound.address, bound.port), close: () => (closing ??= close()) };
}

async function listen(http: HttpServer, host: string, port: number): Promise<AddressInfo> {
  try {
    await new Promise<void>((resolve, reject) => {
      http.once('error', reject);
      http.listen({ host, port }, resolve);
    });
  } catch (cause) {
    const reason = `--metrics: ${cannotListen(formatAddress(host, port), cause)}`;
    throw new ParleyError('USAGE', { reason }, { cause });
  }
  return http.address() as AddressInfo;
}

type Source = MetricsOptions['server'];

export interface GaugeSpec {
  readonly kind: 'gauge';
  readonly name: string;
  readonly help: string;
  readonly read: (server: Source) => number | Promise<number>;
}

export interface CounterSpec {
  readonly kind: 'counter';
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  readonly read: (server: Source) => Iterable<CounterRow>;
}

export interface HistogramSpec {
  readonly kind: 'histogram';
  readonly name: string;
  readonly help: string;
  readonly buckets: readonly number[];
}

const gauge = (name: string, help: string, read: GaugeSpec['read']): GaugeSpec => ({ kind: 'gauge', name, help, read });
const counter = (name: string, help: string, labels: readonly string[], read: CounterSpec['read']): CounterSpec => ({
  kind: 'counter',
  name,
  help,
  labels,
  read,
});
const single = (name: string, help: string, read: (server: Source) => number): CounterSpec =>
  counter(name, help, [], (server) => [[{}, read(server)]]);

const GAUGES: readonly GaugeSpec[] = [
  gauge('parley_connections', 'Connections of clients that stand now, logged in or not.', (s) => s.connections()),
  gauge('parley_sessions', 'Users who are logged in.', ({ core }) => core.services.presence.size),
  gauge('parley_users', 'Accounts.', async ({ core }) => (await core.services.storage.countAll()).users),
  gauge('parley_files', 'Registered files.', async ({ core }) => (await core.services.storage.countAll()).files),
  gauge(
    'parley_holdings',
    'Files held, summed over their holders.',
    ({ core }) => core.services.registry.totals().holdings,
  ),
  gauge(
    'parley_held_chunks',
    'Chunks held, summed over their holders.',
    ({ core }) => core.services.registry.totals().chunks,
  ),
  gauge('parley_push_queue_messages', 'Messages that were pushed and are not acknowledged yet.', ({ core }) =>
    sum(core.services.presence.sessions(), ({ pump }) => pump.unacknowledged),
  ),
  gauge('parley_push_queue_bytes', 'Bytes of output that wait for clients to read.', ({ core }) =>
    sum(core.services.presence.sessions(), ({ connection }) => connection.queuedBytes),
  ),
];

const COUNTERS: readonly CounterSpec[] = [
  single('parley_connections_refused_total', 'Connections refused because there were too many.', (s) => s.refused()),
  counter(
    'parley_logins_total',
    'Attempts to begin a session: how is login or resume, outcome ok, failed (wrong), locked (too many failures) or refused (for another reason).',
    ['how', 'outcome'],
    ({ core }) => mapped(core.services.tally.entries.rows(), ([how, outcome, count]) => [{ how, outcome }, count]),
  ),
  counter(
    'parley_commands_total',
    'Commands answered after login; outcome is ok or the code of the refusal.',
    ['command', 'outcome'],
    ({ core }) =>
      mapped(core.services.tally.answers.rows(), ([command, outcome, count]) => [{ command, outcome }, count]),
  ),
  counter('parley_messages_stored_total', 'Messages stored: message, broadcast or group.', ['kind'], ({ core }) =>
    mapped(Object.entries(core.services.tally.stored), ([kind, count]) => [{ kind }, count]),
  ),
  single(
    'parley_message_copies_stored_total',
    'Messages stored, counted once for each recipient.',
    ({ core }) => core.services.tally.copies,
  ),
  single(
    'parley_messages_delivered_total',
    'Messages that recipients’ clients acknowledged.',
    ({ core }) => core.services.tally.delivered,
  ),
  counter('parley_messages_refused_total', 'Messages refused, by the code of the refusal.', ['code'], ({ core }) =>
    mapped(refusals(core.services.tally.answers.rows()), ([code, count]) => [{ code }, count]),
  ),
  counter(
    'parley_introductions_total',
    'Introductions asked for; outcome is ok or the code of the refusal.',
    ['outcome'],
    ({ core }) =>
      mapped(only(core.services.tally.answers.rows(), 'introduce'), ([outcome, count]) => [{ outcome }, count]),
  ),
];

const COMMIT_SECONDS: HistogramSpec = {
  kind: 'histogram',
  name: 'parley_commit_seconds',
  help: 'How long a commit of messages takes, sync included.',
  // From a commit into memory to a disk that struggles.
  buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1],
};
const COMMIT_MESSAGES: HistogramSpec = {
  kind: 'histogram',
  name: 'parley_commit_messages',
  help: 'Messages in one commit.',
  // Up to the largest batch.
  buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256],
};

const BUILD_INFO = {
  name: 'parley_build_info',
  help: 'Always 1; the label says which version runs.',
  labels: ['version'],
};

/** Every metric of the server's own, for the reference. */
export const METRICS: readonly { readonly name: string; readonly help: string; readonly labels?: readonly string[] }[] =
  [...GAUGES, ...COUNTERS, COMMIT_SECONDS, COMMIT_MESSAGES, BUILD_INFO];

/** Everything but the histograms is read when it is asked for. */
function makeRegistry(server: Source, version: string): Registry {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  for (const { name, help, read } of GAUGES) {
    const collect = async (): Promise<void> => made.set(await read(server));
    const made: Gauge = new Gauge({ name, help, registers, collect });
  }
  for (const { name, help, labels, read } of COUNTERS) {
    const collect = (): void => {
      made.reset();
      for (const [values, count] of read(server)) made.inc(values, count);
    };
    const made: Counter = new Counter({ name, help, labelNames: [...labels], registers, collect });
  }
  const { name, help, labels } = BUILD_INFO;
  new Gauge({ name, help, labelNames: labels, registers }).set({ version }, 1);
  const [seconds, messages] = [COMMIT_SECONDS, COMMIT_MESSAGES].map(
    (spec) => new Histogram({ name: spec.name, help: spec.help, buckets: [...spec.buckets], registers }),
  );
  server.core.services.tally.onCommit = (count, took) => {
    seconds?.observe(took);
    messages?.observe(count);
  };
  return registry;
}

type CounterRow = readonly [labels: Record<string, string>, count: number];

function* mapped<T>(rows: Iterable<T>, map: (row: T) => CounterRow): Generator<CounterRow, void, void> {
  for (const row of rows) yield map(row);
}

type Answers = Iterable<readonly [command: string, outcome: string, count: number]>;

/** Refused messages by code. */
function refusals(answers: Answers): Map<string, number> {
  const byCode = new Map<string, number>();
  for (const [command, outcome, count] of answers) {
    if (outcome !== 'ok' && MESSAGE_COMMANDS.has(command)) byCode.set(outcome, (byCode.get(outcome) ?? 0) + count);
  }
  return byCode;
}

function* only(answers: Answers, wanted: string): Generator<readonly [string, number], void, void> {
  for (const [command, outcome, count] of answers) if (command === wanted) yield [outcome, count];
}

function sum<T>(items: Iterable<T>, read: (item: T) => number): number {
  let total = 0;
  for (const item of items) total += read(item);
  return total;
}
