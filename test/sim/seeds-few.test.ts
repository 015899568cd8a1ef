import { describe, it } from 'node:test';
import { effort } from '../effort.ts';
import { sweep } from './sweep.ts';

describe('a simulated fleet keeps every promise', () => {
  for (const { workers, seeds } of [
    { workers: 3, seeds: effort(6, 150) },
    { workers: 4, seeds: effort(5, 100) },
  ])
    it(`over ${seeds} seeds with ${workers} workers`, () => sweep({ workers, seeds }));
});
