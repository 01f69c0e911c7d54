/**
 * `rocketmq-lambda/commands`: the typed catalogue of the remoting protocol, one constant per command, and the codes.
 * Lower level than the client: nothing here sends anything.
 *
 * @module
 */
export { type BrokerRuntimeInfo, GetBrokerConfig, GetBrokerRuntimeInfo } from './broker.ts'
export { catalogue } from './catalogue.ts'
export { LanguageCode, RequestCode, ResponseCode } from './codes.ts'
export {
  ConsumeMessageDirectly,
  type ConsumeMessageDirectlyRequest,
  type ConsumeMessageDirectlyResult,
  type ConsumerRunningInfo,
  type ConsumeStatus,
  GetConsumerRunningInfo,
  type GetConsumerRunningInfoRequest,
  InvokeBrokerToResetOffset,
  type PopProcessQueueInfo,
  type ProcessQueueInfo,
  ResetConsumerClientOffset,
  type ResetOffsetBody,
  type ResetOffsetRequest,
} from './consumer-requests.ts'
export {
  type AnyCommand,
  type AnyFields,
  type BodyCodec,
  bytesBody,
  COMMON_ANSWERS,
  type Command,
  decodeFields,
  defineCommand,
  type Effect,
  encodeFields,
  type FieldKind,
  type Fields,
  isResult,
  type Meaning,
  meaningOf,
  type NoFields,
  noBody,
  type WireNames,
} from './define.ts'
export { fastjsonBody, stringifyJson } from './fastjson.ts'
export {
  type ConsumeStats,
  DeleteSubscriptionGroup,
  type DeleteSubscriptionGroupRequest,
  GetAllSubscriptionGroupConfig,
  GetConsumeStats,
  type GetConsumeStatsRequest,
  GetSubscriptionGroupConfig,
  type GroupRetryPolicy,
  type OffsetWrapper,
  type SimpleSubscriptionData,
  type SubscriptionGroupConfig,
  type SubscriptionGroupSettings,
  type SubscriptionGroupTable,
  UpdateAndCreateSubscriptionGroup,
} from './groups.ts'
export {
  ConsumeFromWhere,
  type ConsumerData,
  type ConsumerList,
  ConsumeType,
  GetConsumerListByGroup,
  HeartBeat,
  type HeartbeatData,
  type HeartbeatResponse,
  MessageModel,
  NotifyConsumerIdsChanged,
  type ProducerData,
  readConsumerData,
  readProducerData,
  UnregisterClient,
  type UnregisterClientRequest,
} from './heartbeat.ts'
export { jsonBody, type Read } from './json.ts'
export {
  LOCK_LEASE_MS,
  LockBatchMQ,
  type LockBatchRequestBody,
  type LockBatchResponseBody,
  UnlockBatchMQ,
} from './locks.ts'
export { GetMsgNo, type MessageNumber, PutMsgNo } from './message-numbers.ts'
export {
  type MessageQueue,
  type QueueTable,
  readMessageQueue,
  readQueueTable,
  writeMessageQueue,
  writeQueueTable,
} from './message-queue.ts'
export {
  QueryMessage,
  type QueryMessageRequest,
  type QueryMessageResponse,
  ViewMessageById,
  type ViewMessageRequest,
} from './messages.ts'
export {
  type BoundaryType,
  GetMaxOffset,
  type GetMaxOffsetRequest,
  GetMinOffset,
  OFFSET_RESET_REMARK,
  type OffsetResponse,
  QueryConsumerOffset,
  type QueryConsumerOffsetRequest,
  type QueryConsumerOffsetResponse,
  SearchOffsetByTimestamp,
  type SearchOffsetRequest,
  UpdateConsumerOffset,
  type UpdateConsumerOffsetRequest,
} from './offsets.ts'
export {
  AckMessage,
  type AckMessageRequest,
  type BatchAck,
  BatchAckMessage,
  type BatchAckMessageBody,
  type ChangeInvisibleTimeRequest,
  type ChangeInvisibleTimeResponse,
  ChangeMessageInvisibleTime,
  POP_INIT_MAX,
  POP_INIT_MIN,
  PopMessage,
  type PopMessageRequest,
  type PopMessageResponse,
} from './pop.ts'
export {
  CheckClientConfig,
  type CheckClientRequestBody,
  PULL_CLASS_FILTER,
  PULL_COMMIT_OFFSET,
  PULL_LITE,
  PULL_SUBSCRIPTION,
  PULL_SUSPEND,
  PullMessage,
  type PullMessageRequest,
  type PullMessageResponse,
} from './pull.ts'
export { RecallMessage, type RecallMessageRequest, type RecallMessageResponse } from './recall.ts'
export {
  type BrokerData,
  type ClusterInfo,
  DeleteTopicInNamesrv,
  GetAllTopicListFromNameserver,
  GetBrokerClusterInfo,
  GetRouteInfoByTopic,
  PERM_READ,
  PERM_WRITE,
  type QueueData,
  type TopicList,
  type TopicRouteData,
} from './route.ts'
export {
  SendBatchMessage,
  SendMessage,
  type SendMessageRequest,
  type SendMessageResponse,
  SendMessageV2,
} from './send.ts'
export { ConsumerSendMsgBack, type ConsumerSendMsgBackRequest } from './send-back.ts'
export { readSubscriptionData, type SubscriptionData } from './subscription.ts'
export {
  type CreateTopicRequest,
  DeleteTopicInBroker,
  GetAllTopicConfig,
  GetTopicConfig,
  GetTopicStatsInfo,
  type GroupList,
  QueryTopicConsumeByWho,
  type TopicConfig,
  type TopicOffset,
  type TopicStatsTable,
  type TopicTable,
  UpdateAndCreateTopic,
} from './topics.ts'
export {
  CheckTransactionState,
  type CheckTransactionStateRequest,
  EndTransaction,
  type EndTransactionRequest,
} from './transaction.ts'
