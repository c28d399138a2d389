// The schemas of successful responses, which Fastify compiles to functions that write them.

const object = properties => ({ type: 'object', properties })
const list = items => ({ type: 'array', items })
const string = { type: 'string' }
const integer = { type: 'integer' }

const user = object({ id: integer, name: string, email: string, status: string, created_at: integer })
const order = object({
  id: integer,
  item_id: string,
  qty: integer,
  unit_price_cents: integer,
  total_cents: integer,
  status: string
})
const page = (name, items) => object({ [name]: list(items), page: integer, limit: integer, total: integer })
const responds = (status, body) => ({ response: { [status]: body } })

export const schemas = {
  ping: responds(200, object({ status: string })),
  users: responds(200, page('users', user)),
  user: responds(200, user),
  orders: responds(200, page('orders', order)),
  order: responds(200, order),
  placeOrder: responds(201, order),
  wait: responds(200, object({ ms: integer })),
  upload: responds(200, object({ bytes: integer, sum: integer }))
}
