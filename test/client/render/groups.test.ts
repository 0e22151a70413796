import { expect } from 'chai';
import { findCommand } from '../../../src/client/catalog.js';
import { renderResult } from '../../../src/client/render.js';
import { makeStyle } from '../../../src/client/style.js';
import { timeText } from '../../../src/client/units.js';

const render = (command: string, result: object, columns?: number): string => {
  const spec = findCommand(command);
  if (spec === undefined) throw new Error(`no command ${command}`);
  return renderResult(spec, result, makeStyle(false, columns));
};
const at = '2030-01-01T12:00:00.000Z';
const held = (n: number, more: object): object => ({
  id: String(n).repeat(32),
  kind: 'message',
  from: 'bob',
  to: 'alice',
  text: `held ${n}`,
  sentAt: at,
  unread: true,
  ...more,
});

describe('client/render/groups', () => {
  it('says what became of each group command', () => {
    expect(render('create_group', { group: 'skii', mode: 'focus' })).to.equal(
      'made the focus group skii; join_group skii enters it',
    );
    expect(render('join_group', { group: 'skii', members: ['alice', 'bob'] })).to.equal('in group skii: alice, bob');
    expect(render('list_members', { group: 'skii', members: ['alice', 'bob'] })).to.equal('alice\nbob');
    expect(render('send_group', { id: 'a'.repeat(32), recipients: ['bob', 'carol'] })).to.equal(
      'sent to 2 members: bob, carol',
    );
    expect(render('send_group', { id: 'a'.repeat(32), recipients: [] })).to.equal('nobody got it');
    expect(render('list_groups', { groups: [] })).to.equal('there are no groups; create_group makes one');
  });

  it('lists groups in columns, and one below the other where there is no room', () => {
    const groups = [{ group: 'skii', mode: 'focus', members: 12 }];
    expect(render('list_groups', { groups })).to.equal('group  mode   members\nskii   focus       12');
    expect(render('list_groups', { groups }, 20)).to.equal('skii\n  mode: focus\n  members: 12');
  });

  it('shows on leaving what was held, like what comes', () => {
    expect(render('leave_group', { group: 'skii', held: [] })).to.equal('left group skii');
    const time = timeText(at);
    expect(
      render('leave_group', { group: 'skii', held: [held(1, {}), held(2, { kind: 'private', from: 'carol' })] }),
    ).to.equal(`left group skii; 2 messages came meanwhile:\n[${time}] bob: held 1\n[${time}] carol privately: held 2`);
    expect(render('leave_group', { group: 'skii', held: [held(1, {})] }, 80)).to.contain(
      `[${time}]              bob: held 1`,
    );
  });
});
