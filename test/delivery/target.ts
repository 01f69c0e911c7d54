/** The target of the delivery suite: a function that knows of RocketMQ what stands in its event. */
import { handleOrders } from './orders.ts'

interface Context {
  awsRequestId: string
}

/** Without records it only waits: its environment is busy until then. */
export const handler = async (
  event: Parameters<typeof handleOrders>[0] | { gate: string },
  { awsRequestId }: Context,
): Promise<unknown> =>
  'gate' in event ? void (await fetch(event.gate)) : await handleOrders(event, awsRequestId)
