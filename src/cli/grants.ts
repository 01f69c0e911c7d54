/** Which permission a broker that says no is missing. It names who and what, and leaves out which action it wanted. */

/**
 * By request, as far as the commands and functions of this package send it; from the annotations RocketMQAction of 5.5.0's headers
 * and its DefaultAuthorizationContextBuilder. Any of several is enough.
 */
const ACTIONS: Readonly<Record<string, string>> = {
  SEND_MESSAGE_V2: 'Pub',
  SEND_BATCH_MESSAGE: 'Pub',
  END_TRANSACTION: 'Pub',
  RECALL_MESSAGE: 'Pub',
  PULL_MESSAGE: 'Sub',
  POP_MESSAGE: 'Sub',
  ACK_MESSAGE: 'Sub',
  BATCH_ACK_MESSAGE: 'Sub',
  CHANGE_MESSAGE_INVISIBLETIME: 'Sub',
  CONSUMER_SEND_MSG_BACK: 'Sub',
  LOCK_BATCH_MQ: 'Sub',
  UNLOCK_BATCH_MQ: 'Sub',
  QUERY_CONSUMER_OFFSET: 'Get or Sub',
  UPDATE_CONSUMER_OFFSET: 'Sub',
  HEART_BEAT: 'Sub',
  UNREGISTER_CLIENT: 'Sub',
  QUERY_MESSAGE: 'Get or Sub',
  VIEW_MESSAGE_BY_ID: 'Get',
  SEARCH_OFFSET_BY_TIMESTAMP: 'Get',
  GET_MAX_OFFSET: 'Get',
  GET_MIN_OFFSET: 'Get',
  GET_TOPIC_CONFIG: 'Get',
  GET_TOPIC_STATS_INFO: 'Get',
  GET_CONSUME_STATS: 'Get',
  GET_CONSUMER_LIST_BY_GROUP: 'Get or Sub',
  GET_SUBSCRIPTIONGROUP_CONFIG: 'Get',
  GET_ALL_SUBSCRIPTIONGROUP_CONFIG: 'Get',
  QUERY_TOPIC_CONSUME_BY_WHO: 'Get',
  GET_BROKER_CONFIG: 'Get',
  GET_BROKER_RUNTIME_INFO: 'Get',
  GET_ROUTEINFO_BY_TOPIC: 'Get',
  GET_BROKER_CLUSTER_INFO: 'Get',
  GET_ALL_TOPIC_LIST_FROM_NAMESERVER: 'List',
  UPDATE_AND_CREATE_TOPIC: 'Create',
  UPDATE_AND_CREATE_SUBSCRIPTIONGROUP: 'Create',
  INVOKE_BROKER_TO_RESET_OFFSET: 'Update',
  DELETE_TOPIC_IN_BROKER: 'Delete',
  DELETE_TOPIC_IN_NAMESRV: 'Update',
  DELETE_SUBSCRIPTIONGROUP: 'Delete',
}

/** The text of a client's error: `… answered GET_MAX_OFFSET … no permission to access Topic:orders from …; check the grants`. */
const DENIED =
  / answered (\w+)(?:(?! answered ).)*? no permission to access (\w+:\S+) from (?:(?! answered ).)*?(\.?; check the grants)/g

/** Access control of 4.x, of plain_acl.yml: it knows PUB and SUB, and administrators. */
const DENIED_BEFORE_5 =
  / answered (\w+)(?:(?! answered ).)*? permission for (topic|group):([\w%-]+)(; check the grants)/g
const FOR_ADMINISTRATORS = /( Need admin permission for (?:(?! answered ).)*?); check the grants/g

/** Says `grant Get on Topic:orders` where a broker refused for the want of that, also in an error of several brokers. */
export const sayingGrants = (message: string): string =>
  message
    .replace(DENIED, (all, request: string, resource: string, tail: string) => {
      const action = ACTIONS[request]
      return action === undefined ? all : `${all.slice(0, -tail.length)}; grant ${action} on ${resource}`
    })
    .replace(DENIED_BEFORE_5, (all, request: string, kind: string, name: string, tail: string) => {
      const action = ACTIONS[request] === 'Pub' ? 'PUB' : 'SUB'
      return `${all.slice(0, -tail.length)}; grant ${name}=${action} in ${kind}Perms`
    })
    .replace(FOR_ADMINISTRATORS, '$1; it takes an account with admin: true')

/** `Get on Topic:orders`, or `orders=SUB in topicPerms`: what the errors in a text want to be granted. */
export const grantsIn = (text: string): string[] =>
  [
    ...sayingGrants(text).matchAll(/; grant (\w+(?: or \w+)? on \w+:[\w%-]+|[\w%-]+=\w+ in \w+Perms)/g),
  ].flatMap(([, grant]) => grant ?? [])
