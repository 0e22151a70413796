/** The commands of the model: what each does to the world, and that the server says the same. */
import { expect } from 'chai';
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { serverCommands } from '../../src/protocol/commands/server.js';
import { outcomeOf } from './scene.js';
import type { Scene } from './scene.js';
import type { Outcome, Person, World } from './world.js';

/** Users of a sequence. */
export const USERS = 4;
const GROUPS = ['Room', 'den', 'News'];

type Command = fc.AsyncCommand<World, Scene>;

/** Does one thing in the world and at the server. */
type Act = (world: World, scene: Scene, me: Person) => Promise<void>;

class Step implements Command {
  readonly #said: string;
  readonly #user: number;
  readonly #states: readonly Person['state'][];
  readonly #act: Act;

  constructor(said: string, user: number, states: readonly Person['state'][], act: Act) {
    this.#said = said;
    this.#user = user;
    this.#states = states;
    this.#act = act;
  }

  check(world: Readonly<World>): boolean {
    return this.#states.includes(this.#me(world).state);
  }

  async run(world: World, scene: Scene): Promise<void> {
    await this.#act(world, scene, this.#me(world));
    const difference = await scene.settled(world.people);
    if (difference !== undefined) throw new Error(`after ${this.toString()}: ${difference}`);
  }

  toString(): string {
    return `${this.#user}.${this.#said}`;
  }

  #me(world: Readonly<World>): Person {
    return world.people[this.#user] ?? expect.fail('there is no such user');
  }
}

/** The server's answer is the model's, as far as the model knows it. */
function agree(wanted: Outcome, found: Outcome, what: string): void {
  if ('refused' in wanted || 'refused' in found) expect(found, what).to.deep.equal(wanted);
  else expect(found.result, what).to.deep.include(wanted.result);
}

/** How a message is numbered. `old` and `gap` have to be refused, and change nothing. */
type Numbering = 'none' | 'next' | 'old' | 'gap';

/** Sends with a number, and counts as the server has to. */
async function send(
  me: Person,
  numbering: Numbering,
  call: (envelope: { id: string; number?: number }) => Promise<object>,
  act: () => Outcome,
): Promise<string | undefined> {
  const id = randomBytes(16).toString('hex');
  if (numbering === 'none') {
    agree(act(), withoutId(await outcomeOf(call({ id }))), 'answer');
    return id;
  }
  if (numbering === 'next') {
    // A refusal uses the number up, too.
    const number = me.nextNumber++;
    agree(act(), withoutId(await outcomeOf(call({ id, number }))), 'answer');
    return id;
  }
  const number = numbering === 'old' ? me.nextNumber - 1 : me.nextNumber + 1;
  if (number < 1) return undefined;
  const found = await outcomeOf(call({ id, number }));
  expect(found, `a message with ${numbering} number`).to.have.property('refused');
  return undefined;
}

function withoutId(outcome: Outcome): Outcome {
  if ('refused' in outcome) return outcome;
  return { result: Object.fromEntries(Object.entries(outcome.result).filter(([field]) => field !== 'id')) };
}

/** Messages as the model has them. */
function asEntries(outcome: Outcome, field: string): Outcome {
  if ('refused' in outcome) return outcome;
  const messages = outcome.result[field] as Record<string, unknown>[];
  const entries = messages.map(({ kind, from, to, text, unread }) => ({ kind, from, to, text, unread }));
  return { result: { ...outcome.result, [field]: entries } };
}

const user = fc.nat(USERS - 1);
/** One of the users, or now and then somebody there is not; in any case of letters. */
const target = fc.tuple(
  fc.nat(3 * USERS).map((n) => (n === 3 * USERS ? USERS : n % USERS)),
  fc.boolean(),
);
const targetName = (scene: Scene, [at, isLower]: readonly [number, boolean]): string => {
  const name = scene.names[at] ?? 'nobody';
  return isLower ? name.toLowerCase() : name;
};
const text = fc.oneof(
  { weight: 6, arbitrary: fc.nat(999).map((n) => `text ${n}`) },
  { weight: 1, arbitrary: fc.constantFrom(' ', 'a "quote" \\ and é', '\u0000') },
);
const numbering = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('none' as const, 'next' as const) },
  { weight: 1, arbitrary: fc.constantFrom('old' as const, 'gap' as const) },
);
const group = fc.constantFrom(...GROUPS);
const maybeGroup = fc.option(group, { nil: undefined, freq: 1 });

const online: readonly Person['state'][] = ['in'];
const step = (said: string, who: number, act: Act, states = online): Command => new Step(said, who, states, act);

async function login(world: World, scene: Scene, me: Person): Promise<void> {
  agree(world.login(me), await scene.enter(me.name, 'login'), 'start');
}

const sessions = {
  login: user.map((who) => step('login', who, login, ['out', 'cut'])),
  loginTwice: user.map((who) => step('login twice', who, login)),
  resume: user.map((who) =>
    step(
      'resume',
      who,
      async (world, scene, me) => {
        const wanted = world.resume(me);
        const found = await scene.enter(me.name, 'resume');
        expect(found, 'start').to.deep.equal(wanted);
      },
      ['cut'],
    ),
  ),
  logout: user.map((who) =>
    step('logout', who, async (world, scene, me) => {
      world.logout(me);
      await scene.logout(me.name);
    }),
  ),
  cut: user.map((who) =>
    step('cut', who, async (world, scene, me) => {
      world.cut(me);
      await scene.cut(me.name);
    }),
  ),
  restart: fc.constant(
    step(
      'restart',
      0,
      async (world, scene) => {
        world.restart();
        await scene.restart();
      },
      ['in', 'out', 'cut'],
    ),
  ),
  wait: fc.constantFrom(1_000, 2_500, 31_000).map((ms) =>
    step(
      `wait ${ms}`,
      0,
      async (world, scene) => {
        world.wait(ms);
        await scene.wait(ms);
        for (const { name, held } of world.people) {
          if (held === undefined || held.count === 0) continue;
          const count = held.count === 1 ? '1 message' : `${held.count} messages`;
          const said = scene.heldNotice(name);
          if (said !== undefined) expect(said, `told ${name}`).to.equal(`${count} held: ${held.senders.join(', ')}`);
        }
      },
      ['in', 'out', 'cut'],
    ),
  ),
  whoelse: user.map((who) =>
    step('whoelse', who, async (world, scene, me) =>
      agree(world.whoelse(me), await outcomeOf(scene.guest(me.name).call(serverCommands.whoelse, {})), 'answer'),
    ),
  ),
  acknowledge: user.map((who) =>
    step('acknowledge', who, async (world, scene, me) => {
      const position = me.pushed.at(-1) ?? 0;
      world.acknowledge(me);
      await scene.guest(me.name).call(serverCommands.acknowledge, { position });
    }),
  ),
};

const messages = {
  message: fc.tuple(user, target, text, numbering).map(([who, to, words, number]) =>
    step(`message ${to.join(' ')} ${JSON.stringify(words)} ${number}`, who, async (world, scene, me) => {
      const name = targetName(scene, to);
      const { message } = serverCommands;
      const act = (): Outcome => {
        const wanted = world.message(me, name, words);
        const other = world.find(name);
        if ('result' in wanted && other !== undefined) stored = other;
        return wanted;
      };
      let stored: Person | undefined;
      const id = await send(
        me,
        number,
        (envelope) => scene.guest(me.name).call(message, { ...envelope, user: name, text: words }),
        act,
      );
      if (id !== undefined && stored !== undefined) me.sent.push({ id, to: stored, text: words });
    }),
  ),
  again: fc.tuple(user, fc.nat(9), fc.boolean()).map(([who, which, isNumbered]) =>
    step(`again ${which} ${isNumbered}`, who, async (world, scene, me) => {
      const sent = me.sent[which % Math.max(1, me.sent.length)];
      if (sent === undefined) return;
      const { id, to, text: words } = sent;
      const number = isNumbered ? { number: me.nextNumber++ } : {};
      const call = scene.guest(me.name).call(serverCommands.message, { id, ...number, user: to.name, text: words });
      agree(world.again(me, sent, isNumbered), withoutId(await outcomeOf(call)), 'answer');
    }),
  ),
  broadcast: fc.tuple(user, text, numbering).map(([who, words, number]) =>
    step(`broadcast ${JSON.stringify(words)} ${number}`, who, async (world, scene, me) => {
      const { broadcast } = serverCommands;
      await send(
        me,
        number,
        (envelope) => scene.guest(me.name).call(broadcast, { ...envelope, text: words }),
        () => world.broadcast(me, words),
      );
    }),
  ),
  broadcastTo: fc.tuple(user, fc.array(target, { minLength: 1, maxLength: 4 }), text, numbering).map((given) => {
    const [who, to, words, number] = given;
    return step(`broadcast to ${to.join(' ')} ${JSON.stringify(words)} ${number}`, who, async (world, scene, me) => {
      const names = to.map((each) => targetName(scene, each));
      const { broadcast } = serverCommands;
      await send(
        me,
        number,
        (envelope) => scene.guest(me.name).call(broadcast, { ...envelope, to: names, text: words }),
        () => world.broadcastTo(me, names, words),
      );
    });
  }),
  block: fc.tuple(user, target).map(([who, whom]) =>
    step(`block ${whom.join(' ')}`, who, async (world, scene, me) => {
      const name = targetName(scene, whom);
      const found = await outcomeOf(scene.guest(me.name).call(serverCommands.block, { user: name }));
      agree(world.block(me, name), found, 'answer');
    }),
  ),
  unblock: fc.tuple(user, target).map(([who, whom]) =>
    step(`unblock ${whom.join(' ')}`, who, async (world, scene, me) => {
      const name = targetName(scene, whom);
      const found = await outcomeOf(scene.guest(me.name).call(serverCommands.unblock, { user: name }));
      agree(world.unblock(me, name), found, 'answer');
    }),
  ),
  inbox: fc
    .tuple(user, fc.boolean(), fc.option(target, { nil: undefined }), fc.integer({ min: 1, max: 6 }))
    .map(([who, unread, from, limit]) =>
      step(`inbox ${unread} ${from?.join(' ') ?? 'all'} ${limit}`, who, async (world, scene, me) => {
        const question = { unread, ...(from === undefined ? {} : { with: targetName(scene, from) }), limit };
        const found = await outcomeOf(scene.guest(me.name).call(serverCommands.history, question));
        agree(world.history(me, question), asEntries(found, 'messages'), 'answer');
      }),
    ),
  markRead: fc.tuple(user, fc.array(fc.nat(20), { maxLength: 3 })).map(([who, some]) =>
    step(`markRead ${some.join(' ')}`, who, async (world, scene, me) => {
      const guest = scene.guest(me.name);
      const all = (await guest.call(serverCommands.history, { limit: 100 })).messages;
      const positions = some.filter((each) => each < all.length).map((each) => each + 1);
      const ids = positions.map((position) => all[position - 1]?.id ?? '');
      agree(world.markRead(me, positions), await outcomeOf(guest.call(serverCommands.markRead, { ids })), 'answer');
    }),
  ),
};

async function create(world: World, scene: Scene, me: Person, given: string, open: boolean): Promise<void> {
  const name = scene.group(given);
  const found = await outcomeOf(scene.guest(me.name).call(serverCommands.create_group, { group: name, open }));
  agree(world.createGroup(name, open ? 'open' : 'focus'), found, 'answer');
}

async function join(world: World, scene: Scene, me: Person, given: string): Promise<void> {
  const name = scene.group(given);
  const call = scene.guest(me.name).call(serverCommands.join_group, { group: name.toUpperCase() });
  const found = await outcomeOf(call);
  const wanted = world.join(me, name);
  // An unknown group is named as it was asked for.
  const isUnknown = 'refused' in wanted && wanted.refused === 'NO_SUCH_GROUP';
  agree(isUnknown ? { ...wanted, group: name.toUpperCase() } : wanted, found, 'answer');
}

const groups = {
  createGroup: fc
    .tuple(user, group, fc.boolean())
    .map(([who, given, open]) =>
      step(`create ${given} ${open}`, who, (world, scene, me) => create(world, scene, me, given, open)),
    ),
  listGroups: user.map((who) =>
    step('groups', who, async (world, scene, me) => {
      const found = await scene.guest(me.name).call(serverCommands.list_groups, {});
      const ours = found.groups.filter(({ group: name }) => scene.isOurs(name));
      agree(world.listGroups(), { result: { groups: ours } }, 'answer');
    }),
  ),
  join: fc
    .tuple(user, group)
    .map(([who, given]) => step(`join ${given}`, who, (world, scene, me) => join(world, scene, me, given))),
  leave: fc.tuple(user, maybeGroup).map(([who, given]) =>
    step(`leave ${given ?? ''}`, who, async (world, scene, me) => {
      const name = given === undefined ? undefined : scene.group(given);
      const found = await outcomeOf(scene.guest(me.name).call(serverCommands.leave_group, { group: name }));
      agree(world.leave(me, name), asEntries(found, 'held'), 'answer');
    }),
  ),
  members: fc.tuple(user, maybeGroup).map(([who, given]) =>
    step(`members ${given ?? ''}`, who, async (world, scene, me) => {
      const name = given === undefined ? undefined : scene.group(given);
      const found = await outcomeOf(scene.guest(me.name).call(serverCommands.list_members, { group: name }));
      agree(world.members(me, name), found, 'answer');
    }),
  ),
  sendGroup: fc.tuple(user, maybeGroup, text, numbering).map(([who, given, words, number]) =>
    step(`send ${given ?? ''} ${JSON.stringify(words)} ${number}`, who, async (world, scene, me) => {
      const name = given === undefined ? undefined : scene.group(given);
      const { send_group: sendGroup } = serverCommands;
      await send(
        me,
        number,
        (envelope) => scene.guest(me.name).call(sendGroup, { ...envelope, group: name, text: words }),
        () => world.sendGroup(me, name, words),
      );
    }),
  ),
};

/** Each as often as it leads somewhere. */
const WEIGHTED: readonly (readonly [number, fc.Arbitrary<Command>])[] = [
  [4, sessions.login],
  [1, sessions.loginTwice],
  [4, sessions.resume],
  [1, sessions.logout],
  [3, sessions.cut],
  [1, sessions.restart],
  [2, sessions.wait],
  [1, sessions.whoelse],
  [2, sessions.acknowledge],
  [6, messages.message],
  [2, messages.again],
  [2, messages.broadcast],
  [2, messages.broadcastTo],
  [4, messages.block],
  [1, messages.unblock],
  [3, messages.inbox],
  [2, messages.markRead],
  [2, groups.createGroup],
  [1, groups.listGroups],
  [8, groups.join],
  [3, groups.leave],
  [2, groups.members],
  [6, groups.sendGroup],
];

/** Which groups each user is in when a sequence begins. */
export type Beginning = readonly (readonly string[])[];

export const beginning: fc.Arbitrary<Beginning> = fc.array(
  fc.constantFrom([], ['Room'], ['Room'], ['News'], ['News', 'Room']),
  { minLength: USERS, maxLength: USERS },
);

/** Everybody logs in, there is a focus group and an open one, and some are in them. */
export async function begin(world: World, scene: Scene, groupsOf: Beginning): Promise<void> {
  for (const person of world.people) await login(world, scene, person);
  const [someone = expect.fail('there are no users')] = world.people;
  await create(world, scene, someone, 'Room', false);
  await create(world, scene, someone, 'News', true);
  for (const [i, person] of world.people.entries()) {
    for (const name of groupsOf[i] ?? []) await join(world, scene, person, name);
  }
}

/** Sequences of at most so many commands. */
export function sequences(maxCommands: number): fc.Arbitrary<Iterable<Command>> {
  const commands = WEIGHTED.flatMap(([weight, arbitrary]) => Array.from({ length: weight }, () => arbitrary));
  return fc.commands(commands, { maxCommands, size: 'max' });
}
