/** Where one member of a cluster stands. */
export interface MemberPlan {
  name: string;
  /** URLs. */
  client: string;
  peer: string;
  metrics: string;
  /** What --initial-cluster says. */
  cluster: string;
  data: string;
}

/** What follows the program's name; with the flags that 3.4 and today's releases share. */
export function memberArguments(plan: MemberPlan, flags: readonly string[]): string[] {
  return [
    `--name=${plan.name}`,
    `--data-dir=${plan.data}`,
    `--listen-client-urls=${plan.client}`,
    `--advertise-client-urls=${plan.client}`,
    `--listen-peer-urls=${plan.peer}`,
    `--initial-advertise-peer-urls=${plan.peer}`,
    `--listen-metrics-urls=${plan.metrics}`,
    `--initial-cluster=${plan.cluster}`,
    '--logger=zap',
    '--log-level=warn',
    ...flags,
  ];
}
