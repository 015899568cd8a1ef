import { toJsonSchema } from '@valibot/to-json-schema';
import * as v from 'valibot';
import { Job } from '#core/model/job.ts';
import { components, SignedIn, SignedOut, SignInCode, SignInWays } from './answers.ts';
import { pathOf, problemStatuses, type Route } from './route.ts';
import { signInPath } from './sign-in.ts';

type Json = Record<string, unknown>;

/** Named once, referred to elsewhere. `input`: as it is sent, defaults left out; `output`: as it is answered. */
const named = {
  input: { JobInput: Job },
  output: { Job, ...components },
} as const;

/** A schema as JSON Schema 2020-12, as OpenAPI 3.1 has it; transforms are the server's own business. */
function schemaOf(schema: v.GenericSchema, typeMode: 'input' | 'output', itself = ''): Json {
  const { [itself]: _, ...definitions } = named[typeMode] as Record<string, v.GenericSchema>;
  const {
    $schema: __,
    $defs: ___,
    ...rest
  } = toJsonSchema(schema, {
    target: 'draft-2020-12',
    typeMode,
    errorMode: 'ignore',
    definitions,
    overrideRef: ({ referenceId }) => `#/components/schemas/${referenceId}`,
  });
  return typeMode === 'input' ? rest : (withEveryField(rest) as Json);
}

/** What is answered has every field; where the schema fills in a default, its JSON Schema does not say so. */
function withEveryField(schema: unknown): unknown {
  if (typeof schema !== 'object' || schema === null) return schema;
  if (Array.isArray(schema)) return schema.map(withEveryField);
  const whole = Object.fromEntries(Object.entries(schema).map(([key, one]) => [key, withEveryField(one)]));
  const { type, properties } = whole;
  if (type !== 'object' || typeof properties !== 'object' || properties === null) return whole;
  return { ...whole, required: Object.keys(properties) };
}

function parametersOf(route: Route): Json[] {
  const inPath = [...route.path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
  const query = route.query === null ? {} : schemaOf(route.query, 'input');
  const required = (query.required ?? []) as string[];
  const inQuery = Object.entries((query.properties ?? {}) as Json).map(([name, schema]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    schema,
  }));
  const inHeader = Object.entries(route.headers ?? {}).map(([name, description]) => ({
    name,
    in: 'header',
    required: false,
    description,
    schema: { type: 'string' },
  }));
  return [...inPath, ...inQuery, ...inHeader];
}

function bodyOf({ body, raw }: Route): Json | null {
  const types = raw ?? (body === null ? {} : { 'application/json': body });
  const content = Object.entries(types).map(([type, schema]) => [
    type,
    { schema: schemaOf(schema, 'input') },
  ]);
  if (content.length === 0) return null;
  return { required: body === null || !v.is(body, {}), content: Object.fromEntries(content) };
}

const why: Record<number, string> = {
  400: 'Malformed: the JSON, the query or the path',
  401: 'No token, or none that stands',
  403: 'Too small a role, or another group',
  404: 'There is none',
  409: 'Not as things stand',
  412: 'Not the revision that was expected',
  413: 'Too large',
  415: 'Not a type that can be read here',
  421: 'Meant for another host',
  422: 'A value that is not valid; `errors` names each',
  500: 'A fault; the log tells more by the requestId',
  503: 'A store or the clock can not be relied on at the moment',
};
const problemContent = {
  'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } },
};

function operationOf(route: Route): Json {
  const body = bodyOf(route);
  const json = {
    'application/json': { schema: route.answer === null ? {} : schemaOf(route.answer, 'output') },
  };
  const also = Object.entries(route.also ?? {}).map(([type, description]) => [
    type,
    { schema: { type: 'string', description } },
  ]);
  const content = { ...(route.answer === null && also.length > 0 ? {} : json), ...Object.fromEntries(also) };
  const good = (route.statuses ?? [200]).map((status) => [status, { description: 'As asked', content }]);
  const problems = problemStatuses(route).map((status) => [
    status,
    { description: why[status] ?? 'Why not', content: problemContent },
  ]);
  return {
    operationId: operationId(route),
    tags: [route.root ? (route.path === '/metrics' ? 'metrics' : 'course') : route.path.split('/')[1]],
    summary: route.summary,
    description: `Needs the role ${route.role}.`,
    security: [{ bearer: [] }],
    parameters: parametersOf(route),
    ...(body === null ? {} : { requestBody: body }),
    responses: Object.fromEntries([...good, ...problems]),
  };
}

/** `postJobsGroupNameRun`: stable, and fit for a generated client. */
function operationId({ method, path }: Route): string {
  const words = path.split(/[/:.]+/).filter(Boolean);
  return method.toLowerCase() + words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('');
}

const text = { type: 'string' };
const Problem = {
  description: 'RFC 9457 problem details; `code` is stable, `detail` is for people.',
  type: 'object',
  required: ['type', 'title', 'status', 'code', 'detail', 'requestId'],
  properties: {
    ...{ type: text, title: text, status: { type: 'integer' }, code: text, detail: text, requestId: text },
    errors: {
      type: 'array',
      items: {
        type: 'object',
        required: ['path', 'message'],
        properties: { path: text, message: text, value: {}, expected: text },
      },
    },
  },
};

/** Since when a store was seen not to answer, and why. */
const trouble = { type: 'object', properties: { since: text, why: text } };
const healthOf = (description: string) => ({
  description,
  content: {
    'application/json': {
      schema: {
        type: 'object',
        required: ['status'],
        properties: {
          status: { enum: ['ok', 'degraded'] },
          version: text,
          stores: { type: 'object', properties: { kv: text, history: text } },
          away: { type: 'object', properties: { kv: trouble, history: trouble } },
        },
      },
    },
  },
});
const health = {
  get: {
    operationId: 'getHealth',
    tags: ['health'],
    summary: 'Whether it is well',
    description: 'Open; with a token it tells the version, which store is away, since when, and why.',
    security: [],
    parameters: [],
    responses: { 200: healthOf('It is'), 503: healthOf('A store is away') },
  },
};

/** One of the open ways to sign in by a provider. */
const open = (
  operationId: string,
  summary: string,
  {
    answer,
    body,
    problems,
  }: { answer: v.GenericSchema; body?: v.GenericSchema; problems: readonly number[] },
) => ({
  ...{ operationId, tags: ['sign-in'], summary, description: 'Open.', security: [], parameters: [] },
  ...(body === undefined
    ? {}
    : {
        requestBody: { required: true, content: { 'application/json': { schema: schemaOf(body, 'input') } } },
      }),
  responses: {
    200: { description: 'As asked', content: { 'application/json': { schema: schemaOf(answer, 'output') } } },
    ...Object.fromEntries(
      problems.map((status) => [
        status,
        { description: whyOpen[status] ?? why[status], content: problemContent },
      ]),
    ),
  },
});
const whyOpen: Record<number, string> = {
  401: 'The provider refuses, or the session is over: sign in again',
  403: 'Known, and without a role here; or asked for by a page of another site',
  404: 'There is no provider here',
  503: 'The provider does not answer, or the settings are not what it knows',
};
const asked = [400, 401, 403, 404, 413, 415, 421, 422, 500, 503];
const signInPaths = {
  [signInPath]: {
    get: open('getSignIn', 'How one signs in here, beside tokens', {
      answer: SignInWays,
      problems: [421, 500, 503],
    }),
    post: open('postSignIn', 'Sign in by the code that a provider gave', {
      ...{ body: SignInCode, answer: SignedIn, problems: asked },
    }),
    delete: open('deleteSignIn', 'Sign out', { answer: SignedOut, problems: [403, 404, 421, 500, 503] }),
  },
  [`${signInPath}/renew`]: {
    post: open('postSignInRenew', 'Another token for the session that the cookie names', {
      ...{ answer: SignedIn, problems: [401, 403, 404, 413, 421, 500, 503] },
    }),
  },
};

/** The OpenAPI 3.1 document of the routes, made from the schemas that judge the requests. */
export function openapi(routes: readonly Route[], version: string): Json {
  const paths: Record<string, Json> = { '/api/v1/health': health, ...signInPaths };
  for (const route of routes) {
    const path = pathOf(route).replace(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route) };
  }
  const schemas: Json = { Problem };
  for (const mode of ['input', 'output'] as const)
    for (const [name, schema] of Object.entries(named[mode])) schemas[name] = schemaOf(schema, mode, name);
  return {
    openapi: '3.1.0',
    info: { title: 'cronfleet', version, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } }, schemas },
    paths,
  };
}
