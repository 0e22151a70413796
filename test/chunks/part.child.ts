/** Run by part.test.js as a process of its own: `part.child.js TARGET kill|kill-large|fill`. */
import { execFileSync } from 'node:child_process';
import { openPart } from '../../src/chunks/part.js';
import { toParleyError } from '../../src/protocol/errors.js';
import { bytesOf, fetchInto, largeSample, MIB, sampleOf } from './support.js';
import type { Sample } from './support.js';

const [target = '', what] = process.argv.slice(2);
const sample = sampleOf(bytesOf(5 * MIB + 11), 2);
const { manifest } = sample;

/** Has some blocks claimed, some only written, and is gone. */
async function beKilled(file: Sample, claimed: number[], written: number[]): Promise<void> {
  const part = await openPart({ target, manifest: file.manifest });
  await fetchInto(part, file, claimed);
  await part.flush();
  await fetchInto(part, file, written);
  process.kill(process.pid, 'SIGKILL');
}

/** Writes until no more is allowed, then reads, closes and resumes; then with more allowed, finishes. */
async function fill(): Promise<void> {
  const part = await openPart({ target, manifest });
  const written: number[] = [];
  const errors: { code: string; reason: unknown }[] = [];
  const writeAll = async (): Promise<void> => {
    for (const block of part.missing()) {
      await fetchInto(part, sample, [block]).then(
        () => void written.push(block),
        (thrown: unknown) => {
          const error = toParleyError(thrown);
          errors.push({ code: error.code, reason: error.details['reason'] });
        },
      );
    }
  };
  await writeAll();
  const atLimit = [...written];
  const readable = (await part.read(0, Buffer.alloc(MIB))) === MIB;
  // The same process may write more from now on: no restart is needed.
  execFileSync('prlimit', ['--pid', String(process.pid), '--fsize=unlimited']);
  await writeAll();
  await part.finish();
  await part.close();
  const refused = errors.map(({ code }) => code);
  console.log(
    JSON.stringify({ written: atLimit, refused, reason: errors[0]?.reason, readable, complete: written.length }),
  );
}

if (what === 'kill') await beKilled(sample, [0, 3], [2, 1]);
else if (what === 'kill-large') await beKilled(largeSample(), [60, 3], [50, 20]);
else await fill();
