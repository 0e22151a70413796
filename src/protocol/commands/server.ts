/** Commands answered by the server, in the order of help and reference. */
import { acknowledge } from './server/acknowledge.js';
import { advertise } from './server/advertise.js';
import { block } from './server/block.js';
import { broadcast } from './server/broadcast.js';
import { createGroup } from './server/createGroup.js';
import { joinGroup } from './server/joinGroup.js';
import { leaveGroup } from './server/leaveGroup.js';
import { listGroups } from './server/listGroups.js';
import { listMembers } from './server/listMembers.js';
import { sendGroup } from './server/sendGroup.js';
import { endSession } from './server/endSession.js';
import { files } from './server/files.js';
import { history } from './server/history.js';
import { hold } from './server/hold.js';
import { introduce } from './server/introduce.js';
import { locate } from './server/locate.js';
import { login } from './server/login.js';
import { manifest } from './server/manifest.js';
import { markRead } from './server/markRead.js';
import { message } from './server/message.js';
import { registerFile } from './server/registerFile.js';
import { release } from './server/release.js';
import { renew } from './server/renew.js';
import { report } from './server/report.js';
import { resume } from './server/resume.js';
import { searchChunk } from './server/searchChunk.js';
import { searchFile } from './server/searchFile.js';
import { unblock } from './server/unblock.js';
import { unregister } from './server/unregister.js';
import { userKey } from './server/userKey.js';
import { whoelse } from './server/whoelse.js';
import { whoelsesince } from './server/whoelsesince.js';
import { wholast } from './server/wholast.js';

export const serverCommands = {
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
  login,
  manifest,
  markRead,
  message,
  registerFile,
  release,
  renew,
  report,
  resume,
  searchChunk,
  searchFile,
  unblock,
  unregister,
  userKey,
  whoelse,
  whoelsesince,
  wholast,
} as const;
