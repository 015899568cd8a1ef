import { describe, it } from 'node:test';
import { effort } from '../effort.ts';
import { sweep } from './sweep.ts';

describe('a simulated fleet keeps every promise', () => {
  for (const { workers, seeds } of [
    { workers: 1, seeds: effort(30, 350) },
    { workers: 2, seeds: effort(6, 150) },
  ])
    it(`over ${seeds} seeds with ${workers} workers`, () => sweep({ workers, seeds }));
});
