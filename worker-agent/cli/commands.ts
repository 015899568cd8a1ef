import type { Command } from './command.ts';
import { afterRestore } from './commands/after-restore.ts';
import { alertCommands } from './commands/alerts.ts';
import { apply } from './commands/apply.ts';
import { daemons } from './commands/daemons.ts';
import { doctor } from './commands/doctor.ts';
import { exportCommand } from './commands/export.ts';
import { fleetCommands } from './commands/fleet.ts';
import { importCommand } from './commands/import.ts';
import { jobCommands } from './commands/jobs.ts';
import { next } from './commands/next.ts';
import { runCommands } from './commands/runs.ts';

/** Every command, in the order in which the overview lists them. */
export const commands: readonly Command[] = [
  ...daemons,
  importCommand,
  apply,
  exportCommand,
  ...jobCommands,
  next,
  ...runCommands,
  ...fleetCommands,
  ...alertCommands,
  afterRestore,
  doctor,
];
