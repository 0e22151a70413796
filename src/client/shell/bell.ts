/** What is to be heard or seen elsewhere when a message comes for this user alone. */
import type { FaceEvent } from '../../protocol/events.js';
import { printable } from '../../protocol/values.js';

const BELL = '\u0007';

/** Control sequences that move no cursor: the bell, and a desktop notification (OSC 9), which says from whom but not what. */
export function soundsOf(event: FaceEvent, wanted: { readonly bell: boolean; readonly notify: boolean }): string[] {
  if (event.type !== 'message' && event.type !== 'private') return [];
  const how = event.type === 'private' ? 'private message' : 'message';
  const sounds: string[] = [];
  if (wanted.bell) sounds.push(BELL);
  if (wanted.notify) sounds.push(`\u001b]9;Parley: ${how} from ${printable(event.from)}${BELL}`);
  return sounds;
}
