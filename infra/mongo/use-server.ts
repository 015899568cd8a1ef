import { findMongoProgram, type MongoProgram } from './find-server.ts';
import { type StartOptions, startMongo } from './start-server.ts';

export interface UsedServer {
  url: string;
  stop(): Promise<void>;
}

/** The server that MONGODB_URI names, which nobody here starts or stops; else one of our own. */
export async function useMongo(options: StartOptions): Promise<UsedServer | { missing: string }> {
  const found = await serverToUse();
  return 'url' in found ? { url: found.url, async stop() {} } : await startMongo(options);
}

/** What `useMongo` would use; fetches it where need be. */
export async function serverToUse(): Promise<{ url: string } | MongoProgram | { missing: string }> {
  const given = process.env.MONGODB_URI;
  return given !== undefined && given !== '' ? { url: given } : await findMongoProgram();
}
