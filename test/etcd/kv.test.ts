import { kvSuite } from '#test/contract/kv-suite.ts';
import { clusterForFile, describeEach, madeOn } from './servers.ts';

await describeEach('Kv on', async (programs) => {
  for (const members of [1, 3] as const) {
    const { endpoints } = await clusterForFile({ programs, members });
    kvSuite(`on etcd ${programs.version}, ${members} member${members > 1 ? 's' : ''}`, () =>
      madeOn(endpoints),
    );
  }
});

/** One's own server may be tried as well: nobody else may write to it meanwhile. Below /cronfleet-test/ only. */
const given = process.env.ETCD_ENDPOINTS;
if (given) kvSuite(`on etcd at ${given}`, () => madeOn(given));
