import { settleSuite } from '#test/contract/settle-suite.ts';
import { clusterForFile, etcds, madeOn } from './servers.ts';

for (const programs of await etcds()) {
  const { endpoints } = await clusterForFile({ programs, members: 3 });
  settleSuite(`on etcd ${programs.version}`, () => madeOn(endpoints));
}
