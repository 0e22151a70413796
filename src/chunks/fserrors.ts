/** What the file system refuses, as ParleyErrors whose reason says what to do about it. */
import { dirname } from 'node:path';
import { ParleyError } from '../protocol/errors.js';

const NO_FOLDER = 'there is no such folder';
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or folder',
  ENOTDIR: 'a part of the path is no folder',
  EISDIR: 'it is a folder',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'the file is larger than allowed here',
  ENAMETOOLONG: 'the name is too long',
  ELOOP: 'it is a symbolic link, or too many of them',
  EMFILE: 'too many files are open',
  ENFILE: 'too many files are open',
  EIO: 'the disk reports an error',
};

/** The system's error code (`ENOENT`) of what was thrown; undefined when it is none of the system's errors. */
export function errnoOf(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !('code' in thrown) || !('errno' in thrown)) return undefined;
  return typeof thrown.code === 'string' ? thrown.code : undefined;
}

/** An error loses its code on the way between threads: it travels as what it is made of. */
export interface PackedError {
  readonly message: string;
  readonly code: string | undefined;
}

export function packError(thrown: unknown): PackedError {
  const { message, code } = thrown as NodeJS.ErrnoException;
  return { message, code };
}

export function unpackError({ message, code }: PackedError): Error {
  const error = new Error(message);
  // By these a refusal of the file system is known.
  return code === undefined ? error : Object.assign(error, { code, errno: 0 });
}

/** A failed read as FILE_MISSING with a reason; anything that is not the system's refusal as it came. */
export function unreadable(path: string, thrown: unknown): unknown {
  return refusal('FILE_MISSING', path, thrown);
}

/** A failed write as DISK_FULL with a reason; a folder that is missing is named. Anything that is not the system's refusal as it came. */
export function unwritable(path: string, thrown: unknown): unknown {
  if (errnoOf(thrown) === 'ENOENT') {
    const refused = (thrown as NodeJS.ErrnoException).path ?? path;
    return new ParleyError('DISK_FULL', { path: dirname(refused), reason: NO_FOLDER }, { cause: thrown });
  }
  return refusal('DISK_FULL', path, thrown);
}

function refusal(code: 'FILE_MISSING' | 'DISK_FULL', path: string, thrown: unknown): unknown {
  const errno = errnoOf(thrown);
  if (errno === undefined) return thrown;
  return new ParleyError(code, { path, reason: REASONS[errno] ?? errno }, { cause: thrown });
}
