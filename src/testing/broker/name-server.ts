/** The name server: 102, 105, 106, 206, 216 and 224 (upstream namesrv ClientRequestProcessor, DefaultRequestProcessor). */
import { stringifyJson } from '../../commands/fastjson.ts'
import { TOPIC_NOT_EXIST } from '../../commands/response-codes.ts'
import {
  DeleteTopicInNamesrv,
  GetAllTopicListFromNameserver,
  GetBrokerClusterInfo,
  GetRouteInfoByTopic,
  type TopicRouteData,
} from '../../commands/route.ts'
import type { TestClock } from './clock.ts'
import { scopeOf } from './clock.ts'
import type { Faults } from './faults.ts'
import { type Call, dispatch, encodeReply, type Handler, handle, Refusal } from './handler.ts'
import { DeleteKvConfig, GetTopicsByCluster } from './handlers/more-commands.ts'
import { SEE_FAQ } from './handlers/names.ts'
import type { Registry } from './registry.ts'
import { type BrokerLogger, Server } from './server.ts'

type NameServerCall = Call<Registry>

/** Older clients get integer keys bare (protocol.md 1.4). */
const V4_9_4 = 401

const handlers: ReadonlyMap<number, Handler<Registry>> = /* @__PURE__ */ tableOf()

function tableOf(): ReadonlyMap<number, Handler<Registry>> {
  return new Map<number, Handler<Registry>>([
    handle(GetRouteInfoByTopic, (call: NameServerCall, { topic, acceptStandardJsonOnly }) => {
      const route = call.server.route(topic)
      if (!route) {
        const remark = `No topic route info in name server for the topic: ${topic}${SEE_FAQ}`
        throw new Refusal(TOPIC_NOT_EXIST, remark)
      }
      if (call.frame.version >= V4_9_4 || acceptStandardJsonOnly === true) return { body: route }
      call.answer({ ...encodeReply(GetRouteInfoByTopic, {}), body: oldForm(route) })
      return undefined
    }),
    handle(GetBrokerClusterInfo, ({ server }: NameServerCall) => ({ body: server.cluster() })),
    handle(GetAllTopicListFromNameserver, ({ server }: NameServerCall) => ({
      body: { topicList: server.topics },
    })),
    handle(GetTopicsByCluster, ({ server }: NameServerCall, { cluster }) => ({
      body: { topicList: cluster === server.clusterName ? server.topics : [] },
    })),
    handle(DeleteKvConfig, () => ({})),
    handle(DeleteTopicInNamesrv, ({ server }: NameServerCall, { topic }) => {
      server.deleteTopic(topic)
      return {}
    }),
  ])
}

const oldForm = (route: TopicRouteData): Buffer =>
  Buffer.from(stringifyJson({ ...route, filterServerTable: {} }))

export function createNameServer(
  port: number,
  {
    registry,
    clock,
    faults,
    logger,
  }: { registry: Registry; clock: TestClock; faults: Faults; logger: BrokerLogger },
): Server {
  const scope = scopeOf(clock)
  const server: Server = new Server({
    name: 'name-server',
    port,
    faults,
    clock: scope,
    logger,
    handle: (frame, connection, answer) =>
      dispatch(handlers, { server: registry, frame, connection, answer }, logger),
    onKill: (ms) => {
      const failed = (error: unknown): void => logger.error('the name server is not back', error)
      server.close({ reset: true }).catch(failed)
      if (ms !== undefined) scope.at(scope.now() + ms, () => void server.listen().catch(failed))
    },
  })
  return server
}
