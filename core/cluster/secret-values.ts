/**
 * Fields whose values nobody is told back, not even who sent them: what refuses them ends up in terminals, logs and tickets. An address may
 * have a password in it, or be a key as a whole (Slack's); an environment's values are for editors only.
 */
const secretNames = /^(?:env|url|code|verifier|nonce)$|secret|pass|token|credential|key/i;

/** Whether a dotted path leads into such a field. */
export function isSecret(path: string): boolean {
  return path.split('.').some((name) => secretNames.test(name));
}

/** What stands for text and numbers there. */
const hidden = '***';

/** A value as it may be told back; `secret`: it stands in such a field. What it is made of stays to be seen. */
export function tellable(value: unknown, secret: boolean): unknown {
  if (Array.isArray(value)) return value.map((one) => tellable(one, secret));
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(
      Object.entries(value).map(([name, one]) => [name, tellable(one, secret || secretNames.test(name))]),
    );
  return secret && (typeof value === 'string' || typeof value === 'number') ? hidden : value;
}
