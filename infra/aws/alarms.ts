import type { Api } from './api.ts';
import type { Options } from './options.ts';

/** Tells somebody of errors, of a watchdog that has fallen silent, and of what it finds. Without somebody to tell there are none. */
export function makeAlarms({ alarmsTo }: Options, { handler }: Api, watchdog: sst.aws.Function): void {
  if (alarmsTo === null) return;
  const topic = new aws.sns.Topic('Alarms');
  new aws.sns.TopicSubscription('AlarmsByMail', { topic: topic.arn, protocol: 'email', endpoint: alarmsTo });

  const alarm = (
    name: string,
    alarmDescription: string,
    args: Omit<aws.cloudwatch.MetricAlarmArgs, 'evaluationPeriods'> & { evaluationPeriods: number },
  ) =>
    new aws.cloudwatch.MetricAlarm(name, {
      ...{ alarmDescription, alarmActions: [topic.arn], okActions: [topic.arn], period: 60 },
      ...args,
    });
  const lambda = (of: sst.aws.Function, metricName: string) => ({
    ...{ namespace: 'AWS/Lambda', metricName, statistic: 'Sum', dimensions: { FunctionName: of.name } },
  });
  const found = (metricName: string) => ({
    ...{ namespace: 'cronfleet', metricName, statistic: 'Minimum', dimensions: { Stage: $app.stage } },
  });
  const above = {
    comparisonOperator: 'GreaterThanThreshold',
    threshold: 0,
    treatMissingData: 'notBreaching',
  };

  alarm('ApiErrors', 'The API fails: see the log of its function', {
    ...{ ...lambda(handler, 'Errors'), ...above, evaluationPeriods: 3, datapointsToAlarm: 2 },
  });
  alarm('ApiThrottled', 'The API is called more often than its account allows functions to run', {
    ...{ ...lambda(handler, 'Throttles'), ...above, evaluationPeriods: 5, datapointsToAlarm: 3 },
  });
  alarm('WatchdogErrors', 'The watchdog can not see: it does not reach etcd, or its settings; see its log', {
    ...{ ...lambda(watchdog, 'Errors'), ...above, evaluationPeriods: 3, datapointsToAlarm: 2 },
  });
  alarm('WatchdogSilent', 'The watchdog has not looked for five minutes', {
    ...{ ...lambda(watchdog, 'Invocations'), evaluationPeriods: 5 },
    ...{ comparisonOperator: 'LessThanThreshold', threshold: 1, treatMissingData: 'breaching' },
  });
  alarm('JobsOverdue', 'Jobs are due that nobody decides: cronfleet why JOB INSTANT says why', {
    ...{ ...found('Overdue'), ...above, evaluationPeriods: 3, datapointsToAlarm: 3 },
  });
  alarm('WorkersDead', 'A worker is gone and nobody has closed its runs', {
    ...{ ...found('Dead'), ...above, evaluationPeriods: 3, datapointsToAlarm: 3 },
  });
}
