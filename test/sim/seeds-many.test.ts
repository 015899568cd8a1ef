import { describe, it } from 'node:test';
import { effort } from '../effort.ts';
import { sweep } from './sweep.ts';

describe('a simulated fleet keeps every promise', () => {
  for (const { workers, seeds } of [
    { workers: 5, seeds: effort(5, 100) },
    { workers: 6, seeds: effort(3, 75) },
    { workers: 7, seeds: effort(4, 75) },
  ])
    it(`over ${seeds} seeds with ${workers} workers`, () => sweep({ workers, seeds }));
});
