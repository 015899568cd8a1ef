import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parse, stringify } from 'yaml';
import { findPromtool } from '#infra/deploy/find-promtool.ts';
import { projectFolder } from '#infra/scripts/sources/project-files.ts';
import { Daemons } from '#test/etcd/daemons.ts';
import { run } from '#test/etcd/scripts.ts';
import { clusterForFile, etcds } from '#test/etcd/servers.ts';

const [programs] = await etcds();
const promtool = await findPromtool();
if (!programs || 'missing' in promtool) throw new Error('no etcd, or no promtool');
const { endpoints } = await clusterForFile({ programs });
const folder = mkdtempSync(join(tmpdir(), 'monitoring-'));
after(() => rmSync(folder, { recursive: true }));

const file = (name: string) => join(projectFolder, 'infra/monitoring', name);
const text = (name: string) => readFileSync(file(name), 'utf8');
const check = (...args: string[]) => run([promtool.path, ...args]);

interface Rule {
  alert: string;
  expr: string;
  labels: { severity: string };
  annotations: { summary: string; runbook_url: string };
}
const rules: Rule[] = parse(text('alerts.yaml')).groups.flatMap((group: { rules: Rule[] }) => group.rules);
interface Panel {
  id: number;
  type: string;
  title: string;
  targets?: { expr: string }[];
}
const panels: Panel[] = JSON.parse(text('dashboard.json')).panels;
const shown = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));

describe('rules and dashboard for Prometheus', { timeout: 300_000 }, () => {
  const fleet = new Daemons(folder, endpoints);
  /** What an agent and a server tell, by name. */
  const told = new Set<string>();
  before(async () => {
    const server = await fleet.server();
    await fleet.makeToken();
    const agent = await fleet.agent('w1', '--metrics', '0');
    const [of = ''] = /http:\S+\/metrics/.exec(agent.line) ?? [];
    const headers = { authorization: `Bearer ${fleet.token}` };
    for (const answer of [await fetch(of), await fetch(`${server.url}/metrics`, { headers })]) {
      assert.equal(answer.status, 200);
      for (const [, name = '', type] of (await answer.text()).matchAll(/^# TYPE (\S+) (\S+)$/gm))
        for (const end of type === 'histogram' ? ['_bucket', '_sum', '_count'] : ['']) told.add(name + end);
    }
  });
  after(() => fleet.stop());

  it('name nothing that agents and servers do not tell', () => {
    const named = [...rules.map(({ expr }) => expr), ...shown].flatMap(
      (expr) => expr.match(/\bcronfleet_\w+/g) ?? [],
    );
    assert.ok(new Set(named).size > 25, 'they name next to nothing');
    for (const name of new Set(named)) assert.ok(told.has(name), `${name} is told by nobody`);
  });

  it('are good rules, each of which fires where it should and only there', async () => {
    await check('check', 'rules', file('alerts.yaml'));
    await check('test', 'rules', file('alerts.test.yaml'));
    const tested: { name: string }[] = parse(text('alerts.test.yaml')).tests;
    assert.deepEqual(
      tested.map(({ name }) => name),
      rules.flatMap(({ alert }) => [`${alert} fires`, `${alert} keeps quiet`]),
    );
  });

  it('know of each other, and the runbook of each', () => {
    const runbook = readFileSync(join(projectFolder, 'infra/runbook.md'), 'utf8');
    const heads = new Set(
      [...runbook.matchAll(/^#+ (.+)$/gm)].map(([, head = '']) => head.toLowerCase().replaceAll(' ', '-')),
    );
    for (const { alert, annotations, labels } of rules) {
      assert.equal(annotations.runbook_url, `runbook.md#${alert.toLowerCase()}`);
      assert.ok(heads.has(alert.toLowerCase()), `the runbook does not say what ${alert} means`);
      assert.match(labels.severity, /^(critical|warning|info)$/);
    }
  });

  it('are shown by panels whose expressions Prometheus takes', async () => {
    const probe = join(folder, 'panels.yaml');
    const asRules = shown.map((expr, n) => ({
      record: `panel:${n}`,
      expr: expr.replaceAll('$__rate_interval', '5m'),
    }));
    writeFileSync(probe, stringify({ groups: [{ name: 'panels', rules: asRules }] }));
    assert.match(await check('check', 'rules', probe), new RegExp(`${shown.length} rules found`));
    const ids = panels.map(({ id }) => id);
    assert.equal(new Set(ids).size, ids.length);
    for (const { type, title, targets } of panels)
      assert.ok(title !== '' && (type === 'row' || (targets?.length ?? 0) > 0), title);
  });

  it('are fetched by configurations that Prometheus takes', async () => {
    await check('check', 'config', '--syntax-only', file('prometheus.yaml'));
    await check('check', 'config', '--agent', '--syntax-only', file('collector.yaml'));
    const names = [
      ...parse(text('prometheus.yaml')).scrape_configs,
      ...parse(text('collector.yaml')).scrape_configs,
    ];
    const jobs = new Set(names.map(({ job_name }: { job_name: string }) => job_name));
    for (const { expr } of rules)
      for (const [, job] of expr.matchAll(/job="([^"]+)"/g)) assert.ok(jobs.has(job ?? ''), job);
  });
});
