const marks: Record<number, string> = { 40: 'WARN  ', 50: 'ERROR ', 60: 'FATAL ' };
/** What a person at a terminal knows, or reads elsewhere in the line. */
const passedOver = new Set(['level', 'time', 'pid', 'hostname', 'msg', 'err']);

/**
 * A log's line (JSON, as pino writes it) as a person at a terminal reads it: `06:33:20 run.ended run=... state=succeeded`, in UTC.
 * What is not JSON goes through as it is.
 */
export function logLine(json: string): string {
  let read: Record<string, unknown>;
  try {
    read = JSON.parse(json);
  } catch {
    // A line of somebody else's is still worth reading.
    return json;
  }
  const { level, time, msg, err } = read;
  const fields = Object.entries(read)
    .filter(([name, value]) => !passedOver.has(name) && value !== null && value !== '')
    .map(([name, value]) => `${name}=${shown(name, value)}`);
  const stack =
    typeof err === 'object' && err !== null && 'stack' in err ? `\n${plain(String(err.stack))}` : '';
  const at = new Date(Number(time)).toISOString().slice(11, 19);
  return `${[`${at} ${marks[Number(level)] ?? ''}${msg}`, ...fields].join(' ')}${stack}\n`;
}

function shown(name: string, value: unknown): string {
  if (name.endsWith('At') && typeof value === 'number') return new Date(value).toISOString();
  const text = typeof value === 'string' && /^[\x21-\x7e]+$/.test(value) ? value : JSON.stringify(value);
  return plain(text);
}

/** Reasons and errors repeat what strangers wrote, which must not move the cursor or turn the line round. */
function plain(text: string): string {
  return text.replace(
    /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    '·',
  );
}
