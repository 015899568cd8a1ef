import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { freePorts } from '#infra/free-ports.ts';
import { until } from '#test/until.ts';
import { motoCommand } from './needs.ts';

/** moto: AWS's answers to its own clients, on loopback. */
export async function startMoto(): Promise<{ url: string; stop(): Promise<void> }> {
  // One that the kernel gives to nobody else in the seconds until Python has read all of moto.
  const [port = 0] = await freePorts(1);
  const url = `http://127.0.0.1:${port}`;
  const { command, args, env } = motoCommand;
  const child = spawn(command, [...args, '-H', '127.0.0.1', '-p', String(port)], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...env },
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const ended = once(child, 'exit');
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
  };
  const up = () => {
    if (child.exitCode !== null) throw new Error(`moto ended with ${child.exitCode}: ${said}`);
    return fetch(`${url}/moto-api/`).then(
      (answer) => answer.ok,
      // Not yet listening.
      () => false,
    );
  };
  try {
    await until('moto to answer', up);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, stop };
}
