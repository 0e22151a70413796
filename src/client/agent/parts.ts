/** What the agent consists of, put together. */
import type { Identity } from '../../protocol/certificate.js';
import type { Clock } from '../../protocol/clock.js';
import { clientCommands } from '../../protocol/commands/client.js';
import type { ParamsOf } from '../../protocol/command.js';
import type { ParleyError } from '../../protocol/errors.js';
import type { SessionStart } from '../../protocol/commands/server/login.js';
import type { PeerLink } from '../../p2p/link.js';
import type { Pins } from '../../p2p/pins.js';
import { Provider } from '../../p2p/provider.js';
import type { Account } from './account.js';
import type { Address } from './address.js';
import { assembleDelivery } from './delivery.js';
import { Downloads } from './downloads.js';
import { FaceEvents } from './faceevents.js';
import { Library } from './library.js';
import type { Log } from './log.js';
import type { Outbox } from './outbox.js';
import type { OutboxEntries } from './outboxentries.js';
import { Peers } from './peers.js';
import { PrivateChats } from './privatechats.js';
import type { PrivateLog } from './privatelog.js';
import type { ReceivedLog } from './receivedlog.js';
import type { Receiver } from './receiver.js';
import { Renewal } from './renewal.js';
import { Session } from './session.js';
import type { ShareIndex } from './shareindex.js';
import type { Standing } from './standing.js';
import { Transfers } from './transfers.js';

export interface PartsOptions {
  readonly home: string;
  readonly listen: Address | undefined;
  /** Bytes a second of what others fetch from here: in all, and over each link. */
  readonly uploadLimit: number | undefined;
  readonly uploadLimitPerLink: number | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly random?: () => number;
  readonly identity: Identity;
  readonly pins: Pins;
  readonly privateLog: PrivateLog;
  readonly received: ReceivedLog;
  readonly outboxEntries: OutboxEntries;
  readonly index: ShareIndex;
  /** @throws ParleyError LOGIN_REQUIRED */
  readonly account: () => Account;
  readonly onResumed: (start: SessionStart) => void;
  readonly onEnded: (reason: ParleyError) => void;
}

export interface AgentParts {
  readonly home: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly pins: Pins;
  readonly session: Session;
  readonly events: FaceEvents;
  readonly renewal: Renewal;
  readonly privateLog: PrivateLog;
  readonly outbox: Outbox;
  readonly receiver: Receiver;
  readonly standing: Standing;
  readonly peers: Peers;
  readonly chats: PrivateChats;
  readonly library: Library;
  readonly transfers: Transfers;
  readonly downloads: Downloads;
  readonly provider: Provider;
  /** @throws ParleyError LOGIN_REQUIRED */
  readonly account: () => Account;
}

export function assemble(options: PartsOptions): AgentParts {
  const { clock, log, identity, pins, privateLog, account } = options;
  const spread = options.random === undefined ? {} : { random: options.random };
  const events = new FaceEvents(clock);
  const { hooks, ...delivery } = assembleDelivery({ ...options, events, session: () => session });
  const session: Session = new Session({
    identity,
    pins,
    clock,
    log,
    ...spread,
    prepare: (connection) =>
      connection.serve(clientCommands, (_spec, params) => {
        links.peers.expect(params as ParamsOf<typeof clientCommands.expectPeer>);
        return Promise.resolve({});
      }),
    ...hooks,
    onResumed: options.onResumed,
    onEnded: options.onEnded,
  });
  const library = new Library({ home: options.home, clock, log, session, events, index: options.index });
  const limits = { limitRate: options.uploadLimit, linkLimitRate: options.uploadLimitPerLink };
  const provider = new Provider({ shares: library, clock, ...limits });
  const links = assembleLinks(options, { session, events, provider, standing: delivery.standing });
  const transfers = new Transfers({ clock, events, provider });
  const downloads = new Downloads({ clock, session, library, peers: links.peers, transfers, log, account });
  const isNeeded = (): boolean => library.offers || transfers.active;
  const renewal = new Renewal({ session, clock, ...spread, isNeeded });
  const sharing = { library, transfers, downloads, provider };
  const { home } = options;
  return { home, clock, log, pins, session, events, renewal, privateLog, ...delivery, ...links, ...sharing, account };
}

/** Direct links, and who they are for. */
function assembleLinks(
  { identity, pins, clock, log, listen, privateLog, account }: PartsOptions,
  { session, events, provider, standing }: Pick<AgentParts, 'session' | 'events' | 'standing'> & { provider: Provider },
): Pick<AgentParts, 'peers' | 'chats'> {
  const onLink = (link: PeerLink): void => {
    if (link.purpose === 'transfer') provider.serve(link.peer, link.connection);
    else chats.accept(link);
  };
  const onProblem = (): void => events.notice('NOT_REACHABLE', { text: peers.problem });
  const peers: Peers = new Peers({ identity, pins, clock, log, session, listen, onLink, onProblem });
  const chats = new PrivateChats({ clock, identity, pins, log, session, peers, events, privateLog, standing, account });
  return { peers, chats };
}
