/** Header fields of the requests that the raw programs write: as text, so that places to patch can stand in them. */

/** Of a send, in the order of SEND_MESSAGE_V2. */
export interface SendFields {
  group: string
  topic: string
  queueId: number
  properties: string
  batch: boolean
}

export function sendHeader({ group, topic, queueId, properties, batch }: SendFields): Record<string, string> {
  return {
    a: group,
    b: topic,
    c: 'TBW102',
    d: '4',
    e: `${queueId}`,
    f: '0',
    g: `${Date.now()}`,
    h: '0',
    i: properties,
    j: '0',
    k: 'false',
    m: `${batch}`,
  }
}

export interface PullFields {
  group: string
  topic: string
  queueId: number
  offset: string
  maxMessages: number
}

export function pullHeader({
  group,
  topic,
  queueId,
  offset,
  maxMessages,
}: PullFields): Record<string, string> {
  return {
    consumerGroup: group,
    topic,
    queueId: `${queueId}`,
    queueOffset: offset,
    maxMsgNums: `${maxMessages}`,
    sysFlag: '4',
    commitOffset: '0',
    suspendTimeoutMillis: '0',
    subscription: '*',
    subVersion: '0',
    expressionType: 'TAG',
  }
}
