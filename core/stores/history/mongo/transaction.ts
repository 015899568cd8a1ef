import { type ClientSession, type MongoClient, MongoError } from 'mongodb';

/** How often somebody else may be quicker before it counts as a fault. */
const mostTries = 10;

/**
 * Does `work` in one transaction, acknowledged by a majority. Somebody else's that gets in between makes it begin anew, so `work`
 * may run several times. The driver's own `withTransaction` would go on for two minutes, whoever waits.
 */
export async function inTransaction(
  client: MongoClient,
  work: (session: ClientSession) => Promise<void>,
): Promise<void> {
  const session = client.startSession();
  try {
    for (let tries = 1; ; tries++) {
      // `local`: what a write just bumped into may not have reached a majority; our own commit has only with it.
      session.startTransaction({ readConcern: { level: 'local' }, writeConcern: { w: 'majority' } });
      try {
        await work(session);
        await session.commitTransaction();
        return;
      } catch (error) {
        const again = error instanceof MongoError && error.hasErrorLabel('TransientTransactionError');
        if (session.inTransaction()) await session.abortTransaction();
        if (!again || tries === mostTries) throw error;
      }
    }
  } finally {
    await session.endSession();
  }
}
