import type { Change, Compare, Entry, Op, OpResult, Range, RangeOptions, Txn } from '#core/ports/kv.ts';

// etcd's messages as etcd3 hands them over (64-bit numbers and enums are text, `response` names the member of a union that is
// there), as far as we use them, and the port's terms in them.

export interface Header {
  revision: string;
}
interface KeyValue {
  key: Buffer;
  value: Buffer;
  create_revision: string;
  mod_revision: string;
  version: string;
  lease: string;
}
export interface RangeAnswer {
  header: Header;
  kvs: KeyValue[];
  more: boolean;
  count: string;
}
export interface TxnAnswer {
  header: Header;
  succeeded: boolean;
  responses: ResponseOp[];
}
type ResponseOp =
  | { response: 'response_put' }
  | { response: 'response_delete_range'; response_delete_range: { deleted: string } }
  | { response: 'response_range'; response_range: RangeAnswer }
  | { response: 'response_txn'; response_txn: TxnAnswer };
export interface WatchAnswer {
  header: Header;
  created: boolean;
  canceled: boolean;
  compact_revision: string;
  cancel_reason: string;
  fragment: boolean;
  events: { type: 'Put' | 'Delete'; kv: KeyValue }[];
}

export function rangeRequest(range: Range, options: RangeOptions = {}): object {
  return {
    ...keys(range),
    limit: options.limit ?? 0,
    revision: options.revision ?? 0,
    keys_only: options.keysOnly ?? false,
    count_only: options.countOnly ?? false,
  };
}

export function txnRequest({ compare, then, else: otherwise = [] }: Txn): object {
  return {
    compare: compare.map(compareRequest),
    success: then.map(opRequest),
    failure: otherwise.map(opRequest),
  };
}

/** In etcd3's own spelling of etcd's names: another would silently count as the first, `Equal`. */
const operators = { '=': 'Equal', '!=': 'NotEqual', '<': 'Less', '>': 'Greater' };

function compareRequest(compare: Compare): object {
  const common = { ...keys(compare), result: operators[compare.op] };
  switch (compare.target) {
    case 'create':
      return { ...common, target: 'Create', create_revision: compare.revision };
    case 'mod':
      return { ...common, target: 'Mod', mod_revision: compare.revision };
    case 'version':
      return { ...common, target: 'Version', version: compare.version };
    case 'value':
      return { ...common, target: 'Value', value: Buffer.from(compare.value) };
  }
}

function opRequest(op: Op): object {
  switch (op.type) {
    case 'put':
      return {
        request_put: { key: Buffer.from(op.key), value: Buffer.from(op.value), lease: op.lease ?? 0 },
      };
    case 'delete':
      return { request_delete_range: keys(op) };
    case 'range':
      return { request_range: rangeRequest(op, op) };
    case 'txn':
      return { request_txn: txnRequest(op.txn) };
  }
}

function keys({ key, end }: Range): { key: Buffer; range_end?: Buffer } {
  return { key: Buffer.from(key), ...(end !== undefined && { range_end: Buffer.from(end) }) };
}

/** What the operations of the branch that was taken came to. */
export function opResults(
  answer: Omit<TxnAnswer, 'header'>,
  { then, else: otherwise = [] }: Txn,
): OpResult[] {
  const ops = answer.succeeded ? then : otherwise;
  return answer.responses.map((response, at) => opResult(response, ops[at]));
}

function opResult(answer: ResponseOp, op: Op | undefined): OpResult {
  switch (answer.response) {
    case 'response_put':
      return { type: 'put' };
    case 'response_delete_range':
      return { type: 'delete', deleted: Number(answer.response_delete_range.deleted) };
    case 'response_range': {
      const { kvs, more, count } = answer.response_range;
      const bare = op?.type === 'range' && op.keysOnly;
      return { type: 'range', entries: kvs.map((kv) => entryOf(kv, bare)), count: Number(count), more };
    }
    case 'response_txn': {
      const { succeeded } = answer.response_txn;
      const results = op?.type === 'txn' ? opResults(answer.response_txn, op.txn) : [];
      return { type: 'txn', succeeded, results };
    }
  }
}

/** `bare`: of a read that asked for keys only, where 3.4 tells the lease and 3.7 does not. */
export function entryOf(kv: KeyValue, bare = false): Entry {
  return {
    key: kv.key.toString(),
    value: kv.value.toString(),
    create: kv.create_revision,
    mod: kv.mod_revision,
    version: Number(kv.version),
    lease: bare || kv.lease === '0' ? null : kv.lease,
  };
}

export function changeOf({ type, kv }: WatchAnswer['events'][number]): Change {
  return type === 'Put'
    ? { type: 'put', entry: entryOf(kv) }
    : { type: 'delete', key: kv.key.toString(), mod: kv.mod_revision };
}
