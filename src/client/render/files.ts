/** Files, chunks, and what is moving. */
import type { TransferState } from '../../protocol/events.js';
import { printable } from '../../protocol/values.js';
import type { Renderers } from './renderers.js';
import { table } from '../style.js';
import { countText, durationText, rangesText, rateText, sizeText } from '../units.js';

/** Lines about what of a folder is not shared. */
const MAX_SKIPPED_LINES = 20;

const percent = (part: number, whole: number): string =>
  whole === 0 ? '100%' : `${Math.floor((100 * part) / whole)}%`;

/** A folder by what is in it: `12 files in 3 folders`. */
function folderText({ files, folders }: { files: number; folders: number }): string {
  const below = folders === 0 ? '' : ` and ${countText(folders, 'folder')}`;
  return `a folder of ${countText(files, 'file')}${below}`;
}

/** What of a folder is not shared, a line each. */
function skippedLines(skipped: readonly { path: string; kind: string }[]): string[] {
  const lines = skipped
    .slice(0, MAX_SKIPPED_LINES)
    .map(({ path, kind }) => `not shared: ${printable(path)} (${printable(kind)})`);
  const more = skipped.length - lines.length;
  return more > 0 ? [...lines, `not shared: ${more} more; --json names them all`] : lines;
}

/** One line about one transfer. */
export function transferLine(transfer: TransferState): string {
  const { file, direction, state, bytes, sizeBytes, rate, secondsLeft, sources, code } = transfer;
  const users = sources.map(({ user }) => printable(user)).join(', ');
  const peers = users === '' ? '' : ` ${direction === 'download' ? 'from' : 'to'} ${users}`;
  const amount =
    direction === 'download' ? `${percent(bytes, sizeBytes)} of ${sizeText(sizeBytes)}` : `${sizeText(bytes)} sent`;
  const left = secondsLeft === undefined ? '' : `, ${durationText(secondsLeft)} left`;
  const pace = state === 'running' ? `, ${rateText(rate)}${left}` : '';
  const why = code === undefined ? '' : ` (${printable(code)})`;
  return `${direction} ${printable(file)}${peers}: ${state}${why}, ${amount}${pace}`;
}

export const fileRenderers = {
  register: ({ file, sizeBytes, chunks, root, folder, skipped = [] }, style) =>
    [
      `registered ${style.strong(printable(file))}: ${folder === undefined ? '' : `${folderText(folder)}, `}${sizeText(sizeBytes)} in ${countText(chunks, 'chunk')}`,
      ...skippedLines(skipped),
      style.faint(`root ${printable(root)}`),
    ].join('\n'),
  unregister: ({ file }, style) => `${style.strong(printable(file))} is registered no more`,
  seed: ({ file, chunks }, style) =>
    `offering ${style.strong(printable(file))}: ${countText(chunks.length, 'chunk')} of it`,
  files: ({ files }, style) => {
    if (files.length === 0) return style.faint('no such file is registered');
    const rows = files.map(({ file, sizeBytes, chunks, folder, owner, holders }) => [
      folder === true ? `${printable(file)}/` : printable(file),
      sizeText(sizeBytes),
      String(chunks),
      printable(owner),
      String(holders),
    ]);
    const columns = [
      { title: 'file', style: style.strong },
      { title: 'size', right: true },
      { title: 'chunks', right: true },
      { title: 'owner', style: style.name },
      { title: 'holders', right: true },
    ];
    return table(columns, rows, style);
  },
  searchFile: ({ file, available, sizeBytes, chunks, folder, owner, root, holders }, style) =>
    [
      `${style.strong(printable(file))}${folder === true ? ' (a folder)' : ''}: ${available ? style.good('all of it is held by users online') : style.bad('not all of it is held by users online')}`,
      `size     ${sizeText(sizeBytes)} (${countText(sizeBytes, 'byte')})`,
      `chunks   ${chunks}`,
      `owner    ${style.name(printable(owner))}`,
      `holders  ${holders.length === 0 ? 'nobody online' : holders.map((user) => style.name(printable(user))).join(', ')}`,
      `root     ${printable(root)}`,
    ].join('\n'),
  searchChunk: ({ chunks }, style) => {
    const rows = chunks.map(({ index, available, holders }) => [
      String(index),
      available ? 'yes' : 'no',
      holders.map((user) => printable(user)).join(', '),
    ]);
    const columns = [{ title: 'chunk', right: true }, { title: 'available' }, { title: 'holders', style: style.name }];
    return table(columns, rows, style);
  },
  download: (result, style) => {
    const { file, path, sizeBytes, chunks, held, complete, sources, alreadyThere, folder, setAside } = result;
    const name = style.strong(printable(file));
    if (alreadyThere === true) return `${name} was there already, with the registered bytes: ${printable(path)}`;
    const from = sources.map(({ user, bytes }) => `${style.name(printable(user))} ${sizeText(bytes)}`).join(', ');
    const fetched = `fetched ${countText(chunks.length, 'chunk')}${from === '' ? '' : ` (${from})`}`;
    const state = complete
      ? `${name}: ${style.good('complete')}, ${folder === undefined ? '' : `${folderText(folder)}, `}${sizeText(sizeBytes)}, every byte checked`
      : `${name}: chunks here: ${rangesText(held)}; download it again for the rest`;
    const aside = setAside === undefined ? '' : `\nwhat was there before is now ${printable(setAside)}`;
    return `${state}\n${fetched}\n${printable(path)}${aside}`;
  },
  why: ({ file, state, bytes, sizeBytes, reasons }, style) => {
    const amount = sizeBytes === 0 ? '' : `, ${percent(bytes, sizeBytes)} of ${sizeText(sizeBytes)}`;
    const lines = reasons.map(({ code, text, address }) => {
      const where = address === undefined ? '' : ` (${printable(address)})`;
      return `  ${style.strong(printable(code))}  ${printable(text)}${where}`;
    });
    return [`${style.strong(printable(file))}: ${state === 'none' ? 'not downloaded' : state}${amount}`, ...lines].join(
      '\n',
    );
  },
  transfers: ({ transfers }, style) =>
    transfers.length === 0 ? style.faint('nothing is moving') : transfers.map(transferLine).join('\n'),
} satisfies Renderers;
