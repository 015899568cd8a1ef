import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as v from 'valibot';
import { planDelivery } from '#core/decide/alerts/delivery.ts';
import { type FleetFacts, fleetAlerts, type WatchedWorker } from '#core/decide/alerts/fleet-alerts.ts';
import { quietUntil } from '#core/decide/alerts/quiet-hours.ts';
import { fleetRecovery, jobRecovery } from '#core/decide/alerts/recovery.ts';
import { alertsOfRun, lateAlert } from '#core/decide/alerts/run-alerts.ts';
import { type Alert, fleetNotices, newAlert } from '#core/model/alert.ts';
import { instantText } from '#core/model/ids.ts';
import { Job, type JobInput } from '#core/model/job.ts';
import { blankRun, type Run } from '#core/model/run.ts';

const minute = 60_000;
const t = Date.UTC(2026, 10, 22, 12);
const all = ['failed', 'timed_out', 'lost', 'missed', 'late'] as const;

const job = (more: Partial<JobInput> = {}) =>
  v.parse(Job, {
    ...{ group: 'g', name: 'a', command: 'x' },
    notify: [
      { on: [...all], to: ['mail'] },
      { on: ['failed', 'recovered'], to: ['chat', 'mail'] },
    ],
    ...more,
  });
const run = (more: Partial<Run> = {}) => {
  const { attempt = 1 } = more;
  return blankRun({
    ...{ id: `g~a~${instantText(t)}~${attempt}`, group: 'g', name: 'a', state: 'failed', instant: t },
    ...{ startedAt: t, endedAt: t + minute, worker: 'w', reason: 'exit status 3', ...more },
  });
};
const alert = (id: string, more: Partial<Alert> = {}) =>
  newAlert({ id, kind: 'failed', about: 'g/a', job: 'g/a', at: t, title: id, to: ['mail'], ...more });

describe("a job's rules", () => {
  const told = (spec: Job, record: Run) => alertsOfRun(spec, record).map(({ kind, to }) => [kind, ...to]);
  const retried = job({ retry: { attempts: 2 } });
  const sure = job({ guarantee: 'at-least-once' });
  const bounded = job({ finishBy: '30s' });
  const rows: [string, Job, Run, string[][]][] = [
    ['a failure, each channel once', job(), run(), [['failed', 'mail', 'chat']]],
    ['nothing of what went well', job(), run({ state: 'succeeded' }), []],
    ['nothing of what lives', job(), run({ state: 'running' }), []],
    ['nothing of what somebody killed or skipped', job(), run({ state: 'killed' }), []],
    ['nothing without rules', job({ notify: [] }), run(), []],
    ['nothing while an attempt follows', retried, run({ attempt: 2, state: 'timed_out' }), []],
    ['the last attempt', retried, run({ attempt: 3, state: 'timed_out' }), [['timed_out', 'mail']]],
    ['a loss', job(), run({ state: 'lost' }), [['lost', 'mail']]],
    ['no loss that is made good', sure, run({ state: 'lost' }), []],
    ['the third loss', sure, run({ state: 'lost', attempt: 3 }), [['lost', 'mail']]],
    ['what was missed', job(), run({ state: 'missed', startedAt: null }), [['missed', 'mail']]],
    ['what was late and went well', bounded, run({ state: 'succeeded' }), [['late', 'mail']]],
    [
      'what was late and failed',
      bounded,
      run(),
      [
        ['failed', 'mail', 'chat'],
        ['late', 'mail'],
      ],
    ],
    ['no manual run as late', bounded, run({ state: 'succeeded', instant: null }), []],
    [
      'what never ran as missed, not late',
      bounded,
      run({ state: 'missed', startedAt: null }),
      [['missed', 'mail']],
    ],
  ];
  for (const [what, spec, record, expected] of rows)
    it(`tell ${what}`, () => assert.deepEqual(told(spec, record), expected));

  it('say the same of the same record, and what a person wants to know', () => {
    const spec = job({ owner: 'ann', runbook: 'https://wiki/a' });
    const record = run({ tail: `${'x\n'.repeat(50)}No space left on device\n` });
    const [first] = alertsOfRun(spec, record);
    assert.deepEqual(alertsOfRun(spec, record)[0], first);
    assert.equal(first?.title, 'g/a failed: exit status 3');
    assert.match(
      first?.text ?? '',
      /worker: w[\s\S]*owner: ann\nrunbook: https:\/\/wiki\/a\n\n[\s\S]*No space left/,
    );
    assert.equal((first?.text ?? '').match(/^x$/gm)?.length, 11, 'the end of its output');
  });
  it('are told at once, though the clock that says when it ended has stepped an hour on', () => {
    const [one] = alertsOfRun(job(), run({ plannedAt: t, endedAt: t + 60 * minute }));
    assert.deepEqual([one?.at, one?.due], [t + 60 * minute, t]);
  });
  it('give the output as a terminal shows it', () => {
    const [one] = alertsOfRun(job(), run({ tail: '\x1b[31mred\x1b[0m\r\n10%\r50%\r100%\n' }));
    assert.match(one?.text ?? '', /\n\nred\n100%$/);
  });
  it('are kept where nobody is told of the failure, but of the recovery', () => {
    const [one] = alertsOfRun(job({ notify: [{ on: ['recovered'], to: ['mail'] }] }), run());
    assert.deepEqual([one?.to, one?.recoverTo], [[], ['mail']]);
  });
  it('call a run late once, whether it lives or has ended, and whichever attempt it is', () => {
    const living = run({ state: 'claimed', startedAt: null, claimedAt: t, endedAt: null });
    assert.equal(lateAlert(bounded, living, t + 30_000), null);
    const late = lateAlert(bounded, living, t + 30_001);
    const [, ended] = alertsOfRun(bounded, run({ attempt: 2 }));
    assert.deepEqual([late?.id, late?.due], [ended?.id, t + 30_001]);
  });
  it('keep the workers apart where every worker runs the job', () => {
    const [one] = alertsOfRun(job(), run({ id: `g~a~${instantText(t)}~1~w1` }));
    assert.deepEqual([one?.about, one?.job], ['g/a~w1', 'g/a']);
  });
});

describe('a job is well again', () => {
  const open = [
    alert('one', { recoverTo: ['mail'] }),
    alert('two', { at: t + 1, kind: 'timed_out', recoverTo: ['chat'] }),
  ];
  it('when its last run succeeded, which is said once to all who asked', () => {
    const { over, notice } = jobRecovery(open, job(), run({ state: 'succeeded' }), t + 9);
    assert.deepEqual(over, ['one', 'two']);
    assert.deepEqual(
      [notice?.id, notice?.to, notice?.open, notice?.due],
      ['recovered~one', ['mail', 'chat'], false, t + 9],
    );
  });
  it('and not before', () => {
    for (const last of [null, run(), run({ state: 'running' }), run({ state: 'skipped' })])
      assert.deepEqual(jobRecovery(open, job(), last, t).over, []);
  });
  it('and what only repeats what was told is not told any more', () => {
    const told = { ...alert('first'), told: [{ channel: 'mail', at: t }], due: null };
    const again = [alert('again', { at: t + 1 }), alert('elsewhere', { at: t + 2, to: ['mail', 'chat'] })];
    const { over, withdrawn } = jobRecovery([told, ...again], job(), run({ state: 'succeeded' }), t);
    assert.deepEqual([over, withdrawn], [['first', 'elsewhere'], ['again']]);
  });
  it('without a word where nobody asked, or the job is gone', () => {
    assert.equal(jobRecovery([alert('one')], job(), run({ state: 'succeeded' }), t).notice, null);
    assert.deepEqual(jobRecovery(open, null, null, t), { over: ['one', 'two'], withdrawn: [], notice: null });
  });
  it('in time only by a later run that was in time', () => {
    const late = [alert('late', { kind: 'late', run: run().id })];
    const spec = job({ finishBy: '2m' });
    const after = (more: Partial<Run>) =>
      jobRecovery(late, spec, run({ state: 'succeeded', ...more }), t).over.length;
    assert.equal(after({}), 0, 'its own end');
    assert.equal(after({ id: 'g~a~later~1', endedAt: t + 3 * minute }), 0);
    assert.equal(after({ id: 'g~a~later~1' }), 1);
  });
});

describe('of the fleet', () => {
  const worker = (id: string, more: Partial<WatchedWorker> = {}): WatchedWorker => ({
    ...{ id, state: 'live', left: false, lastBeat: t, clockSkewMs: 0, spool: 0, ...more },
  });
  const facts = (more: Partial<FleetFacts> = {}): FleetFacts => ({
    ...{ now: t + minute, workers: [worker('w1')], loadsKnown: true, unfit: [], scheduled: 3, overdue: [] },
    ...{ dead: [], ...more },
  });
  const ops = [{ name: 'ops', on: fleetNotices }];
  const raised = (more: Partial<FleetFacts>, open: Alert[] = []) =>
    fleetAlerts(facts(more), open, ops).raised.map(({ kind, about }) => `${kind} ${about}`);
  const gone = worker('w2', { state: 'dead' });
  const late = { job: 'g/a', lane: '~', instant: t, count: 2, why: 'w1 is full', ahead: null };
  const rows: [string, Partial<FleetFacts>, string[]][] = [
    ['nothing of a fleet that is well', {}, []],
    ['who died', { workers: [worker('w1'), gone] }, ['worker_dead worker:w2']],
    ['nobody who said goodbye', { workers: [worker('w1'), { ...gone, left: true }] }, []],
    ['nobody who has gone a moment ago', { workers: [worker('w1'), { ...gone, lastBeat: t + 40_000 }] }, []],
    ['nobody as dead where History did not answer', { workers: [worker('w1'), gone], loadsKnown: false }, []],
    [
      'a clock that is off, and a spool above half',
      { workers: [worker('w1', { clockSkewMs: -700, spool: 0.51 })] },
      ['clock_skewed worker:w1', 'spool_half_full worker:w1'],
    ],
    ['neither at the edge', { workers: [worker('w1', { clockSkewMs: 500, spool: 0.5 })] }, []],
    [
      'a job that nobody fits, and one that is overdue',
      { unfit: [{ job: 'g/b', why: '' }], overdue: [late] },
      ['no_worker g/b', 'overdue g/a'],
    ],
    [
      'only that there is nobody, where there is nobody',
      { workers: [], unfit: [{ job: 'g/b', why: '' }], overdue: [late] },
      ['no_worker fleet'],
    ],
    ['nothing where there is nobody and nothing to do', { workers: [], scheduled: 0 }, []],
  ];
  for (const [what, more, expected] of rows)
    it(`it tells ${what}`, () => assert.deepEqual(raised(more), expected));

  it('it tells a job that stands still from one that is late', () => {
    const [one] = fleetAlerts(facts({ overdue: [{ ...late, ahead: t + 60 * minute }] }), [], ops).raised;
    assert.match(one?.title ?? '', /^g\/a stands still: its cursor is ahead of the clock, at 2026-/);
    assert.equal(one?.text, late.why);
  });

  it('only channels that ask are told, and nobody twice of what stands', () => {
    const some = [
      { name: 'ops', on: ['worker_dead'] as const },
      { name: 'chat', on: [] },
    ];
    const first = fleetAlerts(facts({ workers: [gone] }), [], some).raised;
    assert.deepEqual(
      first.map(({ kind, to, recoverTo }) => [kind, to, recoverTo]),
      [['worker_dead', ['ops'], ['ops']]],
    );
    assert.deepEqual(fleetAlerts(facts({ workers: [gone], now: t + 9 * minute }), first, some).raised, []);
  });
  it('two looks at once say the same of the same', () => {
    const ids = (now: number) =>
      fleetAlerts(facts({ workers: [worker('w1'), gone], now }), [], ops).raised.map(({ id }) => id);
    assert.deepEqual(ids(t + 9 * minute)[0], ids(t + 10 * minute)[0]);
    assert.match(ids(t + 9 * minute)[0] ?? '', /^[A-Za-z0-9._~-]+$/);
  });
  it('what passes within a minute wakes nobody', () => {
    const [one] = fleetAlerts(facts({ workers: [] }), [], ops).raised;
    assert.equal(one?.due, t + 2 * minute);
    const { over } = fleetAlerts(facts(), [one as Alert], ops);
    assert.deepEqual(fleetRecovery(over, t), { over: [], withdrawn: [one?.id], notice: null });
  });
  it('what is over is taken back from those who were told', () => {
    const told = [{ channel: 'ops', at: t }];
    const [one] = fleetAlerts(facts({ workers: [worker('w1'), gone] }), [], ops).raised.map((each) => ({
      ...each,
      told,
    }));
    const { over } = fleetAlerts(facts(), [one as Alert], ops);
    const { notice, over: ended } = fleetRecovery(over, t + 5 * minute);
    assert.deepEqual([notice?.id, notice?.to, ended], [`recovered~${one?.id}`, ['ops'], [one?.id]]);
    assert.match(notice?.title ?? '', /^over: worker w2 is dead/);
    assert.deepEqual(fleetAlerts(facts({ loadsKnown: false }), [one as Alert], ops).over, [], 'not seen');
  });
  it('nothing is taken back while somebody is being told of it', () => {
    assert.deepEqual(fleetRecovery([alert('x', { by: 'somebody' })], t), {
      over: [],
      withdrawn: [],
      notice: null,
    });
  });
});

describe('a delivery', () => {
  const channels = new Map([
    ['mail', { quiet: null }],
    ['chat', { quiet: null }],
  ]);
  const plan = (due: Alert[], more: Partial<Parameters<typeof planDelivery>[0]> = {}) =>
    planDelivery({ due, open: due.filter(({ open }) => open), told: [], channels, now: t, ...more });
  const messages = (given: ReturnType<typeof planDelivery>) =>
    given.messages.map(({ channel, alerts }) => [channel, ...alerts.map(({ id }) => id)]);
  const good = new Map([
    ['mail', null],
    ['chat', null],
  ]);

  it('is one message for each channel, oldest first, however many alerts there are', () => {
    const storm = Array.from({ length: 300 }, (_, n) =>
      alert(`a${n}`, { about: `g/${n}`, at: t - n, to: n % 2 ? ['mail'] : ['mail', 'chat'] }),
    );
    const made = plan(storm).messages;
    assert.deepEqual(
      made.map(({ channel, alerts }) => [channel, alerts.length, alerts[0]?.id]),
      [
        ['chat', 150, 'a298'],
        ['mail', 300, 'a299'],
      ],
    );
  });
  it('tells a repeated failure as part of the first, until that is over', () => {
    const first = alert('first', { told: [{ channel: 'mail', at: t - 1 }], due: null });
    const [again, other] = [alert('again', { at: t + 1 }), alert('other', { kind: 'lost' })];
    const made = plan([again, other], { open: [again, other, first] });
    assert.deepEqual(messages(made), [['mail', 'other']]);
    assert.deepEqual(
      made.settle(good).map(({ id, partOf, due }) => [id, partOf, due]),
      [
        ['again', 'first', null],
        ['other', null, null],
      ],
    );
    assert.deepEqual(messages(plan([again], { open: [again] })), [['mail', 'again']]);
  });
  it('tells a repeated one to who has not heard of the first', () => {
    const first = alert('first', { told: [{ channel: 'mail', at: t - 1 }] });
    const again = alert('again', { to: ['mail', 'chat'] });
    const made = plan([again], { open: [again, first] });
    assert.deepEqual(messages(made), [['chat', 'again']]);
    assert.equal(made.settle(good)[0]?.partOf, null);
  });
  it('of a backlog of one job is one alert', () => {
    const many = [3, 1, 2].map((at) => alert(`a${at}`, { at: t + at }));
    const made = plan(many);
    assert.deepEqual(messages(made), [['mail', 'a1']]);
    assert.deepEqual(
      made.settle(good).map(({ partOf }) => partOf),
      ['a1', null, 'a1'],
    );
  });
  it('of what nobody is to be told of counts what comes up again as part of the first', () => {
    const [one, again] = [alert('one', { to: [] }), alert('again', { to: [], at: t + 1 })];
    assert.deepEqual(messages(plan([one, again])), []);
    const settled = plan([one, again]).settle(good);
    assert.deepEqual(
      settled.map(({ due, partOf }) => [due, partOf]),
      [
        [null, null],
        [null, 'one'],
      ],
    );
  });
  it('of a backlog that is over already is one alert too, and another time is another', () => {
    const over = { open: false, endedAt: t + 5 };
    const many = [alert('a', over), alert('b', { at: t + 1, ...over }), alert('c', { at: t + 9 })];
    assert.deepEqual(messages(plan(many)), [['mail', 'a', 'c']]);
  });
  it('is tried again later and later where it did not come about, for the channels that are left', () => {
    const one = alert('one', { to: ['mail', 'chat'] });
    const results = new Map([
      ['mail', null],
      ['chat', 'HTTP 500'],
    ]);
    const [after] = plan([one]).settle(results);
    assert.deepEqual(after, {
      ...{ id: 'one', due: t + 10_000, tries: 1, told: [{ channel: 'mail', at: t }], partOf: null },
      problem: 'chat: HTTP 500',
    });
    const second = plan([{ ...one, ...after, tries: 3 }]);
    assert.deepEqual(messages(second), [['chat', 'one']]);
    assert.equal(second.settle(results)[0]?.due, t + 80_000);
    const tried = { ...one, at: t - 86_400_000, tries: 11 };
    const dayOn = plan([tried]).settle(results)[0];
    assert.deepEqual([dayOn?.due, dayOn?.problem], [null, 'chat: HTTP 500'], 'given up after a day');
    const late = plan([{ ...tried, tries: 0 }]).settle(results)[0];
    assert.equal(late?.due, t + 10_000, 'not what came a day late itself');
  });
  it('to a channel that is not there waits for it, and says so', () => {
    const [after] = plan([alert('one', { to: ['gone'] })]).settle(good);
    assert.deepEqual([after?.due, after?.problem], [t + 10_000, 'gone: there is no such channel']);
  });
  it('of more than three in a minute waits, and is one digest then', () => {
    const told = [50, 40, 30].map((s) => ({ channel: 'mail', at: t - s * 1_000 }));
    const made = plan([alert('one'), alert('two', { about: 'g/b' })], { told });
    assert.deepEqual(messages(made), []);
    assert.deepEqual(
      made.settle(good).map(({ due }) => due),
      [t + 30_000, t + 30_000],
    );
    assert.equal(plan([alert('one')], { told: told.slice(1) }).messages.length, 1);
  });
  it('in quiet hours waits for their end', () => {
    const quiet = { from: '22:00', to: '13:30', timezone: 'UTC' };
    const made = plan([alert('one', { to: ['mail', 'chat'] })], {
      channels: new Map([
        ['mail', { quiet }],
        ['chat', { quiet: null }],
      ]),
    });
    assert.deepEqual(messages(made), [['chat', 'one']]);
    const [after] = made.settle(good);
    assert.deepEqual([after?.due, after?.told.length], [t + 90 * minute, 1]);
  });
});

describe('quiet hours', () => {
  const at = (iso: string) => Date.parse(iso);
  const berlin = { from: '22:00', to: '07:00', timezone: 'Europe/Berlin' };
  const rows: [string, { from: string; to: string; timezone: string } | null, string, string | null][] = [
    ['none', null, '2026-11-22T23:00:00Z', null],
    ['over midnight, before it', berlin, '2026-11-22T21:30:10Z', '2026-11-23T06:00:00Z'],
    ['over midnight, behind it', berlin, '2026-11-22T23:30:00Z', '2026-11-23T06:00:00Z'],
    ['not yet', berlin, '2026-11-22T20:59:59Z', null],
    ['over', berlin, '2026-11-23T06:00:00Z', null],
    ['over midnight, when clocks go on meanwhile', berlin, '2026-03-28T22:30:00Z', '2026-03-29T05:00:00Z'],
    ['over midnight, when clocks go back meanwhile', berlin, '2026-10-24T22:30:00Z', '2026-10-25T06:00:00Z'],
    [
      'within a day',
      { ...berlin, from: '12:00', to: '13:00' },
      '2026-07-01T10:59:00Z',
      '2026-07-01T11:00:00Z',
    ],
  ];
  for (const [what, quiet, now, expected] of rows)
    it(what, () => assert.equal(quietUntil(quiet, at(now)), expected === null ? null : at(expected)));
});
