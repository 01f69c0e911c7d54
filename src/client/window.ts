/**
 * Being there for a while (protocol.md 13): register at every master, take what brokers ask, leave. A registration belongs to a
 * connection and a connection may be replaced, so the heartbeat is sent again and again, and everything ends with the window:
 * a function that is frozen would promise answers that it does not give.
 */
import { HeartBeat, type HeartbeatData, UnregisterClient } from '../commands/heartbeat.ts'
import { ConfigError, ConnectError, TimeoutError } from '../errors.ts'
import type { Connection } from '../net/connection.ts'
import { type CallOptions, type Deadline, ended, pause, within } from '../net/deadline.ts'
import { onceMore, repeat } from '../net/repeat.ts'
import { refuse } from '../wire/checks.ts'
import type { Frame, FrameInput } from '../wire/frame.ts'
import { findMasters, type Master } from './admin/masters.ts'
import type { Client } from './client.ts'

/** A master that could not be reached, or not all of the time: nobody answers what it asks. */
export interface Unreachable {
  brokerName: string
  address: string
  error: unknown
}

export interface WindowOptions {
  /** What it waits for; one of these at a time with one client. */
  name: string
  heartbeat: HeartbeatData
  times: WindowTimes
  /** Gives whether the request was taken; one that is not one-way is then answered by `answer`. */
  onRequest: (
    master: Master,
    frame: Frame,
    answer: (answer: Omit<FrameInput, 'opaque' | 'flag'>) => void,
  ) => boolean
  /** Ends the work that is under way, when nothing is taken any more. */
  finish: () => Promise<void>
}

export interface WindowTimes {
  /** When nothing is taken any more, epoch ms. */
  end: number
  /** Of what must be over before the connections are left. */
  deadline: Deadline
  /** Of all of it. */
  whole: Deadline
}

const HEARTBEAT_MS = 5_000
/** What is kept of the time for the last answers and for leaving. */
const LEAVE_MS = 1_000

/** @param answerMs how long an answer that is begun at the end may take */
export const windowTimes = (
  client: Client,
  { signal, deadlineMs }: CallOptions,
  windowMs: number,
  answerMs: number,
): WindowTimes => {
  const whole = client.deadline({
    signal,
    deadlineMs: deadlineMs ?? Date.now() + windowMs + answerMs + LEAVE_MS + client.timeoutMs,
  })
  return {
    end: Math.min(Date.now() + windowMs, whole.at - LEAVE_MS),
    deadline: { ...whole, at: whole.at - LEAVE_MS / 2 },
    whole,
  }
}

/** Gives the masters that could not be reached. @throws ConnectError when it is all of them */
export const openWindow = async (client: Client, options: WindowOptions): Promise<Unreachable[]> => {
  const { name, heartbeat, times, onRequest, finish } = options
  const { deadline, whole } = times
  const { network } = client
  const masters = await findMasters(client, deadline)
  const listening = new Set<Connection>()
  const unreachable = new Map<Master, unknown>()
  let isOpen = true

  const listen = async (master: Master): Promise<void> => {
    const connection = await network.pool.get(master.address, deadline)
    if (listening.has(connection)) return
    if (connection.listeners.has(name)) refuse(name, 'is running already with this client')
    connection.listeners.set(
      name,
      (frame) => isOpen && onRequest(master, frame, (given) => connection.answer(frame, given)),
    )
    listening.add(connection)
  }

  const register = async (master: Master): Promise<void> => {
    try {
      await repeat(async () => {
        await listen(master)
        await network.call(master.address, HeartBeat, {}, heartbeat, { deadline })
      }, onceMore)
      await listen(master) // the call may have replaced the connection
    } catch (error) {
      if (error instanceof ConfigError) throw error
      unreachable.set(master, error)
    }
  }

  try {
    for (let beat = 0; ; beat++) {
      // None may still be on its way when this one is left.
      const refused = (await Promise.allSettled(masters.map(register))).find(isRejected)
      if (refused) throw refused.reason
      if (beat === 0 && unreachable.size === masters.length) {
        const [error] = unreachable.values()
        throw new ConnectError('no master could be reached', { cause: error })
      }
      const left = times.end - Date.now()
      if (left <= 0) break
      await pause(Math.min(HEARTBEAT_MS, left), whole)
    }
    isOpen = false
    await finish()
  } finally {
    isOpen = false
    const own = { at: Math.max(Date.now() + 1, whole.at), explicit: false }
    // The registration ends with the connection, at the latest after 120 s.
    if (listening.size > 0)
      await Promise.all(
        masters.map((each) => unregister(client, each, heartbeat, own).catch(() => undefined)),
      )
    for (const { listeners } of listening) listeners.delete(name)
  }
  if (whole.signal?.aborted) throw ended(whole, name, {})
  return Array.from(unreachable, ([{ brokerName, address }, error]) => ({ brokerName, address, error }))
}

const isRejected = (result: PromiseSettledResult<void>): result is PromiseRejectedResult =>
  result.status === 'rejected'

/** Takes every group of a heartbeat back. */
export const unregister = async (
  client: Client,
  { address }: Pick<Master, 'address'>,
  { clientID, producerDataSet, consumerDataSet }: HeartbeatData,
  deadline: Deadline,
): Promise<void> => {
  const requests = [
    ...producerDataSet.map(({ groupName }) => ({ clientID, producerGroup: groupName })),
    ...consumerDataSet.map(({ groupName }) => ({ clientID, consumerGroup: groupName })),
  ]
  await Promise.all(
    requests.map((request) =>
      client.network.call(address, UnregisterClient, request, undefined, { deadline }),
    ),
  )
}

/**
 * Calls what the user gave, for no longer than it may take; the signal fires when the answer comes too late.
 * @throws what it throws, also at once; TimeoutError
 */
export const callUser = async <T>(
  what: string,
  timeoutMs: number,
  deadline: Deadline,
  call: (signal: AbortSignal) => T | Promise<T>,
): Promise<T> => {
  const stop = new AbortController()
  const at = Math.min(Date.now() + timeoutMs, deadline.at)
  // What the clock says is no measure: it may be slow beside the timer.
  let hasFailed = false
  try {
    const limit = { at, signal: deadline.signal, explicit: false }
    return await within<T>(limit, what, {}, (settle, reject) => {
      Promise.resolve()
        .then(() => call(stop.signal))
        .then(settle, (error: Error) => {
          hasFailed = true
          reject(error)
        })
    })
  } catch (error) {
    if (hasFailed) throw error
    // It is over, and need not go on.
    stop.abort(error)
    throw error instanceof TimeoutError
      ? new TimeoutError(`${what} took longer than it may`, { cause: error })
      : error
  }
}
