import { toJsonSchema } from '@valibot/to-json-schema';
import type * as v from 'valibot';
import { Job } from '#core/model/job.ts';
import type { Route } from './route.ts';

/** A schema as it is sent: transforms are the server's own business. */
function schemaOf(schema: v.GenericSchema): Record<string, unknown> {
  const { $schema: _, ...rest } = toJsonSchema(schema, { typeMode: 'input', errorMode: 'ignore' });
  return rest;
}

function parametersOf(route: Route): unknown[] {
  const inPath = [...route.path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
  const query = route.query === null ? {} : schemaOf(route.query);
  const properties = (query.properties ?? {}) as Record<string, unknown>;
  const required = (query.required ?? []) as string[];
  return [
    ...inPath,
    ...Object.entries(properties).map(([name, schema]) => ({
      name,
      in: 'query',
      required: required.includes(name),
      schema,
    })),
  ];
}

/** What a raw body may be, where the route reads it by itself. */
function rawContent({ path }: Route): Record<string, unknown> {
  if (path === '/apply') {
    const jobs = {
      schema: {
        type: 'object',
        required: ['jobs'],
        properties: { jobs: { type: 'array', items: { $ref: '#/components/schemas/Job' } } },
      },
    };
    return {
      'application/json': jobs,
      'application/yaml': jobs,
      'text/crontab': { schema: { type: 'string' } },
    };
  }
  if (path.startsWith('/job/'))
    return {
      'application/x-www-form-urlencoded': {
        schema: { type: 'object', additionalProperties: { type: 'string' } },
      },
    };
  return { 'application/json': { schema: { $ref: '#/components/schemas/Job' } } };
}

function operationOf(route: Route): Record<string, unknown> {
  const body = route.rawBody
    ? rawContent(route)
    : route.body === null
      ? null
      : { 'application/json': { schema: schemaOf(route.body) } };
  const problem = {
    content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
  };
  return {
    summary: route.summary,
    description: `Needs the role ${route.role}.`,
    security: [{ bearer: [] }],
    parameters: parametersOf(route),
    ...(body === null ? {} : { requestBody: { content: body } }),
    responses: {
      [route.status]: {
        description: 'As asked',
        content: { 'application/json': { schema: route.answer === null ? {} : schemaOf(route.answer) } },
      },
      401: { description: 'No token, or none that stands', ...problem },
      403: { description: 'Too small a role, or another group', ...problem },
      default: { description: 'Why not', ...problem },
    },
  };
}

/** The OpenAPI 3.1 document of the routes, made from the schemas that judge the requests. */
export function openapi(routes: readonly Route[], version: string): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) {
    const path = `${route.root ? '' : '/api/v1'}${route.path.replace(/:(\w+)/g, '{$1}')}`;
    const methods = paths[path] ?? {};
    methods[route.method.toLowerCase()] = operationOf(route);
    paths[path] = methods;
  }
  const text = { type: 'string' };
  const mistake = { type: 'object', properties: { path: text, message: text, value: {}, expected: text } };
  return {
    openapi: '3.1.0',
    info: { title: 'cronfleet', version, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    components: {
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } },
      schemas: {
        Job: schemaOf(Job),
        Problem: {
          type: 'object',
          required: ['type', 'title', 'status', 'code', 'detail', 'requestId'],
          properties: {
            type: text,
            title: text,
            status: { type: 'integer' },
            code: text,
            detail: text,
            requestId: text,
            errors: { type: 'array', items: mistake },
          },
        },
      },
    },
    paths,
  };
}
