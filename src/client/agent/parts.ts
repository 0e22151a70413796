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
import { Downloads } from './downloads.js';
import { FaceEvents } from './faceevents.js';
import { Library } from './library.js';
import type { Log } from './log.js';
import { Peers } from './peers.js';
import { PrivateChats } from './privatechats.js';
import type { PrivateLog } from './privatelog.js';
import { Renewal } from './renewal.js';
import { Session } from './session.js';
import type { ShareIndex } from './shareindex.js';
import { Transfers } from './transfers.js';

export interface PartsOptions {
  readonly home: string;
  readonly listen: Address | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly random?: () => number;
  readonly identity: Identity;
  readonly pins: Pins;
  readonly privateLog: PrivateLog;
  readonly index: ShareIndex;
  /** @throws ParleyError LOGIN_REQUIRED */
  readonly account: () => Account;
  readonly onResumed: (start: SessionStart) => void;
  readonly onEnded: (reason: ParleyError) => void;
}

export interface AgentParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly pins: Pins;
  readonly session: Session;
  readonly events: FaceEvents;
  readonly renewal: Renewal;
  readonly privateLog: PrivateLog;
  readonly peers: Peers;
  readonly chats: PrivateChats;
  readonly library: Library;
  readonly transfers: Transfers;
  readonly downloads: Downloads;
  /** @throws ParleyError LOGIN_REQUIRED */
  readonly account: () => Account;
}

export function assemble(options: PartsOptions): AgentParts {
  const { clock, log, identity, pins, privateLog, account } = options;
  const spread = options.random === undefined ? {} : { random: options.random };
  const events = new FaceEvents(clock);
  const session = new Session({
    identity,
    pins,
    clock,
    log,
    ...spread,
    prepare: (connection) =>
      connection.serve(clientCommands, (_spec, params) => {
        peers.expect(params as ParamsOf<typeof clientCommands.expectPeer>);
        return Promise.resolve({});
      }),
    onEvent: (event) => {
      if (event.type !== 'focus') events.publish(event);
    },
    onResumed: options.onResumed,
    onLost: () => events.notice('CONNECTION_LOST'),
    onEnded: options.onEnded,
  });
  const library = new Library({ home: options.home, clock, log, session, events, index: options.index });
  const provider = new Provider({ shares: library, clock });
  const onLink = (link: PeerLink): void => {
    if (link.purpose === 'transfer') provider.serve(link.peer, link.connection);
    else chats.accept(link);
  };
  const peers: Peers = new Peers({
    identity,
    pins,
    clock,
    log,
    session,
    listen: options.listen,
    onLink,
    onProblem: () => events.notice('NOT_REACHABLE', { text: peers.problem }),
  });
  const chats: PrivateChats = new PrivateChats({ identity, pins, log, session, peers, events, privateLog, account });
  const transfers = new Transfers({ clock, events, provider });
  const downloads = new Downloads({ clock, session, library, peers, transfers, log, account });
  const isNeeded = (): boolean => library.offers || transfers.active;
  const renewal = new Renewal({ session, clock, ...spread, isNeeded });
  return {
    clock,
    log,
    pins,
    session,
    events,
    renewal,
    privateLog,
    peers,
    chats,
    library,
    transfers,
    downloads,
    account,
  };
}
