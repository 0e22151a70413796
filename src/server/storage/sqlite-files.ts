/** Registered files in SQLite. */
import { ParleyError } from '../../protocol/errors.js';
import { MAX_CHUNKS_PER_USER, MAX_FILES_PER_USER } from './port.js';
import type { FileId, FileRecord, FileStore, NewFile } from './port.js';
import type { SqliteConnection } from './sqlite-connection.js';

const SELECT = `SELECT f.id, f.name, f.owner_id AS ownerId, u.name AS ownerName, f.size_bytes AS sizeBytes, f.chunks, f.root, f.index_bytes AS indexBytes,
    f.registered_at AS registeredAt
  FROM files f JOIN users u ON u.id = f.owner_id`;

type Row = Omit<FileRecord, 'indexBytes'> & { readonly indexBytes: number | null };

function toRecord({ indexBytes, ...file }: Row): FileRecord {
  return indexBytes === null ? file : { ...file, indexBytes };
}

export function fileStore(db: SqliteConnection): FileStore {
  const owner = db.statement('SELECT 1 FROM users WHERE id = ?');
  const usage = db.statement<{ files: number; chunks: number }>(
    'SELECT count(*) AS files, coalesce(sum(chunks), 0) AS chunks FROM files WHERE owner_id = ?',
  );
  const insert = db.statement(
    'INSERT INTO files (name, owner_id, size_bytes, chunks, root, index_bytes, registered_at) VALUES (?, ?, ?, ?, ?, ?, ?)',
  );
  const insertDigests = db.statement('INSERT INTO file_digests (file_id, chunk_digests) VALUES (?, ?)');
  const byId = db.statement<Row>(`${SELECT} WHERE f.id = ?`);
  const byName = db.statement<Row>(`${SELECT} WHERE f.name = ?`);
  const digests = db.statement<{ bytes: Buffer }>('SELECT chunk_digests AS bytes FROM file_digests WHERE file_id = ?');
  const remove = db.statement('DELETE FROM files WHERE id = ?');
  const page = db.statement<Row>(`${SELECT} WHERE f.name > ? ORDER BY f.name LIMIT ?`);

  const found = (row: Row | undefined): FileRecord | undefined => row && toRecord(row);
  const register = (file: NewFile): FileRecord | undefined => {
    if (byName.get(file.name) !== undefined) return undefined;
    if (owner.get(file.ownerId) === undefined) throw new ParleyError('UNKNOWN_USER');
    const used = usage.get(file.ownerId) ?? { files: 0, chunks: 0 };
    if (used.files >= MAX_FILES_PER_USER) {
      throw new ParleyError('TOO_MANY_FILES', { limit: MAX_FILES_PER_USER, what: 'files' });
    }
    if (used.chunks + file.chunks > MAX_CHUNKS_PER_USER) {
      throw new ParleyError('TOO_MANY_FILES', { limit: MAX_CHUNKS_PER_USER, what: 'chunks' });
    }
    const { name, ownerId, sizeBytes, chunks, root, indexBytes, registeredAt } = file;
    const id: FileId | undefined = insert.insert(
      name,
      ownerId,
      sizeBytes,
      chunks,
      root,
      indexBytes ?? null,
      registeredAt,
    );
    if (id === undefined) return undefined;
    insertDigests.run(id, file.chunkDigests);
    return found(byId.get(id));
  };

  return {
    registerFile: (file) => db.write(() => register(file)),
    findFile: (name) => db.read(() => found(byName.get(name))),
    chunkDigests: (id) => db.read(() => digests.get(id)?.bytes),
    unregisterFile: (id) => db.write(() => remove.run(id) > 0),
    listFiles: ({ after, limit }) => db.read(() => page.all(after ?? '', limit).map(toRecord)),
  };
}
