// The only file that knows this adapter: hono moves it to a package of its own in its next major version.
import { handle, type LambdaContext, type LambdaEvent } from 'hono/aws-lambda';
import type { App } from '../app.ts';
import type { Gateway } from '../deps.ts';

export type { LambdaContext, LambdaEvent } from 'hono/aws-lambda';

/** What goes as text. All else goes as base64: text that is not UTF-8, a job's raw output say, would arrive damaged. */
const asText = /^(application\/(problem\+)?json|text\/(html|css|javascript))\b/;

/** Below this much of the time that is left an answer is begun no more: it has to get out, too. */
const sendMs = 2_000;

/** Answers events of API Gateway's HTTP API (payload 2.0) and of function URLs. */
export function gatewayHandler(app: App): (event: LambdaEvent, context: LambdaContext) => Promise<unknown> {
  const answer = handle(app, { isContentTypeBinary: (type) => !asText.test(type) });
  return (event, context) => answer(event, context);
}

/** Lambda lets 6 MB of answer through, as JSON: a byte of output may take seven of it, and base64 takes four for three. */
export const lambdaGateway: Gateway = {
  rawMax: 4_000_000,
  restMs(env) {
    const { lambdaContext } = env as { lambdaContext?: Pick<LambdaContext, 'getRemainingTimeInMillis'> };
    return Math.max(0, (lambdaContext?.getRemainingTimeInMillis() ?? sendMs) - sendMs);
  },
};
