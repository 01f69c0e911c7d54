/** For tests: DynamoDB in memory (dynalite, Apache 2.0), with the table that serverless.yml creates. */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb'
import dynalite from 'dynalite'

export interface LocalTable extends AsyncDisposable {
  /** What AWS_ENDPOINT_URL_DYNAMODB takes. */
  readonly endpoint: string
  readonly dynamodb: DynamoDBClient
}

export async function startTable(table: string): Promise<LocalTable> {
  const server = dynalite({ createTableMs: 0 })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const credentials = { accessKeyId: 'local', secretAccessKey: 'local' }
  const dynamodb = new DynamoDBClient({ endpoint, region: 'eu-central-1', credentials })
  await dynamodb.send(
    new CreateTableCommand({
      TableName: table,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: [
        { AttributeName: 'hour', AttributeType: 'S' },
        { AttributeName: 'part', AttributeType: 'S' },
      ],
      KeySchema: [
        { AttributeName: 'hour', KeyType: 'HASH' },
        { AttributeName: 'part', KeyType: 'RANGE' },
      ],
    }),
  )
  return {
    endpoint,
    dynamodb,
    async [Symbol.asyncDispose]() {
      dynamodb.destroy()
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
