/** Lines of a script from a stream: as they come, no faster than they are taken, and none without a bound. */
import { StringDecoder } from 'node:string_decoder';
import { ParleyError } from '../../protocol/errors.js';

/** Characters of a line: `download` with the numbers of all 65,536 chunks fits. */
export const MAX_LINE_CHARACTERS = 1024 * 1024;

/** Yields the lines, without their ends; one that is too long as the error that says so. Only `\n` and `\r\n` end a line. */
export async function* inputLines(input: AsyncIterable<Buffer>): AsyncGenerator<string | ParleyError> {
  const decoder = new StringDecoder('utf8');
  // Undefined once it is too long: what follows is not kept.
  let line: string | undefined = '';
  const add = (text: string): void => {
    if (line !== undefined) line = line.length + text.length > MAX_LINE_CHARACTERS ? undefined : line + text;
  };
  const take = (): string | ParleyError => {
    const whole = line === undefined ? lineTooLong() : line.replace(/\r$/, '');
    line = '';
    return whole;
  };
  for await (const piece of input) {
    const [rest = '', ...begun] = decoder.write(piece).split('\n');
    add(rest);
    for (const part of begun) {
      yield take();
      add(part);
    }
  }
  add(decoder.end());
  const last = take();
  if (last !== '') yield last;
}

const lineTooLong = (): ParleyError =>
  new ParleyError('USAGE', { reason: `a line has more than ${MAX_LINE_CHARACTERS} characters; make it shorter` });
