import type { LambdaContext, LambdaEvent } from '#functions/cloud/gateway.ts';

/** Lambda's limit for an answer (and for an event): 6 MB of JSON. */
const payloadMax = 6 * 1024 * 1024;
const domainName = 'abc123.execute-api.eu-central-1.amazonaws.com';

/** What API Gateway takes for text; a body of any other type goes as base64. */
const isText = (type: string) => /^(text\/|application\/([\w.+-]*\+)?(json|xml|javascript))/i.test(type);

/** A request as API Gateway's HTTP API hands it to a function: payload format 2.0, default stage. */
export async function eventOf(request: Request): Promise<LambdaEvent> {
  const { pathname, search } = new URL(request.url);
  const headers: Record<string, string> = {
    host: domainName,
    'x-forwarded-for': '203.0.113.9',
    'x-forwarded-port': '443',
    'x-forwarded-proto': 'https',
  };
  for (const [name, value] of request.headers) if (name !== 'cookie') headers[name] = value;
  const bytes = Buffer.from(await request.arrayBuffer());
  if (bytes.length > 0) headers['content-length'] = String(bytes.length);
  const coded = bytes.length > 0 && !isText(headers['content-type'] ?? '');
  const cookies = request.headers.get('cookie')?.split('; ');
  const query = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(search))
    query.set(name, query.has(name) ? `${query.get(name)},${value}` : value);
  const rawPath = decoded(pathname);
  const event = {
    version: '2.0',
    routeKey: '$default',
    rawPath,
    rawQueryString: search.slice(1),
    ...(cookies === undefined ? {} : { cookies }),
    headers,
    ...(query.size === 0 ? {} : { queryStringParameters: Object.fromEntries(query) }),
    requestContext: {
      ...{
        accountId: '123456789012',
        apiId: 'abc123',
        domainName,
        domainPrefix: 'abc123',
        stage: '$default',
      },
      ...{ requestId: 'JKJaXmPLvHcESHA=', routeKey: '$default', time: '26/Nov/2026:06:34:00 +0000' },
      timeEpoch: 1_795_674_840_000,
      authentication: null,
      http: {
        ...{ method: request.method, path: rawPath, protocol: 'HTTP/1.1' },
        ...{ sourceIp: '203.0.113.9', userAgent: headers['user-agent'] ?? '' },
      },
    },
    ...(bytes.length === 0 ? {} : { body: bytes.toString(coded ? 'base64' : 'utf8') }),
    isBase64Encoded: coded,
  };
  // Through JSON, as it travels: what does not survive that is not there.
  return JSON.parse(JSON.stringify(event));
}

/** An HTTP API shows a path decoded. */
function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    // It would answer with 400 by itself; the function has to bear it all the same.
    return path;
  }
}

/** What API Gateway makes of a function's answer. */
export function responseOf(payload: string, method: string): Response {
  if (Buffer.byteLength(payload) > payloadMax)
    throw new Error(
      `the answer has ${Buffer.byteLength(payload)} bytes as JSON; Lambda lets ${payloadMax} through`,
    );
  const answer: {
    statusCode: number;
    headers?: Record<string, string>;
    cookies?: string[];
    body?: string;
    isBase64Encoded?: boolean;
  } = JSON.parse(payload);
  const headers = new Headers(answer.headers);
  for (const cookie of answer.cookies ?? []) headers.append('set-cookie', cookie);
  const none = method === 'HEAD' || [204, 304].includes(answer.statusCode);
  const bytes = Buffer.from(answer.body ?? '', answer.isBase64Encoded ? 'base64' : 'utf8');
  return new Response(none ? null : bytes, { status: answer.statusCode, headers });
}

/** What a function is told of its invocation, as far as anybody asks. */
export function contextOf(remainingMs: () => number): LambdaContext {
  return {
    awsRequestId: '8476a536-e9f4-11e8-9739-2dfe598c3fcd',
    getRemainingTimeInMillis: remainingMs,
  } as LambdaContext;
}
