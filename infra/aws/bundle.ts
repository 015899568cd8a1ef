import { execFileSync } from 'node:child_process';

/** What is uploaded is built first, so that it is of these sources and no older ones. Paths are from the project's folder. */
export function build(): { functions: string; site: string } {
  for (const script of ['lambda', 'site'])
    execFileSync('npm', ['run', '--silent', script], { stdio: ['ignore', 'ignore', 'inherit'] });
  return { functions: 'dist/lambda', site: 'dist/site' };
}
