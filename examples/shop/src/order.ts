/** What a customer orders: the body of a message of the topic `orders`. */
export interface Order {
  order: string
  items: { product: string; cents: number; count: number }[]
}

/** @throws TypeError saying what is wrong with it */
export function readOrder(value: unknown): Order {
  const { order, items } = Object(value) as Partial<Order>
  if (typeof order !== 'string' || !/^[\w-]{1,40}$/.test(order)) throw new TypeError('order: takes an id')
  if (!Array.isArray(items) || items.length === 0) throw new TypeError('items: takes what is ordered')
  for (const { product, cents, count } of items) {
    if (typeof product !== 'string') throw new TypeError('product: takes a text')
    if (!isWhole(cents, 0) || !isWhole(count, 1)) throw new TypeError(`${product}: takes cents and a count`)
  }
  return { order, items }
}

const isWhole = (value: unknown, least: number): boolean =>
  Number.isSafeInteger(value) && Number(value) >= least
