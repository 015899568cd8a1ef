import { spawn } from 'node:child_process';

/** Runs a program to its end. `error` is what it said, or why it could not be started; null where it ended well. */
export function runProgram(command: string, args: readonly string[]): Promise<{ error: string | null }> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.on('data', (data: Buffer) => {
      said = `${said}${data}`.slice(-2_000);
    });
    child.on('error', (error) => resolve({ error: `${command} cannot be started (${error.message})` }));
    child.on('close', (code) =>
      resolve({ error: code === 0 ? null : `${command} ended with ${code}: ${said.trim()}` }),
    );
  });
}
