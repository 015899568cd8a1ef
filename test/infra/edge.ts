import type { Made } from './program.ts';

/** Where CloudFront would take a request, by the very function that it would run. */
export type Taken =
  | { to: 'api'; host: string; uri: string; readTimeoutS: number }
  | { to: 'files'; key: string }
  | { to: 'nobody'; status: number };

interface EdgeEvent {
  request: { method: string; uri: string; headers: object; cookies: object; querystring: object };
}

/**
 * The edge function of the graph with the entries of its key-value store, made callable. What is CloudFront's own (`cf`, the origin that
 * it takes) is kept to what the function asks of it.
 */
export function edgeOf(graph: readonly Made[]): {
  code: string;
  take(path: string, method?: string): Promise<Taken>;
} {
  const store = new Map<string, string>();
  for (const { name, inputs } of graph) {
    if (/\.KvKeys$/.test(name))
      for (const [key, value] of Object.entries<string>(inputs.entries))
        store.set(`${inputs.namespace}:${key}`, value);
    if (/\.KvRoutesUpdate$/.test(name)) {
      const key = `${inputs.namespace}:${inputs.key}`;
      store.set(key, JSON.stringify([...JSON.parse(store.get(key) ?? '[]'), inputs.entry]));
    }
  }
  const code: string = graph.find(({ name }) => name === 'RouterCloudfrontFunctionRequest')?.inputs.code;
  const bodied = code.replace(/^\s*import cf from "cloudfront";/, '');
  return {
    code,
    async take(path, method = 'GET') {
      let origin: { domainName?: string; timeouts?: { readTimeout?: number } } = {};
      const cf = {
        kvs: () => ({
          async get(key: string) {
            const value = store.get(key);
            if (value === undefined) throw new Error(`no such key: ${key}`);
            return value;
          },
        }),
        updateRequestOrigin(given: typeof origin) {
          origin = given;
        },
      };
      const event: EdgeEvent = {
        request: {
          method,
          uri: path,
          headers: { host: { value: 'cron.example.com' } },
          cookies: {},
          querystring: {},
        },
      };
      const handler = new Function('cf', 'require', `${bodied}\nreturn handler;`)(cf, () => ({})) as (
        event: EdgeEvent,
      ) => Promise<{ statusCode?: number; uri?: string }>;
      const answer = await handler(event);
      if (answer.statusCode !== undefined) return { to: 'nobody', status: answer.statusCode };
      const { domainName: host = '', timeouts } = origin;
      const uri = answer.uri ?? '';
      return /\.s3\./.test(host)
        ? { to: 'files', key: uri.replace(/^\//, '') }
        : { to: 'api', host, uri, readTimeoutS: timeouts?.readTimeout ?? 0 };
    },
  };
}
