/** What a customer orders: the body of the request, and of the message of the topic `orders`. */
export interface Order {
  /** Chosen by who orders, such as a UUID: whoever repeats a request repeats it too, and orders once. */
  id: string
  product: string
  count: number
}

/** @throws TypeError saying what is wrong with it */
export function readOrder(value: unknown): Order {
  const { id, product, count } = Object(value) as Partial<Order>
  if (typeof id !== 'string' || !/^[\w-]{1,40}$/.test(id))
    throw new TypeError('id: takes 1 to 40 of A-Z a-z 0-9 _ -')
  if (typeof product !== 'string' || product === '') throw new TypeError('product: takes a text')
  if (!Number.isSafeInteger(count) || Number(count) < 1) throw new TypeError('count: takes a number from 1')
  return { id, product, count: Number(count) }
}
