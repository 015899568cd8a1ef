import type { Fault } from './faults.ts';
import type { Yard } from './yard.ts';

/** Who is being hurt now: nobody is hurt twice at once, or the end of one fault would end the other. */
export type Hurt = Set<string>;

/** Does it, and gives what ends it; null: its victim is being hurt already. */
export async function inflict(yard: Yard, fault: Fault, hurt: Hurt): Promise<(() => Promise<void>) | null> {
  const { agents, servers, cluster } = yard;
  const agent = agents[fault.who % agents.length];
  const server = fault.who % servers.length;
  const member = async () =>
    fault.kind.startsWith('leader')
      ? await cluster.leader()
      : cluster.members[fault.who % cluster.members.length];
  const hold = (...names: string[]) => {
    if (names.some((name) => hurt.has(name))) return null;
    for (const name of names) hurt.add(name);
    return () => {
      for (const name of names) hurt.delete(name);
    };
  };

  switch (fault.kind) {
    case 'agent-kill':
    case 'agent-pause':
    case 'agent-stop':
    case 'agent-cut-both':
    case 'agent-cut-answers':
    case 'agent-cut-requests': {
      const free = agent === undefined ? null : hold(agent.id);
      if (agent === undefined || free === null) return null;
      const { child, lines } = agent;
      if (fault.kind === 'agent-kill') {
        child.signal('SIGKILL');
        await child.gone();
        return async () => {
          child.start();
          free();
        };
      }
      if (fault.kind === 'agent-stop') {
        await child.stop();
        return async () => {
          child.start();
          free();
        };
      }
      if (fault.kind === 'agent-pause') {
        child.signal('SIGSTOP');
        return async () => {
          child.signal('SIGCONT');
          free();
        };
      }
      const way = ({ 'agent-cut-answers': 'answers', 'agent-cut-requests': 'requests' } as const)[
        fault.kind as string
      ];
      for (const line of lines) line.freeze(way);
      return async () => {
        for (const line of lines) line.open();
        free();
      };
    }
    case 'agent-unplugged': {
      const far = agents.find(({ link }) => link !== null);
      const free = far === undefined ? null : hold(far.id);
      if (far === undefined || free === null) return null;
      await far.link?.pull();
      return async () => {
        await far.link?.plug();
        free();
      };
    }
    case 'member-kill':
    case 'leader-kill':
    case 'member-pause':
    case 'leader-pause': {
      const victim = cluster.members.some(({ name }) => hurt.has(name)) ? undefined : await member();
      const free = victim === undefined ? null : hold(victim.name);
      if (victim === undefined || free === null) return null;
      if (fault.kind.endsWith('kill')) await victim.kill();
      else victim.pause();
      return async () => {
        if (fault.kind.endsWith('kill')) await victim.start();
        else victim.resume();
        free();
      };
    }
    case 'quorum-loss': {
      const victims = cluster.members.slice(0, 2);
      const free = cluster.members.some(({ name }) => hurt.has(name))
        ? null
        : hold(...victims.map(({ name }) => name));
      if (free === null) return null;
      for (const victim of victims) victim.pause();
      return async () => {
        for (const victim of victims) victim.resume();
        free();
      };
    }
    case 'history-kill': {
      const free = hold('history');
      if (free === null) return null;
      await yard.killHistory();
      return async () => {
        await yard.restartHistory();
        free();
      };
    }
    case 'server-kill': {
      const child = servers[server];
      const free = child === undefined ? null : hold(`server${server}`);
      if (child === undefined || free === null) return null;
      child.signal('SIGKILL');
      await child.gone();
      return async () => {
        child.start();
        free();
      };
    }
  }
}
