import { type StartOptions, startMongo } from './start-server.ts';

export interface UsedServer {
  url: string;
  stop(): Promise<void>;
}

/** The server that MONGODB_URI names, which nobody here starts or stops; else one of our own. */
export async function useMongo(options: StartOptions): Promise<UsedServer | { missing: string }> {
  const given = process.env.MONGODB_URI;
  if (given !== undefined && given !== '') return { url: given, async stop() {} };
  return await startMongo(options);
}
