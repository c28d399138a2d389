// The contract served by Fastify, in one process.
import { isUtf8 } from 'node:buffer'
import { isIP } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import Fastify from 'fastify'
import { ApiError, MAX_BODY, MAX_UPLOAD, Store, isJson, parseWait, sumOf } from './contract.js'
import { schemas } from './schemas.js'

// How long open connections may hold up the exit.
const GRACE_MS = 3_000
const HEAD_LIMIT_MS = 75_000
// Of the paths that have more or other methods than GET.
const ALLOW = { '/api/v1/orders': 'GET, POST', '/api/v1/upload': 'POST' }

const flags = readFlags()
const store = new Store()
const app = Fastify({
  bodyLimit: MAX_BODY,
  keepAliveTimeout: HEAD_LIMIT_MS,
  // Without this a request that arrives while the server stops gets a 503, which the contract doesn't have.
  return503OnClosing: false
})

// Fastify's own parser takes bytes that aren't UTF-8.
app.removeAllContentTypeParsers()
app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (request, body) => {
  if (!isUtf8(body)) throw ApiError.malformedJson('the body is not UTF-8')
  try {
    return JSON.parse(body.toString())
  } catch (error) {
    throw ApiError.malformedJson(error.message)
  }
})

app.setErrorHandler((error, request, reply) => {
  if (request.is404) return notFound(request, reply)
  return send(reply, ofContract(error))
})
app.setNotFoundHandler(notFound)

app.get('/ping', { schema: schemas.ping }, () => ({ status: 'ok' }))

app.get('/api/v1/users', { schema: schemas.users }, request => store.users(request.query))

app.get('/api/v1/users/:id', { schema: schemas.user }, request => store.user(request.params.id))

app.post('/api/v1/orders', { schema: schemas.placeOrder, onRequest: refuseOtherTypes }, (request, reply) => {
  reply.code(201)
  return store.place(request.body)
})

app.get('/api/v1/orders', { schema: schemas.orders }, request => store.orders(request.query))

app.get('/api/v1/orders/:id', { schema: schemas.order }, request => store.order(request.params.id))

app.get('/api/v1/wait', { schema: schemas.wait }, async request => {
  const ms = parseWait(request.query)
  const due = performance.now() + ms
  // Node's timers count whole milliseconds of a clock that is read once a turn, so one may end too early.
  for (let left = ms; left > 0; left = due - performance.now()) await sleep(Math.ceil(left))
  return { ms }
})

app.get('/api/v1/download', { schema: schemas.users }, request => store.download(request.query))

// With a parser of its own: a body of any type is bytes.
app.register(async route => {
  route.removeAllContentTypeParsers()
  route.addContentTypeParser('*', { parseAs: 'buffer' }, async (request, body) => body)
  route.post('/api/v1/upload', { schema: schemas.upload, bodyLimit: MAX_UPLOAD }, request => {
    const body = request.body ?? Buffer.alloc(0)
    return { bytes: body.length, sum: sumOf(body) }
  })
})

// Fastify checks the type only if there is a body.
async function refuseOtherTypes (request) {
  if (!isJson(request.headers['content-type'])) throw ApiError.unsupportedMediaType
}

// Fastify answers 404 to a method that a route doesn't have.
function notFound (request, reply) {
  const path = request.url.split('?', 1)[0]
  const known = /^\/(ping|api\/v1\/(wait|download|upload|(users|orders)(\/[^/]+)?))$/
  if (!known.test(path)) return send(reply, ApiError.notFound)
  reply.header('allow', ALLOW[path] ?? 'GET')
  return send(reply, ApiError.methodNotAllowed)
}

function ofContract (error) {
  if (error instanceof ApiError) return error
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE': return ApiError.payloadTooLarge
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE': return ApiError.unsupportedMediaType
    case 'FST_ERR_CTP_EMPTY_JSON_BODY': return ApiError.malformedJson('the body is empty')
  }
  if (error.statusCode === 400) return ApiError.malformedJson(error.message)
  return new ApiError(500, 'internal', error.message)
}

function send (reply, error) {
  return reply.code(error.status).send({ error: { code: error.code, message: error.message } })
}

function readFlags () {
  try {
    const { values } = parseArgs({ options: { addr: { type: 'string' }, workers: { type: 'string' } } })
    const { addr = '127.0.0.1:8080', workers = '1' } = values
    const [, host, port] = /^\[?(.*?)\]?:(\d+)$/.exec(addr) ?? []
    if (!isIP(host ?? '') || Number(port) > 65_535) throw new Error(`--addr ${addr}: expected IP:PORT`)
    if (!/^\d+$/.test(workers) || Number(workers) < 1) throw new Error(`--workers ${workers}: expected a number from 1`)
    return { host, port: Number(port) }
  } catch (error) {
    return exit(2, error.message)
  }
}

function exit (status, message) {
  console.error(`error: ${message}`)
  process.exit(status)
}

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, async () => {
    // It waits for half-sent requests without a limit.
    setTimeout(() => process.exit(0), GRACE_MS)
    await app.close()
    process.exit(0)
  })
}

app.listen(flags).catch(error => exit(1, error.message))
