// Stands in for AWS's own runtime client: asks the Runtime API for events, one after the other, and hands them to the handler.
const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime`;
const [file, name] = process.env._HANDLER.split('.');
const { [name]: handler } = await import(`${process.env.LAMBDA_TASK_ROOT}/${file}.mjs`);
for (;;) {
  const next = await fetch(`${api}/invocation/next`);
  const id = next.headers.get('lambda-runtime-aws-request-id');
  const deadline = Number(next.headers.get('lambda-runtime-deadline-ms'));
  const context = { awsRequestId: id, getRemainingTimeInMillis: () => deadline - Date.now() };
  const [kind, body] = await next
    .json()
    .then((event) => handler(event, context))
    .then(
      (answer) => ['response', JSON.stringify(answer)],
      (error) => ['error', JSON.stringify({ errorType: error?.name, errorMessage: error?.message })],
    );
  await fetch(`${api}/invocation/${id}/${kind}`, { method: 'POST', body });
}
