/** A few kills of each kind (`npm run crash` does hundreds), and servers that are broken on purpose, which must be found out. */
import { expect } from 'chai';
import Database from 'libsql';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSqlite } from '../../src/server/storage/sqlite.js';
import { BROKEN_SERVER } from './broken.js';
import { Chance } from './chance.js';
import { killRecipients } from './recipientkills.js';
import { isClean, summary } from './report.js';
import type { Tally } from './report.js';
import { killSenders } from './senderkills.js';
import { killServers } from './serverkills.js';

describe('kill -9', function () {
  this.timeout(120_000);

  const expectClean = (tally: Tally): void => {
    expect(isClean(tally), [summary(tally), ...tally.examples].join('\n')).to.equal(true);
    expect(tally.acknowledged).to.be.above(0);
  };

  it('of the server loses, doubles and reorders nothing', async () => {
    expectClean(await killServers({ kills: 3, chance: new Chance(1), agents: false }));
  });

  it('of the sender’s agent neither, and trying again makes no second one', async () => {
    expectClean(await killSenders({ kills: 2, chance: new Chance(2) }));
  });

  it('of the recipient’s agent neither', async () => {
    expectClean(await killRecipients({ kills: 2, chance: new Chance(3) }));
  });

  it('of a server that answers before it stores is noticed', async () => {
    const tally = await killServers({ kills: 3, chance: new Chance(4), agents: false, main: [BROKEN_SERVER, 'hasty'] });
    expect(tally.lost, summary(tally)).to.be.above(0);
  });

  it('of a server that forgets what it has stored is noticed', async () => {
    const tally = await killServers({
      kills: 4,
      chance: new Chance(5),
      agents: false,
      main: [BROKEN_SERVER, 'doubling'],
    });
    expect(tally.doubled, summary(tally)).to.be.above(0);
  });
});

describe('the database of a server', () => {
  // kill -9 alone cannot tell: what was written and not synced is still in the system's memory. Losing power is another thing.
  it('is synced at every commit', async () => {
    const databases = await openedBy((dataDir) => openSqlite({ dataDir, role: 'server' }));
    const settings = databases.filter(({ journal }) => journal === 'wal');
    expect(settings).to.deep.equal([{ journal: 'wal', synchronous: 2 }]);
  });

  it('is found out when it is not', async () => {
    const [settings] = await openedBy((dataDir) => openCarelessly(join(dataDir, 'parley.db')));
    expect(settings).to.deep.equal({ journal: 'wal', synchronous: 0 });
  });
});

interface Closing {
  close(): unknown;
}

const prototype = Database.prototype as unknown as { pragma: (this: Database.Database, setting: string) => unknown };

/** The databases that were set up meanwhile; read before they are closed. */
async function openedBy(open: (dataDir: string) => Closing | Promise<Closing>): Promise<Settings[]> {
  const folder = mkdtempSync(join(tmpdir(), 'parley-settings-'));
  const { pragma } = prototype;
  const seen = new Set<Database.Database>();
  prototype.pragma = function (setting): unknown {
    seen.add(this);
    return pragma.call(this, setting);
  };
  try {
    const opened = await open(folder);
    const settings = [...seen].map((database) => ({
      journal: valueOf(database, 'journal_mode'),
      synchronous: valueOf(database, 'synchronous'),
    }));
    await opened.close();
    return settings;
  } finally {
    prototype.pragma = pragma;
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Settings {
  readonly journal: unknown;
  readonly synchronous: unknown;
}

function valueOf(database: Database.Database, name: string): unknown {
  const [row] = database.prepare(`PRAGMA ${name}`).all([]) as Record<string, unknown>[];
  return row?.[name];
}

function openCarelessly(path: string): Closing {
  const database = new Database(path);
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = OFF');
  return database;
}
