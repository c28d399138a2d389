// Data, store and validation.

const FIRST = ['Ada', 'Alan', 'Barbara', 'Claude', 'Donald', 'Edsger', 'Frances', 'Grace',
  'Hedy', 'John', 'Katherine', 'Leslie', 'Margaret', 'Niklaus', 'Zoë', '明']
const LAST = ['Allen', 'Backus', 'Dijkstra', 'Engelbart', 'Hamilton', 'Hopper', 'Johnson', 'Knuth',
  'Lamarr', 'Lamport', 'Liskov', 'Lovelace', 'Shannon', 'Turing', 'Wirth', 'Łukasiewicz']
const STATUS = [...Array(6).fill('active'), ...Array(2).fill('pending'), ...Array(2).fill('archived')]

const USERS = 10_000
const KEPT = 65_536
const MAX_PAGE = 1_000_000
const MAX_QTY = 1_000
const LIMITED = 'SKU-LIMITED'
const LIMITED_UNITS = 1_000

export const MAX_BODY = 16 * 1024
export const MAX_UPLOAD = 64 * 1024

export class ApiError extends Error {
  constructor (status, code, message) {
    super(message)
    this.status = status
    this.code = code
  }

  static notFound = new ApiError(404, 'not_found', 'there is nothing here')
  static methodNotAllowed = new ApiError(405, 'method_not_allowed', 'this route takes the methods in Allow')
  static payloadTooLarge = new ApiError(413, 'payload_too_large', 'the body is longer than this route takes')
  static unsupportedMediaType = new ApiError(415, 'unsupported_media_type', 'send Content-Type: application/json')
  static outOfStock = new ApiError(409, 'out_of_stock', 'fewer units are left than asked for')
  static invalidParameter = why => new ApiError(400, 'invalid_parameter', why)
  static malformedJson = why => new ApiError(400, 'malformed_json', why)
  static invalidOrder = why => new ApiError(422, 'invalid_order', why)
}

export function isJson (contentType) {
  return contentType?.split(';', 1)[0].trim().toLowerCase() === 'application/json'
}

export function parseWait ({ ms }) {
  return inRange('ms', ms, 15, 0, 1_000)
}

export function sumOf (bytes) {
  let sum = 0
  for (const byte of bytes) sum += byte
  return sum
}

export class Store {
  // By status; undefined has all of them.
  #users = new Map()
  // A ring of the newest orders.
  #orders = []
  #total = 0
  #limited = LIMITED_UNITS

  constructor () {
    const all = Array.from({ length: USERS }, (_, index) => makeUser(index + 1))
    this.#users.set(undefined, all)
    for (const status of new Set(STATUS)) {
      this.#users.set(status, all.filter(user => user.status === status))
    }
  }

  users (query) {
    const all = this.#users.get(query.status)
    if (!all) throw ApiError.invalidParameter('status is active, pending or archived')
    return pageOf(all, parsePage(query, 20, 100))
  }

  download (query) {
    return pageOf(this.#users.get(undefined), parsePage(query, 600, 1_000))
  }

  user (text) {
    return this.#users.get(undefined)[parseId(text) - 1] ?? notFound()
  }

  place (body) {
    const { item_id: item, qty } = parseOrder(body)
    if (item === LIMITED) {
      if (this.#limited < qty) throw ApiError.outOfStock
      this.#limited -= qty
    }
    const id = ++this.#total
    const price = unitPrice(item)
    const order = { id, item_id: item, qty, unit_price_cents: price, total_cents: price * qty, status: 'created' }
    this.#orders[id % KEPT] = order
    return order
  }

  order (text) {
    return this.#kept(parseId(text)) ?? notFound()
  }

  orders (query) {
    const { page, limit } = parsePage(query, 20, 100)
    const newest = this.#total - (page - 1) * limit
    const orders = []
    for (let id = newest; id > newest - limit; id--) {
      const order = this.#kept(id)
      if (!order) break
      orders.push(order)
    }
    return { orders, page, limit, total: this.#total }
  }

  #kept (id) {
    const order = this.#orders[id % KEPT]
    return order?.id === id ? order : undefined
  }
}

function pageOf (all, { page, limit }) {
  const from = (page - 1) * limit
  return { users: all.slice(from, from + limit), page, limit, total: all.length }
}

function makeUser (id) {
  return {
    id,
    name: `${FIRST[id % 16]} ${LAST[Math.floor(id / 16) % 16]}`,
    email: `user${id}@example.com`,
    status: STATUS[id % 10],
    created_at: 1_700_000_000 + 60 * id
  }
}

function notFound () {
  throw ApiError.notFound
}

function unitPrice (item) {
  return item === LIMITED ? 4_999 : 100 + (37 * Number(item.slice(4))) % 9_900
}

// A number in decimal digits, or NaN.
function digits (text) {
  return /^[0-9]+$/.test(text) ? Number(text) : NaN
}

function parseId (text) {
  // An empty id is no route, though Fastify takes it for one.
  if (text === '') throw ApiError.notFound
  const id = digits(text)
  if (!Number.isSafeInteger(id)) throw ApiError.invalidParameter('an id is digits, at most 2^53 - 1')
  return id
}

function parsePage ({ limit, page }, absent, max) {
  return { limit: inRange('limit', limit, absent, 1, max), page: inRange('page', page, 1, 1, MAX_PAGE) }
}

function inRange (name, text, absent, min, max) {
  if (text === undefined) return absent
  const number = digits(text)
  if (!(number >= min && number <= max)) throw ApiError.invalidParameter(`${name} is a number from ${min} to ${max}`)
  return number
}

function parseOrder (body) {
  // The body of a request without one is undefined.
  if (body === undefined) throw ApiError.malformedJson('the body is empty')
  if (body === null || typeof body !== 'object' || Array.isArray(body)) {
    throw ApiError.invalidOrder('an order is an object')
  }
  if (typeof body.item_id !== 'string' || !/^SKU-([0-9]{3}|LIMITED)$/.test(body.item_id)) {
    throw ApiError.invalidOrder('no such item')
  }
  if (!Number.isInteger(body.qty) || body.qty < 1 || body.qty > MAX_QTY) {
    throw ApiError.invalidOrder('qty is a whole number from 1 to 1000')
  }
  return body
}
