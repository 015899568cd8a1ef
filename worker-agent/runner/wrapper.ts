/**
 * What stands armed for a run: a POSIX sh that blocks on the gate's pipe (descriptor 3, inherited) and, woken by its end, starts
 * the command only if its own marker stands, the gate's `go` stands, and the lease's deadline in it has not passed by boot time.
 * No fork happens before the command's. It enters its cgroup before it blocks: that move is slow in the kernel, and nothing slow may
 * stand between instant and start.
 *
 *   sh -c TEXT cronfleet RUN_DIR GO_FILE CGROUP_PROCS COMMAND...
 *
 * `started` is made with noclobber (O_EXCL): whoever makes it first, wrapper or agent, has decided whether the run starts.
 * It holds the wrapper's pid. Handlers, not ignored signals: a command inherits what is ignored, and only that.
 */
export const wrapperText = `
d=$1 g=$2
[ -z "$3" ] || echo $$ 2>/dev/null >"$3"
shift 3
read -r _ <&3
exec 3<&-
{ read -r f <"$d/claimed" && read -r l <"$g"; } 2>/dev/null || exit 125
read -r u _ </proc/uptime
[ "\${u%.*}\${u#*.}" -lt "$l" ] || exit 124
CRON_FENCE=$f
export CRON_FENCE
trap : HUP INT QUIT USR1 USR2 ALRM TERM
set -C
{ echo $$ >"$d/started"; } 2>/dev/null || exit 125
set +C
"$@"
echo $? >"$d/exit"
`;

/** Boot time in the unit of /proc/uptime without its point: hundredths of a second. */
export function uptimeText(bootMs: number): string {
  return String(Math.floor(bootMs / 10));
}
