import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Api, makeApp } from './make-app.ts';

const at = '/api/v1/jobs/default/a';
let api: Api;
before(async () => {
  api = await makeApp();
});
after(() => api.close());

/** What a body meets: status, code, and what of it is named. */
async function met(method: string, path: string, body: string, headers: Record<string, string> = {}) {
  const { status, json } = await api.ask(method, path, { body, headers });
  const named = json.errors?.map(({ path: one }: { path: string }) => one);
  return { status, code: json.code, named, detail: json.detail as string };
}

describe('a JSON body', () => {
  it('that says a thing twice is refused, since only one of the two could be meant', async () => {
    for (const [method, path, body, named] of [
      ['PUT', at, '{"command":"a","command":"b"}', ['command']],
      ['PUT', at, '{"command":"a","comm\\u0061nd":"b","tags":[],"tags":[]}', ['command', 'tags']],
      ['PUT', at, '{"command":"a","env":{"A":"1","B":"\\"A\\":","A":"2"}}', ['env.A']],
      ['PUT', at, '{"command":"a","notify":[{"on":[],"to":[]},{"on":[],"on":[]}]}', ['notify.1.on']],
      ['PUT', at, '{"__proto__":1,"__proto__":2,"command":"a"}', ['__proto__']],
      ['POST', `${at}/pause`, '{"reason":"a","reason":"b"}', ['reason']],
      [
        'POST',
        '/api/v1/apply',
        '{"jobs":[{"name":"x","command":"a"},{"name":"y","name":"z"}]}',
        ['jobs.1.name'],
      ],
      ['POST', '/api/v1/tokens', '{"name":"x","role":"viewer","role":"admin"}', ['role']],
    ] as const)
      assert.deepEqual(
        await met(method, path, body).then(({ status, code, named: said }) => [status, code, said]),
        [400, 'json_invalid', named],
        body,
      );
    const good =
      '{"command":"a\\\\","env":{"A":"{\\"command\\":1,","B":"]"},"argv":null,"tags":["env","env"]}';
    assert.equal((await met('PUT', at, good)).status, 201);
    await api.ask('DELETE', at);
  });

  it('is named by what it is where it is not what was expected', async () => {
    for (const [body, said] of [
      ['[]', /^job: \[\] is not valid; expected an object$/],
      ['null', /^job: null is not valid; expected an object/],
      ['"x"', /^job: "x" is not valid; expected an object/],
      ['{"command":5}', /^command: 5 is not valid; expected text/],
      ['{"command":"a","tags":"x"}', /^tags: "x" is not valid; expected a list/],
      ['{"command":"a","schedule":5}', /^schedule: 5 is not valid; expected text or a list/],
      ['{"command":"a","enabled":"yes"}', /^enabled: "yes" is not valid; expected true or false/],
      ['{"command":"a","retry":[]}', /^retry: \[\] is not valid; expected an object/],
      ['{"command":"a","env":[]}', /^env: \[\] is not valid; expected an object/],
      [
        '{"command":"a","retry":{"factor":1e999}}',
        /^retry\.factor: Infinity is not valid; expected at most 100/,
      ],
      ['{"command":"a","dst":"x"}', /^dst: "x" is not valid; expected vixie, skip or both/],
    ] as const) {
      const { status, detail } = await met('PUT', at, body);
      assert.equal(status, 422, body);
      assert.match(detail, said);
    }
    assert.match(
      (await met('POST', `${at}/pause`, '[]')).detail,
      /^body: \[\] is not valid; expected an object/,
    );
    assert.match(
      (await met('POST', '/api/v1/tokens', '{}')).detail,
      /^name: nothing is not valid; expected the field name/,
    );
  });

  it('in another coding or character set than can be read is told so', async () => {
    for (const headers of [
      { 'content-encoding': 'gzip' },
      { 'content-type': 'application/json; charset=latin1' },
      { 'content-type': 'application/json; charset="utf-16"' },
    ])
      assert.deepEqual(
        await met('PUT', at, '{"command":"a"}', headers).then(({ status, code }) => [status, code]),
        [415, 'media_type_unsupported'],
        JSON.stringify(headers),
      );
    for (const type of ['application/json; charset=utf-8', 'Application/JSON;charset="UTF-8"'])
      assert.equal(
        (await api.ask('PUT', at, { body: '{"command":"a"}', headers: { 'content-type': type } })).status <
          300,
        true,
        type,
      );
    assert.equal(
      (await api.ask('POST', `${at}/resume`, { headers: { 'content-encoding': 'identity' } })).status,
      200,
    );
  });
});

describe('a secret', () => {
  it('is not told back by what refuses it, however it came to be wrong', async () => {
    const channel = '/api/v1/channels/ops';
    const hook = '"type":"webhook","url":"https://example.org/"';
    for (const [method, path, body, said] of [
      [
        'PUT',
        channel,
        `{${hook},"secret":"s3cret"}`,
        'secret: what stands there is not valid; expected at least 8 characters',
      ],
      ['PUT', channel, `{${hook},"secret":"s3cret${'x'.repeat(256)}"}`, 'expected at most 256 characters'],
      ['PUT', channel, `{${hook},"secret":["s3cret"]}`, 'secret: ["***"] is not valid; expected text'],
      [
        'PUT',
        channel,
        `{${hook},"secrte":"s3cret of some length"}`,
        'secrte: what stands there is not valid; expected no such field',
      ],
      ['PUT', channel, `{${hook},"more":{"a":"s3cret"}}`, 'more: {"a":"***"} is not valid'],
      [
        'PUT',
        channel,
        '{"type":"slack","url":"ftp://me:s3cret@example.org"}',
        'url: what stands there is not valid; expected an http or https URL',
      ],
      ['PUT', channel, '{"type":"slack","url":"https://example.org/s3cret/***"}', 'url: what stands there'],
      ['PUT', channel, '{"type":"sms","url":"https://example.org/s3cret"}', 'type: "sms" is not valid'],
      ['PUT', channel, '[{"secret":"s3cret"}]', 'body: [{"secret":"***"}] is not valid; expected an object'],
      ['PUT', channel, `{${hook},"secret":s3cret}`, "body: is not JSON: Unexpected token 's'"],
      ['PUT', at, '{"command":"a","env":{"A":"s3cret\\u0000"}}', 'env.A: what stands there is not valid'],
      ['PUT', at, '{"command":"a","env":["s3cret"]}', 'env.0: what stands there is not valid'],
      ['PUT', at, '[{"env":{"A":"s3cret"}}]', 'job: [{"env":{"A":"***"}}] is not valid'],
      [
        'POST',
        `${at}/run`,
        '{"env":{"A":5,"B":"s3cret\\u0000"}}',
        'env.A: what stands there is not valid; expected text',
      ],
      [
        'POST',
        '/api/v1/apply',
        '{"jobs":[{"name":"x","command":"a","env":{"1A":"s3cret"}}]}',
        'jobs.0.env.1A: ',
      ],
      ['POST', '/api/v1/sign-in?token=s3cret', '{"code":"s3cret","verifier":"s3cret"}', 'sign-in: '],
      [
        'GET',
        '/api/v1/jobs?token=s3cret',
        '',
        'token: what stands there is not valid; expected no such field',
      ],
      ['DELETE', '/api/v1/tokens/cf_abc_s3cret', '', 'token: that is no id of a token'],
    ] as const) {
      const { status, text, json } = await api.ask(method, path, body === '' ? {} : { body });
      assert.ok(status >= 400 && status < 500, `${body}: ${status}`);
      assert.ok(!text.includes('s3cret'), text);
      assert.ok(json.detail.includes(said), `${json.detail} is not: ${said}`);
    }
    const yaml = await api.ask('POST', '/api/v1/apply', {
      body: 'jobs:\n- env: {A: s3cret',
      headers: { 'content-type': 'application/yaml' },
    });
    assert.equal(yaml.json.code, 'yaml_invalid');
    assert.match(yaml.json.detail, /at line \d+, column \d+$/);
  });
});

describe("a job's values", () => {
  it('are refused where what would run, or be shown, is not what was saved', async () => {
    for (const [body, named] of [
      ['{"command":"a\\ud800b"}', 'command'],
      ['{"argv":["a","\\udc00"]}', 'argv.1'],
      ['{"command":"a","env":{"A":"\\ud800"}}', 'env.A'],
      ['{"command":"a","stdin":"\\ud800"}', 'stdin'],
      ['{"command":"a","description":"\\u0000"}', 'description'],
      ['{"command":"a","tags":["\\ud800"]}', 'tags.0'],
      ['{"command":"a","owner":"\\u0000"}', 'owner'],
      ['{"command":"a","cwd":"here"}', 'cwd'],
      ['{"command":"a","cwd":""}', 'cwd'],
      ['{"command":"a","runbook":"javascript:alert(1)"}', 'runbook'],
      ['{"command":"a","runbook":"data:text/html,x"}', 'runbook'],
      ['{"command":"a","timezone":"Nowhere"}', 'timezone'],
      ['{"command":"a","startAt":"2026-02-30"}', 'startAt'],
      ['{"command":"a","endAt":"soon"}', 'endAt'],
      ['{"command":"a","except":["61 * * * *"]}', 'except.0'],
    ] as const) {
      const answer = await met('PUT', at, body);
      assert.deepEqual([answer.status, answer.named], [422, [named]], `${body} ${answer.detail}`);
    }
    const good = {
      ...{
        command: 'printf 😀',
        stdin: 'a\0b',
        runbook: 'https://wiki.example/x?y#z',
        cwd: '/',
        schedule: null,
      },
      ...{ timezone: 'Europe/Berlin', except: ['* * * * *'], endAt: '2020-01-01' },
    };
    const { status, json } = await api.ask('PUT', at, { body: good });
    assert.ok(status < 300, JSON.stringify(json));
  });

  it('of tokens, pauses and runs by hand are held to the same', async () => {
    for (const [path, body] of [
      ['/api/v1/tokens', '{"name":"x\\n","role":"viewer"}'],
      ['/api/v1/tokens', '{"name":"\\ud800","role":"viewer"}'],
      [`${at}/pause`, '{"reason":"\\u0000"}'],
      [`${at}/run`, '{"env":{"A":"\\ud800"}}'],
    ] as const)
      assert.equal((await met('POST', path, body)).status, 422, `${path} ${body}`);
  });
});

describe('a time', () => {
  it('may have any ISO 8601 offset', async () => {
    for (const [text, utc] of [
      ['2030-01-01T00:00:00+01', '2029-12-31T23:00:00.000Z'],
      ['2030-01-01T00:00-0330', '2030-01-01T03:30:00.000Z'],
      ['2030-01-01T00:00:00.5+05:45', '2029-12-31T18:15:00.500Z'],
      ['2030-01-01T00:00:00Z', '2030-01-01T00:00:00.000Z'],
    ]) {
      const { json } = await api.ask('POST', `${at}/pause`, { body: { until: text } });
      assert.equal(json.paused?.until, utc, text);
    }
    for (const text of [
      '2030-01-01T00:00:00',
      '2030-01-01T00:00:00+1',
      '2030-01-01T00:00:00+99',
      '2030-01-01',
    ])
      assert.equal((await api.ask('POST', `${at}/pause`, { body: { until: text } })).status, 422, text);
    await api.ask('POST', `${at}/resume`);
  });
});

describe('a YAML body', () => {
  it('with what YAML itself can not resolve is refused, and nothing is said on stderr', async () => {
    const warned: Error[] = [];
    const warn = (warning: Error) => warned.push(warning);
    process.on('warning', warn);
    const answer = await met('POST', '/api/v1/apply', 'jobs: !!js/function []', {
      'content-type': 'application/yaml',
    });
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', warn);
    assert.deepEqual([answer.status, answer.code, warned], [400, 'yaml_invalid', []]);
  });
});

describe('reading a job', () => {
  it('asks nothing of If-None-Match: a revision does not tell of the next and the last run', async () => {
    const tag = (await api.ask('GET', at)).headers.get('etag') ?? '';
    for (const none of [tag, '*', '"x", W/"y"'])
      assert.equal((await api.ask('GET', at, { headers: { 'if-none-match': none } })).status, 200, none);
    assert.equal((await api.ask('GET', at, { headers: { 'if-match': '"0"' } })).status, 412);
  });
});

describe("the course's forms", () => {
  it('that are not percent-encoded UTF-8, or say a thing twice, are refused', async () => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    for (const [inside, said] of [
      ['"command":"x%FF"', /not percent-encoded UTF-8/],
      ['"command":"x","command":"y"', /^command: /],
    ] as const) {
      const body = `job={"name":"c",${inside},"cronExpr":"* * * * *"}`;
      const { status, json } = await api.ask('POST', '/job/save', { body, headers });
      assert.deepEqual([status, json.errno], [200, -1]);
      assert.match(json.msg, said);
    }
    const body = `job=${new URLSearchParams({ j: '{"name":"c","command":"a + b%","cronExpr":"* * * * *"}' }).toString().slice(2)}`;
    assert.equal((await api.ask('POST', '/job/save', { body, headers })).json.errno, 0);
    const list = (await api.ask('GET', '/job/list')).json.data;
    assert.ok(list.some(({ command }: { command: string }) => command === 'a + b%'));
  });
});
