/** The contract of `GroupStore`, for every adapter of the storage port. */
import { expect } from 'chai';
import { randomBytes } from 'node:crypto';
import { parseGroupName, parseUserName } from '../../src/protocol/values.js';
import type { GroupName } from '../../src/protocol/values.js';
import { MAX_GROUPS_PER_USER } from '../../src/server/storage/port.js';
import type { GroupId, Storage, UserId } from '../../src/server/storage/port.js';
import { refusal } from '../support/refusal.js';

const name = (text: string): GroupName => parseGroupName(text);

export function groupsContract(open: () => Promise<Storage>): void {
  describe('groups', () => {
    let storage: Storage;
    let alice: UserId;
    let bob: UserId;
    let room: GroupId;
    let news: GroupId;
    beforeEach(async () => {
      storage = await open();
      [alice, bob] = [await user('alice'), await user('Bob')];
      [room, news] = [await group('Room', 'focus'), await group('news', 'open')];
    });
    afterEach(() => storage.close());

    const user = async (text: string): Promise<UserId> =>
      (await storage.createUser(parseUserName(text), 'hash', 1))?.id ?? 0;
    const group = async (text: string, mode: 'focus' | 'open', creatorId = alice): Promise<GroupId> =>
      (await storage.createGroup({ name: name(text), mode, creatorId, createdAt: 1 }))?.id ?? 0;
    const send = (to: string, kind: 'message' | 'group' = 'message'): Promise<unknown> =>
      storage.appendMessages([
        {
          messageId: randomBytes(16).toString('hex'),
          senderId: bob,
          senderName: parseUserName('Bob'),
          kind,
          to,
          text: 'x',
          sentAt: 1,
          recipients: [alice],
        },
      ]);

    it('have unique names, whatever their case, and are listed by them', async () => {
      expect(await storage.createGroup({ name: name('ROOM'), mode: 'open', creatorId: bob, createdAt: 2 })).to.equal(
        undefined,
      );
      expect(await storage.findGroup('rOOm')).to.deep.equal({ id: room, name: 'Room', mode: 'focus' });
      expect(await storage.findGroup('nowhere')).to.equal(undefined);
      await storage.joinGroup(news, bob, 2);
      expect(await storage.listGroups({ limit: 10 })).to.deep.equal([
        { name: 'news', mode: 'open', members: 1 },
        { name: 'Room', mode: 'focus', members: 0 },
      ]);
      expect((await storage.listGroups({ after: 'NEWS', limit: 10 })).map((each) => each.name)).to.deep.equal(['Room']);
    });

    it('of one maker are bounded', async () => {
      for (let made = 2; made < MAX_GROUPS_PER_USER; made++) await group(`g${made}`, 'open');
      const error = await refusal(group('more', 'open'));
      expect([error.code, error.details]).to.deep.equal(['TOO_MANY_GROUPS', { limit: MAX_GROUPS_PER_USER }]);
      expect(await group('more', 'open', bob)).to.be.greaterThan(0);
    });

    it('take a user into any number of open ones, and one focus group', async () => {
      const other = await group('other', 'focus');
      expect(await storage.joinGroup(room, alice, 2)).to.deep.equal({ kind: 'joined', heldFrom: 0, isAgain: false });
      expect(await storage.joinGroup(news, alice, 2)).to.include({ kind: 'joined' });
      expect(await storage.joinGroup(room, alice, 2)).to.deep.include({ kind: 'in' });
      expect(await storage.joinGroup(other, alice, 2)).to.deep.equal({
        kind: 'in',
        group: { id: room, name: 'Room', mode: 'focus' },
      });
      expect(await storage.joinGroup(999, alice, 2)).to.deep.equal({ kind: 'gone' });
      expect(await storage.joinGroup(news, 999, 2)).to.deep.equal({ kind: 'gone' });
      await storage.joinGroup(room, bob, 3);
      expect(await storage.groupMembers(room)).to.deep.equal([
        { id: alice, name: 'alice' },
        { id: bob, name: 'Bob' },
      ]);
      expect((await storage.groupsOf(alice)).map((each) => each.name)).to.deep.equal(['news', 'Room']);
      expect(await storage.leaveGroup(room, alice, 4)).to.equal(true);
      expect(await storage.leaveGroup(room, alice, 4)).to.equal(false);
      expect(await storage.joinGroup(other, alice, 5)).to.include({ kind: 'joined' });
    });

    it('hold from where the inbox was at joining, until it is ended', async () => {
      await send('alice');
      expect(await storage.joinGroup(room, alice, 2)).to.deep.include({ heldFrom: 1, isAgain: false });
      await send('alice');
      await send('Room', 'group');
      await send('alice');
      expect(await storage.focusOf(alice)).to.deep.equal({
        user: { id: alice, name: 'alice' },
        group: { id: room, name: 'Room', mode: 'focus' },
        heldFrom: 1,
      });
      expect(await storage.focusMembers()).to.have.lengthOf(1);
      expect(await storage.heldSummary(alice)).to.deep.equal({ count: 2, senders: ['Bob'], upTo: 4 });
      // Removed and back: it goes on from where it began.
      await storage.leaveGroup(room, alice, 3);
      expect(await storage.focusOf(alice)).to.equal(undefined);
      expect(await storage.joinGroup(room, alice, 4)).to.deep.include({ heldFrom: 1, isAgain: true });
      await storage.endHolding(alice);
      await storage.leaveGroup(room, alice, 5);
      expect(await storage.joinGroup(room, alice, 6)).to.deep.include({ heldFrom: 4, isAgain: false });
      // Left for good, in one commit.
      await send('alice');
      await storage.leaveGroup(room, alice, 7, 'ended');
      expect(await storage.joinGroup(room, alice, 8)).to.deep.include({ heldFrom: 5, isAgain: false });
    });

    it('lose members that are removed, and go when nobody uses them', async () => {
      await storage.joinGroup(room, alice, 10);
      await storage.joinGroup(news, bob, 10);
      await storage.removeUser(alice);
      expect(await storage.groupMembers(room)).to.deep.equal([]);
      expect(await storage.focusMembers()).to.deep.equal([]);
      expect(await storage.removeEmptyGroups(10)).to.equal(0);
      expect(await storage.removeEmptyGroups(11)).to.equal(1);
      expect(await storage.findGroup('room')).to.equal(undefined);
      expect(await storage.findGroup('news')).to.include({ id: news });
    });
  });
}
