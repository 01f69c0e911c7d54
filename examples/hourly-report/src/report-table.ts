/**
 * The table of reports, in DynamoDB. For each hour it has an item for each queue that had messages then, with what was counted
 * and the offset up to which it was counted, written in one: what was counted once is not counted again, whatever becomes of
 * the group's offsets. And it has one item more when the hour is over: the report.
 */
import {
  type AttributeValue,
  ConditionalCheckFailedException,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
} from '@aws-sdk/client-dynamodb'

export interface Counts {
  orders: number
  totalCents: number
  /** Messages that are no orders. */
  unreadable: number
}

/** What one queue had in one hour, so far. */
export interface Part extends Counts {
  /** Behind the last message that was counted. */
  nextOffset: bigint
}

export interface ReportTable {
  part(hour: string, queue: string): Promise<Part | undefined>
  /** Replaces `previous`; false when another one is there by now. */
  writePart(hour: string, queue: string, part: Part, previous: Part | undefined): Promise<boolean>
  hour(hour: string): Promise<{ report: Counts | undefined; parts: Counts[] }>
  /** False when there is a report of the hour: the first one stays. */
  writeReport(hour: string, report: Counts): Promise<boolean>
}

const REPORT = 'report'

type Item = Record<string, AttributeValue>

/** @param table its name; its key is `hour` and `part`, both texts */
export function reportTable(dynamodb: DynamoDBClient, table: string): ReportTable {
  const write = async (
    item: Item,
    ConditionExpression: string,
    ExpressionAttributeValues?: Item,
  ): Promise<boolean> => {
    try {
      await dynamodb.send(
        new PutItemCommand({
          TableName: table,
          Item: item,
          ConditionExpression,
          ...(ExpressionAttributeValues && { ExpressionAttributeValues }),
        }),
      )
      return true
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) return false
      throw error
    }
  }

  return {
    part: async (hour, queue) => {
      const Key = { hour: { S: hour }, part: { S: queue } }
      const { Item: item } = await dynamodb.send(
        new GetItemCommand({ TableName: table, Key, ConsistentRead: true }),
      )
      return item && { ...countsOf(item), nextOffset: BigInt(item['nextOffset']?.N ?? 0) }
    },

    writePart: (hour, queue, { nextOffset, ...counts }, previous) => {
      const item = { ...itemOf(hour, queue, counts), nextOffset: { N: String(nextOffset) } }
      return previous === undefined
        ? write(item, 'attribute_not_exists(nextOffset)')
        : write(item, 'nextOffset = :previous', { ':previous': { N: String(previous.nextOffset) } })
    },

    hour: async (hour) => {
      const { Items: items = [] } = await dynamodb.send(
        new QueryCommand({
          TableName: table,
          KeyConditionExpression: '#hour = :hour',
          ExpressionAttributeNames: { '#hour': 'hour' },
          ExpressionAttributeValues: { ':hour': { S: hour } },
          ConsistentRead: true,
        }),
      )
      const isReport = (item: Item): boolean => item['part']?.S === REPORT
      const report = items.find(isReport)
      const parts = items.filter((item) => !isReport(item)).map(countsOf)
      return { report: report && countsOf(report), parts }
    },

    writeReport: (hour, report) => write(itemOf(hour, REPORT, report), 'attribute_not_exists(part)'),
  }
}

const itemOf = (hour: string, part: string, { orders, totalCents, unreadable }: Counts): Item => ({
  hour: { S: hour },
  part: { S: part },
  orders: { N: String(orders) },
  totalCents: { N: String(totalCents) },
  unreadable: { N: String(unreadable) },
})

const countsOf = (item: Item): Counts => ({
  orders: Number(item['orders']?.N),
  totalCents: Number(item['totalCents']?.N),
  unreadable: Number(item['unreadable']?.N),
})
