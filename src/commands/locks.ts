/**
 * LOCK_BATCH_MQ 41 and UNLOCK_BATCH_MQ 42 (protocol.md 11; upstream LockBatchRequestBody, LockBatchResponseBody).
 * The broker keeps a table of leases in memory and checks nothing else: any group, topic and queue is accepted, a
 * restart forgets all, and pulls, acks and commits never look at it.
 */
import { type BodyCodec, type Command, defineCommand, type NoFields } from './define.ts'
import { boolean, jsonAnswer, jsonBody, jsonRequest, list, object, orElse, type Read, text } from './json.ts'
import { type MessageQueue, readMessageQueue, writeMessageQueue } from './message-queue.ts'

/** How long a lease lasts after its last grant: `rocketmq.broker.rebalance.lockMaxLiveTime`, 60 s unless changed. */
export const LOCK_LEASE_MS = 60_000

export interface LockBatchRequestBody {
  consumerGroup: string
  /** The holder. Unique per invocation: the same id is granted its own lease again, also on another connection. */
  clientId: string
  /** With strict locking on the broker: do not ask the other replicas. @default false */
  onlyThisBroker?: boolean
  /** Queues of this broker, spelled as all other clients spell them. */
  mqSet: readonly MessageQueue[]
}

export interface LockBatchResponseBody {
  /** The queues of the request that `clientId` now holds. */
  lockOKMQSet: readonly MessageQueue[]
}

const requestBody: BodyCodec<LockBatchRequestBody> = /* @__PURE__ */ jsonBody(
  'lock',
  /* @__PURE__ */ object<LockBatchRequestBody>({
    consumerGroup: text,
    clientId: text,
    onlyThisBroker: /* @__PURE__ */ orElse(boolean, false),
    mqSet: /* @__PURE__ */ orElse(/* @__PURE__ */ list(readMessageQueue), []),
  }),
  (body) => ({ ...body, mqSet: body.mqSet.map(writeMessageQueue) }),
)

const readLocked: Read<LockBatchResponseBody> = /* @__PURE__ */ object<LockBatchResponseBody>({
  lockOKMQSet: /* @__PURE__ */ orElse(/* @__PURE__ */ list(readMessageQueue), []),
})

const responseBody: BodyCodec<LockBatchResponseBody> = /* @__PURE__ */ jsonBody(
  'locked',
  readLocked,
  (body) => ({ lockOKMQSet: body.lockOKMQSet.map(writeMessageQueue) }),
)

/** Takes or renews leases. Code 0 also when nothing was granted: only `lockOKMQSet` says what is held. */
export const LockBatchMQ: Command<NoFields, NoFields, LockBatchRequestBody, LockBatchResponseBody> =
  /* @__PURE__ */ defineCommand({
    code: 41,
    name: 'LOCK_BATCH_MQ',
    effect: 'idempotent',
    requestBody,
    responseBody,
  })

/** Gives leases back. Code 0 always; queues that `clientId` does not hold are ignored. */
export const UnlockBatchMQ: Command<NoFields, NoFields, LockBatchRequestBody> = /* @__PURE__ */ defineCommand(
  {
    code: 42,
    name: 'UNLOCK_BATCH_MQ',
    effect: 'idempotent',
    requestBody,
  },
)

/** LOCK_BATCH_MQ for those who only ask; a queue must have no other members. */
export const AskLockBatchMQ: typeof LockBatchMQ = /* @__PURE__ */ defineCommand({
  code: 41,
  name: 'LOCK_BATCH_MQ',
  effect: 'idempotent',
  requestBody: jsonRequest,
  responseBody: /* @__PURE__ */ jsonAnswer('locked', readLocked),
})

/** UNLOCK_BATCH_MQ for those who only ask; a queue must have no other members. */
export const AskUnlockBatchMQ: typeof UnlockBatchMQ = /* @__PURE__ */ defineCommand({
  code: 42,
  name: 'UNLOCK_BATCH_MQ',
  effect: 'idempotent',
  requestBody: jsonRequest,
})
