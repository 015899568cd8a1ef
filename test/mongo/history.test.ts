import { mongoHistory } from '#core/stores/history/mongo/mongo-history.ts';
import { historySuite } from '#test/contract/history-suite.ts';
import { mongoForTests } from './server.ts';

const server = await mongoForTests();

historySuite(
  'on MongoDB',
  (clock) => {
    const { url } = server.database();
    return { history: mongoHistory({ url, clock }), clean() {} };
  },
  { forgetsByItself: true, hasOwnTime: true, looksEveryMs: 250 },
);
