/** Which handler answers which command. The compiler says which is missing. */
import type { CommandSpec, Handlers, IncomingCall } from '../../protocol/command.js';
import type { serverCommands } from '../../protocol/commands/server.js';
import { ParleyError, toParleyError } from '../../protocol/errors.js';
import type { Context } from '../context.js';
import { MAX_WAITING_ANSWERS } from '../limits.js';
import { tellable } from '../tellable.js';
import { acknowledge } from './acknowledge.js';
import { advertise } from './advertise.js';
import { block } from './block.js';
import { broadcast } from './broadcast.js';
import { createGroup } from './createGroup.js';
import { endSession } from './endSession.js';
import { files } from './files.js';
import { history } from './history.js';
import { hold } from './hold.js';
import { introduce } from './introduce.js';
import { joinGroup } from './joinGroup.js';
import { leaveGroup } from './leaveGroup.js';
import { listGroups } from './listGroups.js';
import { listMembers } from './listMembers.js';
import { locate } from './locate.js';
import { manifest } from './manifest.js';
import { markRead } from './markRead.js';
import { message } from './message.js';
import { registerFile } from './registerFile.js';
import { release } from './release.js';
import { renew } from './renew.js';
import { report } from './report.js';
import { searchChunk } from './searchChunk.js';
import { searchFile } from './searchFile.js';
import { sendGroup } from './sendGroup.js';
import { unblock } from './unblock.js';
import { unregister } from './unregister.js';
import { userKey } from './userKey.js';
import { whoelse } from './whoelse.js';
import { whoelsesince } from './whoelsesince.js';
import { wholast } from './wholast.js';

/** `login` and `resume` make the context that the others have: see `client.ts`. */
type AfterLogin = Omit<Handlers<typeof serverCommands, Context>, 'login' | 'resume'>;

const handlers: AfterLogin = {
  acknowledge,
  advertise,
  block,
  broadcast,
  create_group: createGroup,
  join_group: joinGroup,
  leave_group: leaveGroup,
  list_groups: listGroups,
  list_members: listMembers,
  send_group: sendGroup,
  endSession,
  files,
  history,
  hold,
  introduce,
  locate,
  manifest,
  markRead,
  message,
  registerFile,
  release,
  renew,
  report,
  searchChunk,
  searchFile,
  unblock,
  unregister,
  userKey,
  whoelse,
  whoelsesince,
  wholast,
};

type AnyHandler = (params: unknown, context: Context, call: IncomingCall) => Promise<object> | object;

/** Lists that cost a millisecond or more to make when there is much. */
const LONG: ReadonlySet<unknown> = new Set([files, history, listGroups, locate, searchChunk]);
/** What keeps the order of the messages of its session, also when its answer is a list. */
const IN_ORDER: ReadonlySet<unknown> = new Set([broadcast, joinGroup, leaveGroup, sendGroup]);

/** Answers a command whose parameters were checked by its spec. */
export async function answer(
  spec: CommandSpec,
  params: unknown,
  context: Context,
  call: IncomingCall,
): Promise<object> {
  const { session, services } = context;
  const handle = handlers[spec.name as keyof AfterLogin] as AnyHandler;
  const work = async (): Promise<object> => {
    try {
      const result = await handle(params, context, call);
      services.tally.answers.add(spec.name, 'ok');
      return result;
    } catch (thrown) {
      services.tally.answers.add(spec.name, toParleyError(thrown).code);
      throw tellable(thrown, services.log, { command: spec.name, user: session.user.name });
    }
  };
  // Messages keep the order they came in; what is stored does not wait for the reader.
  if (IN_ORDER.has(handle)) return work();
  if (spec.bytes !== undefined) return oneAtATime(context, call, work);
  if (LONG.has(handle)) return oneAtATime(context, call, () => inTurnWithOthers(context, call, work));
  if (spec.pages !== undefined) return oneAtATime(context, call, work);
  return work();
}

/** Runs large answers one after the other, each when the one before has been sent (R18). @throws ParleyError SERVER_BUSY */
function oneAtATime({ session }: Context, call: IncomingCall, work: () => Promise<object>): Promise<object> {
  if (session.answering.size >= MAX_WAITING_ANSWERS) throw new ParleyError('SERVER_BUSY');
  return new Promise((resolve, reject) => {
    const turn = session.answering.run(async () => {
      await session.connection.drained(call.signal);
      resolve(await work());
      await isOver(call.signal);
    });
    turn.catch(reject);
  });
}

/** Makes one long list at a time for all sessions, and everything else that waits in between: they delay each other only. */
function inTurnWithOthers({ services }: Context, call: IncomingCall, work: () => Promise<object>): Promise<object> {
  return services.listing.run(async () => {
    await new Promise(setImmediate);
    call.signal.throwIfAborted();
    return work();
  });
}

/** The signal of a call also aborts when it has been answered. */
async function isOver(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
}
