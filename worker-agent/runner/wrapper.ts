/**
 * What stands armed for a run: a POSIX sh that blocks on the gate's pipe (descriptor 3, inherited) and, woken by its end, starts
 * the command only if its own marker stands, the gate's `go` stands, and the lease's deadline in it has not passed by boot time.
 * No fork happens before the command's. It enters its cgroup before it blocks: that move is slow in the kernel, and nothing slow may
 * stand between instant and start.
 *
 *   sh -c TEXT cronfleet RUN_DIR GO_FILE CGROUP_PROCS COMMAND...
 *
 * `started` and `exit` stand there empty and are written over (`<>`: without being emptied first). Once `started` holds the wrapper's pid
 * the run has started; whoever wants it never to start stops the wrapper first and looks then. Handlers, not ignored signals: a command inherits what is ignored, and only that.
 * It ends with the command's status, which so is known to its parent though the disk be full. Its own errors go nowhere: a
 * shell would say "Terminated" into the command's output.
 */
export const wrapperText = `
d=$1 g=$2
[ -z "$3" ] || echo $$ >"$3"
shift 3
read -r _ <&3
exec 3<&-
{ read -r f <"$d/claimed" && read -r l <"$g"; } || exit 125
read -r u _ </proc/uptime
[ "\${u%.*}\${u#*.}" -lt "$l" ] || exit 124
CRON_FENCE=$f
export CRON_FENCE
trap : HUP INT QUIT USR1 USR2 ALRM TERM
{ echo $$ 1<>"$d/started"; } || exit 126
( exec "$@" 2>&1 )
r=$?
echo $r 1<>"$d/exit"
exit $r
`;

/** Why a wrapper ended that never started its command, by its status. */
export function notStartedReason(code: number | null, signal: string | null): string {
  if (signal !== null)
    return `its wrapper was ended by SIG${signal.replace(/^SIG/, '')} before the command was started`;
  if (code === 125) return 'it was let go without its claim, or its agent was gone';
  if (code === 124) return 'its time was over before it could start: the lease of its agent had run out';
  if (code === 126) return 'its start could not be noted on the disk';
  return `its wrapper ended${code === null ? '' : ` with status ${code}`} before the command was started`;
}

/** Boot time in the unit of /proc/uptime without its point: hundredths of a second. Of one length always, so that it fits its place. */
export function uptimeText(bootMs: number): string {
  return String(Math.floor(bootMs / 10)).padEnd(20);
}
