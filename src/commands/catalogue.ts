/**
 * All commands by code, for brokers, tools and tests. In a module of its own, because whoever imports it bundles every
 * command; importing one command does not.
 */
import { GetBrokerConfig, GetBrokerRuntimeInfo } from './broker.ts'
import {
  ConsumeMessageDirectly,
  GetConsumerRunningInfo,
  InvokeBrokerToResetOffset,
  ResetConsumerClientOffset,
} from './consumer-requests.ts'
import type { AnyCommand } from './define.ts'
import {
  DeleteSubscriptionGroup,
  GetAllSubscriptionGroupConfig,
  GetConsumeStats,
  GetSubscriptionGroupConfig,
  UpdateAndCreateSubscriptionGroup,
} from './groups.ts'
import { GetConsumerListByGroup, HeartBeat, NotifyConsumerIdsChanged, UnregisterClient } from './heartbeat.ts'
import { LockBatchMQ, UnlockBatchMQ } from './locks.ts'
import { GetMsgNo, PutMsgNo } from './message-numbers.ts'
import { QueryMessage, ViewMessageById } from './messages.ts'
import {
  GetMaxOffset,
  GetMinOffset,
  QueryConsumerOffset,
  SearchOffsetByTimestamp,
  UpdateConsumerOffset,
} from './offsets.ts'
import { AckMessage, BatchAckMessage, ChangeMessageInvisibleTime, PopMessage } from './pop.ts'
import { CheckClientConfig, PullMessage } from './pull.ts'
import { RecallMessage } from './recall.ts'
import {
  DeleteTopicInNamesrv,
  GetAllTopicListFromNameserver,
  GetBrokerClusterInfo,
  GetRouteInfoByTopic,
} from './route.ts'
import { SendBatchMessage, SendMessage, SendMessageV2 } from './send.ts'
import { ConsumerSendMsgBack } from './send-back.ts'
import {
  DeleteTopicInBroker,
  GetAllTopicConfig,
  GetTopicConfig,
  GetTopicStatsInfo,
  QueryTopicConsumeByWho,
  UpdateAndCreateTopic,
} from './topics.ts'
import { CheckTransactionState, EndTransaction } from './transaction.ts'

const byCode = (commands: readonly AnyCommand[]): ReadonlyMap<number, AnyCommand> =>
  new Map(commands.map((command) => [command.code, command]))

/** Every command by its request code; those with an `extension` are private. */
export const catalogue: ReadonlyMap<number, AnyCommand> = /* @__PURE__ */ byCode([
  SendMessage,
  SendMessageV2,
  SendBatchMessage,
  PullMessage,
  CheckClientConfig,
  PopMessage,
  AckMessage,
  ChangeMessageInvisibleTime,
  BatchAckMessage,
  QueryConsumerOffset,
  UpdateConsumerOffset,
  SearchOffsetByTimestamp,
  GetMaxOffset,
  GetMinOffset,
  LockBatchMQ,
  UnlockBatchMQ,
  EndTransaction,
  CheckTransactionState,
  ConsumerSendMsgBack,
  RecallMessage,
  GetRouteInfoByTopic,
  GetBrokerClusterInfo,
  GetAllTopicListFromNameserver,
  DeleteTopicInNamesrv,
  HeartBeat,
  UnregisterClient,
  GetConsumerListByGroup,
  NotifyConsumerIdsChanged,
  UpdateAndCreateTopic,
  GetBrokerConfig,
  GetBrokerRuntimeInfo,
  DeleteTopicInBroker,
  GetAllTopicConfig,
  GetTopicConfig,
  GetTopicStatsInfo,
  QueryTopicConsumeByWho,
  UpdateAndCreateSubscriptionGroup,
  GetAllSubscriptionGroupConfig,
  DeleteSubscriptionGroup,
  GetSubscriptionGroupConfig,
  GetConsumeStats,
  QueryMessage,
  ViewMessageById,
  InvokeBrokerToResetOffset,
  ResetConsumerClientOffset,
  GetConsumerRunningInfo,
  ConsumeMessageDirectly,
  PutMsgNo,
  GetMsgNo,
])
