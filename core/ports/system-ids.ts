import { randomBytes, randomInt } from 'node:crypto';
import type { Ids } from './ids.ts';

/** 32 of them: a byte modulo 32 is fair. Without i, l, o and u: people read ids aloud. */
const letters = '0123456789abcdefghjkmnpqrstvwxyz';

/** Ids by the kernel's randomness: 80 bits in 16 characters. */
export function systemIds(): Ids {
  return {
    id: () => Array.from(randomBytes(16), (byte) => letters[byte % letters.length]).join(''),
    secret: () => randomBytes(32).toString('base64url'),
    chance: () => randomInt(2 ** 47) / 2 ** 47,
  };
}
