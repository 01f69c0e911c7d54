/** The table for `npm run dev`, until Ctrl-C. */
import { startTable } from './table.ts'

const { endpoint } = await startTable('shop-dev-billed', 8000)
console.log(`a DynamoDB in memory: ${endpoint}`)
