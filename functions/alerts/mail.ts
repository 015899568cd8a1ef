import { createTransport } from 'nodemailer';
import type { ChannelValue } from '#core/cluster/channels.ts';
import type { Message } from './message.ts';
import type { Delivered } from './send.ts';

const subjectChars = 200;

/** Sends a message by SMTP. Mail programs show one of two with the same Message-ID. */
export async function mail(
  { url, from, to }: Pick<ChannelValue, 'url' | 'from' | 'to'>,
  { id, subject, text }: Message,
  timeoutMs: number,
): Promise<Delivered> {
  const transport = createTransport({
    url,
    ...{ connectionTimeout: timeoutMs, greetingTimeout: timeoutMs, socketTimeout: timeoutMs },
    // No file and no address that a text names is to be read.
    ...{ disableFileAccess: true, disableUrlAccess: true },
  });
  try {
    const sent = await transport.sendMail({
      from: from ?? '',
      to: [...to],
      subject: `[cronfleet] ${subject}`.slice(0, subjectChars),
      text,
      messageId: `<${id}@cronfleet>`,
      headers: { 'X-Cronfleet-Id': id, 'Auto-Submitted': 'auto-generated' },
    });
    const status = Number(/^\d{3}/.exec(sent.response)?.[0] ?? 250);
    const refused = sent.rejected.length;
    const detail = refused === 0 ? sent.response : `${sent.response}; not to ${sent.rejected.join(', ')}`;
    return { delivered: refused === 0, status, detail };
  } catch (error) {
    // Anything between here and there: whoever set it up wants to know what.
    const { message, responseCode } = error as Error & { responseCode?: number };
    return { delivered: false, status: responseCode ?? null, detail: message };
  } finally {
    transport.close();
  }
}
