import { gatewayHandler, lambdaGateway } from '#functions/cloud/gateway.ts';
import { setTransport } from '#test/api/transport.ts';
import { contextOf, eventOf, responseOf } from './events.ts';

// Imported before a suite of test/api, it has every request of it go the way of API Gateway and Lambda.
setTransport({
  deps: { gateway: lambdaGateway },
  async send(app, path, { signal: _, ...init }) {
    const request = new Request(new URL(path, 'http://localhost'), init);
    const payload = await gatewayHandler(app)(
      await eventOf(request),
      contextOf(() => 29_000),
    );
    return responseOf(JSON.stringify(payload), request.method);
  },
});
