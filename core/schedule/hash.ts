/**
 * A stable choice for `H` and `a~b`: the same seed and field give the same number on every machine and in every
 * version (FNV-1a over UTF-16 code units, then murmur3's finalizer, whose low bits are even enough for a modulus).
 */
export function spread(seed: string, field: string, count: number): number {
  let hash = 0x811c9dc5;
  const text = `${seed}\n${field}`;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) % count;
}
