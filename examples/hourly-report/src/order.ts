/** What a customer orders: the body of a message of the topic `orders`. */
export interface Order {
  order: string
  totalCents: number
}

/** Undefined for what is no order: a report counts it, and is not held up by it. */
export function readOrder(body: Buffer): Order | undefined {
  try {
    const { order, totalCents } = Object(JSON.parse(body.toString())) as Partial<Order>
    if (typeof order !== 'string' || !Number.isSafeInteger(totalCents)) return undefined
    return { order, totalCents: Number(totalCents) }
  } catch {
    return undefined
  }
}
