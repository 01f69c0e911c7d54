/**
 * docs/origin.md maps every part of the document this project started from. The lists below are the names that stand in
 * that document; what the page names here must exist under that name.
 */
import { deepStrictEqual } from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'

const root = join(import.meta.dirname, '..')
const page = readFileSync(join(root, 'docs/origin.md'), 'utf8')

const FILES = `__init__.py models.py client.py producer.py consumer.py errors.py config.py factory.py utils.py broker.md`

const PYTHON = `MessageQueue MessageExt ProducerData ConsumerData SendMessageResult PullMessageResult OffsetResult ConsumeType
  MessageModel ConsumeFromWhere BrokerClient AsyncBrokerClient DefaultProducer PushConsumer PullConsumer BrokerError BrokerConfig
  BrokerClientFactory`

const FIELDS = `topic broker_name queue_id tags keys group_name consume_type message_model consume_from_where subscription_data
  msg_id queue_offset messages next_begin_offset min_offset max_offset suggest_which_broker_id offset retry_times set_property
  to_dict from_dict from_bytes regionId ast.literal_eval`

const REQUESTS: Readonly<Record<string, number>> = {
  ReqSendMessage: 10,
  ReqPullMessage: 11,
  ReqQueryMessage: 12,
  ReqQueryConsumerOffset: 14,
  ReqUpdateConsumerOffset: 15,
  ReqCreateTopic: 17,
  ReqSearchOffsetByTimestamp: 29,
  ReqGetMaxOffset: 30,
  ReqGetMinOffset: 31,
  ReqViewMessageByID: 33,
  ReqHeartBeat: 34,
  ReqConsumerSendMsgBack: 36,
  ReqENDTransaction: 37,
  ReqGetConsumerListByGroup: 38,
  ReqLockBatchMQ: 41,
  ReqUnlockBatchMQ: 42,
  ReqGetRouteInfoByTopic: 105,
  ReqGetBrokerClusterInfo: 106,
  ReqSendBatchMessage: 320,
  ReqCheckTransactionState: 39,
  ReqNotifyConsumerIdsChanged: 40,
  ReqGetAllTopicListFromNameServer: 206,
  ReqDeleteTopicInBroker: 215,
  ReqDeleteTopicInNameSrv: 216,
  ReqResetConsumerOffset: 220,
  ReqGetConsumerRunningInfo: 307,
  ReqConsumeMessageDirectly: 309,
  ReqPutMsgNo: 1001,
  ReqGetMsgNo: 1011,
}

/** The structures of headers, and their methods. */
const HEADERS: Readonly<Record<string, string>> = {
  SendMessageRequestHeader: 'Encode',
  SendMessageRequestV2Header: 'Encode',
  EndTransactionRequestHeader: 'Encode',
  CheckTransactionStateRequestHeader: 'Encode Decode',
  ConsumerSendMsgBackRequestHeader: 'Encode',
  PullMessageRequestHeader: 'Encode',
  GetConsumerListRequestHeader: 'Encode',
  GetMaxOffsetRequestHeader: 'Encode',
  QueryConsumerOffsetRequestHeader: 'Encode',
  SearchOffsetRequestHeader: 'Encode',
  UpdateConsumerOffsetRequestHeader: 'Encode',
  GetRouteInfoRequestHeader: 'Encode',
  GetConsumerRunningInfoHeader: 'Encode Decode',
  QueryMessageRequestHeader: 'Encode Decode',
  ViewMessageRequestHeader: 'Encode',
  CreateTopicRequestHeader: 'Encode',
  TopicListRequestHeader: 'Encode',
  DeleteTopicRequestHeader: 'Encode',
  ResetOffsetHeader: 'Encode Decode',
  ConsumeMessageDirectlyHeader: 'Encode Decode',
  SaveOrGetMsgNoHeader: 'Encode',
}

describe('docs/origin.md', () => {
  it('names every file, class, enum and field of the original document', () => {
    const missing = [FILES, PYTHON, FIELDS]
      .flatMap((names) => names.split(/\s+/))
      .filter((name) => !page.includes(`\`${name}\``))
    deepStrictEqual(missing, [])
  })

  it('has a row with the code for every request constant of the original document', () => {
    const missing = Object.entries(REQUESTS).filter(
      ([name, code]) => !page.includes(`\n| \`${name}\` | ${code} | `),
    )
    deepStrictEqual(missing, [])
  })

  it('has a row with the methods for every header of the original document', () => {
    const missing = Object.entries(HEADERS).filter(([name, methods]) => {
      const cell = methods
        .split(' ')
        .map((method) => `\`${method}\``)
        .join(', ')
      return !page.includes(`\n| \`${name}\` | ${cell} | [`)
    })
    deepStrictEqual(missing, [])
  })

  it('names only sources that exist and export what it says', () => {
    const wrong: string[] = []
    for (const [, label = '', path = ''] of page.matchAll(/\[([^\]]+)\]\(\.\.\/(src\/[^)]+)\)/g)) {
      if (!existsSync(join(root, path))) wrong.push(`${path} does not exist`)
      else if (label.startsWith('`') && !exportsName(path, label.slice(1, -1)))
        wrong.push(`${path} does not export ${label}`)
    }
    deepStrictEqual(wrong, [])
  })

  it('plans nothing any more', () => {
    deepStrictEqual(page.match(/planned|⏭|later work|to come|\bahead\b/gi), null)
  })
})

function exportsName(path: string, name: string): boolean {
  const source = readFileSync(join(root, path), 'utf8')
  return new RegExp(`^export (abstract |async )?(const|function|class|interface|type) ${name}\\b`, 'm').test(
    source,
  )
}
