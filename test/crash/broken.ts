/** Where the server that is broken on purpose is. */
import { fileURLToPath } from 'node:url';

export const BROKEN_SERVER = fileURLToPath(new URL('./brokenserver.js', import.meta.url));
