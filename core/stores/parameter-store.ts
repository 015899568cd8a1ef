import { GetParametersByPathCommand, SSMClient } from '@aws-sdk/client-ssm';
import { Refusal } from '#core/model/refusal.ts';

/** How long one answer may take: what is not there by then has no way out of its network. */
const attemptMs = 3_000;

/**
 * Every parameter below `path` (`/cronfleet/production`) by what its name has beyond that, secrets decrypted. Credentials, endpoint and,
 * where it is not given, the region come from where the SDK looks for them. Refusal `settings_unreadable`.
 */
export async function readParameters(
  path: string,
  region: string | null = null,
): Promise<Record<string, string>> {
  // A client for one reading: a connection kept through a freeze is a dead one.
  const ssm = new SSMClient({
    ...(region === null ? {} : { region }),
    maxAttempts: 3,
    requestHandler: { connectionTimeout: attemptMs, requestTimeout: attemptMs, throwOnRequestTimeout: true },
  });
  try {
    const found: Record<string, string> = {};
    let NextToken: string | undefined;
    do {
      const page = await ssm.send(
        new GetParametersByPathCommand({
          Path: path,
          WithDecryption: true,
          MaxResults: 10,
          ...(NextToken === undefined ? {} : { NextToken }),
        }),
      );
      for (const { Name = '', Value = '' } of page.Parameters ?? [])
        found[Name.slice(path.length + 1)] = Value;
      NextToken = page.NextToken;
    } while (NextToken !== undefined);
    return found;
  } catch (error) {
    throw new Refusal('settings_unreadable', `settings: ${path} can not be read: ${reasonOf(error, path)}`);
  } finally {
    ssm.destroy();
  }
}

function reasonOf(error: unknown, path: string): string {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  if (/AccessDenied/.test(name))
    return `who asks may not; expected ssm:GetParametersByPath on ${path} and below it, and kms:Decrypt on its key (${name})`;
  if (/CredentialsProvider/.test(name))
    return `nobody asks: there are no credentials; expected a role of this instance or task, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (${name})`;
  if (
    /UnrecognizedClient|InvalidClientTokenId|SignatureDoesNotMatch|InvalidSignature|ExpiredToken/.test(name)
  )
    return `the credentials do not stand (any more); is this host's clock right? (${name})`;
  if (/Region is missing/.test(message)) return 'of which region? expected AWS_REGION';
  if (/Timeout|ECONN|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|AggregateError/.test(`${name} ${message}`))
    return `Parameter Store does not answer; expected a way to it, out of a VPC by a NAT or an endpoint for ssm (${name})`;
  return `${name}: ${message}`;
}
